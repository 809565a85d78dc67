"""Runs drivers' own test suites directly and through Sealwire, and lists what only passes directly.

See suites.sh. The suites make tables of their own, which are not protected: they show that the protocol is the
server's.
"""

import argparse
import json
import os
import pathlib
import re
import subprocess
import sys
import tempfile
import xml.etree.ElementTree

import pymysql

ROOT = pathlib.Path(__file__).parent.parent.parent
OUT = ROOT / "target" / "suites"
PATIENCE = 1500


class Way:
    """To the server, or to a proxy before it."""

    def __init__(self, port, socket, tls):
        self.port, self.socket, self.tls = port, socket, tls


def run(command, log, cwd, **environment):
    environment = {name: value for name, value in dict(os.environ, **environment).items() if value is not None}
    with open(log, "wb") as out:
        subprocess.run(command, cwd=cwd, stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT,
                       env=environment, timeout=PATIENCE)
    return log.read_text(errors="replace")


def aiomysql(home, way, log):
    cwd = next(home.glob("aiomysql-*/"))
    (cwd / "tests/ssl_resources/ssl/ca.pem").write_bytes(pathlib.Path(way.tls, "ca.pem").read_bytes())
    report = log.with_suffix(".xml")
    run([home / "venv/bin/python", "-m", "pytest", "-q", "-p", "no:cacheprovider", f"--junitxml={report}",
         f"--mysql-address=server=127.0.0.1:{way.port}", "tests"], log, cwd, PYTHONPATH=".")
    outcomes = {}
    for case in xml.etree.ElementTree.parse(report).iter("testcase"):
        kinds = {child.tag for child in case}
        outcome = "failed" if kinds & {"failure", "error"} else "skipped" if "skipped" in kinds else "ok"
        outcomes[f"{case.get('classname')}::{case.get('name')}"] = outcome
    return outcomes


def connector(home, way, log):
    cwd = next(home.glob("mysql_connector_python-*/"))
    text = run([home / "venv/bin/python", "unittests.py", "--use-external-server", "-H", "127.0.0.1", "-P",
                str(way.port), "--user", "root", "--password=", "--unix-socket", way.socket, "--skip-install",
                "--verbosity", "2"], log, cwd, PYTHONHASHSEED="0")
    found = re.findall(r"^([\w.]+\.test\w*) \.\.\. (?:.*\n)*?.*?(ok|FAIL|ERROR|skipped|expected failure)\b", text, re.MULTILINE)
    return {name: {"FAIL": "failed", "ERROR": "failed"}.get(outcome, outcome) for name, outcome in found}


def mysql_async(home, way, log):
    text = run(["cargo", "test", "--lib", "--", "--test-threads=2"], log, home / "mysql_async",
               CARGO_TARGET_DIR=str(home / "mysql_async-target"),
               DATABASE_URL=f"mysql://root@127.0.0.1:{way.port}/mysql?prefer_socket=false")
    found = re.findall(r"^test (\S+) \.\.\. (?:.*\n)*?.*?(ok|FAILED|ignored)$", text, re.MULTILINE)
    return {name: {"FAILED": "failed", "ignored": "skipped"}.get(outcome, outcome) for name, outcome in found}


def dbd_mariadb(home, way, log):
    cwd = next(home.glob("DBD-MariaDB-*/"))
    outcomes = {}
    with open(log, "w") as all_of_them:
        for script in sorted(cwd.glob("t/*.t")):
            one = log.with_suffix(".one")
            text = run(["perl", "-It/lib", f"t/{script.name}"], one, cwd,
                       DBI_DSN=f"DBI:MariaDB:database=test;host=127.0.0.1;port={way.port}", DBI_USER="root", DBI_PASS="")
            all_of_them.write(f"{script.name}\n{text}\n")
            for number, (failed, what) in enumerate(re.findall(r"^(not )?ok \d+(.*)$", text, re.MULTILINE)):
                # Ids and addresses in a description are not part of the test.
                outcomes[f"{script.name} {number} {re.sub('[0-9]+', 'N', what)}"] = "failed" if failed else "ok"
    return outcomes


SUITES = {"aiomysql": aiomysql, "connector": connector, "mysql_async": mysql_async, "dbd-mariadb": dbd_mariadb}


def prepare(facts):
    with pymysql.connect(host=facts["host"], port=facts["port"], user="root", autocommit=True) as conn:
        with conn.cursor() as cursor:
            for schema in ("test", "test_pymysql", "test_pymysql2", "myconnpy"):
                cursor.execute(f"DROP DATABASE IF EXISTS {schema}")
            for schema in ("test", "myconnpy"):
                cursor.execute(f"CREATE DATABASE {schema} CHARACTER SET utf8mb4 COLLATE utf8mb4_unicode_ci")


def through_a_proxy(facts, folder):
    config, log = folder / "sealwire.yaml", folder / "proxy.log"
    config.write_text(
        f'listen: ["127.0.0.1:0", "unix:{folder}/proxy.sock"]\n'
        f'tls: {{ mode: optional, cert: "{facts["tls"]}/server.pem", key: "{facts["tls"]}/server-key.pem" }}\n'
        f'backend:\n  address: "{facts["host"]}:{facts["port"]}"\n'
        f'  control: {{ user: sealwire, password: control-secret }}\n'
        f'kms: {{ provider: local, keyring: "{folder}/keyring" }}\nvault: t_suites_vault.data_keys\n'
        f'tables:\n  t_suites.elsewhere:\n    columns:\n      hidden: {{}}\n')
    process = subprocess.Popen([ROOT / "target/debug/sealwire", "run", "-c", config], stdin=subprocess.DEVNULL,
                               stdout=subprocess.DEVNULL, stderr=log.open("wb"))
    while process.poll() is None:
        if found := re.search(r"listening on 127\.0\.0\.1:(\d+)", log.read_text(errors="replace")):
            return process, Way(int(found[1]), f"{folder}/proxy.sock", facts["tls"])
    raise RuntimeError(log.read_text(errors="replace"))


def main():
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--home", type=pathlib.Path, required=True)
    arguments.add_argument("--server", action="append")
    arguments.add_argument("suite", nargs="*")
    arguments = arguments.parse_args()
    servers = json.load(open(os.environ["SEALWIRE_TEST_SERVERS"]))
    new = 0
    for server, facts in servers.items():
        if "port" not in facts or arguments.server and server not in arguments.server:
            continue
        for suite in arguments.suite or SUITES:
            folder = OUT / server
            folder.mkdir(parents=True, exist_ok=True)
            prepare(facts)
            directly = SUITES[suite](arguments.home, Way(facts["port"], facts["socket"], facts["tls"]), folder / f"{suite}.direct.log")
            prepare(facts)
            with tempfile.TemporaryDirectory(prefix="sealwire-suites.") as temporary:
                process, way = through_a_proxy(facts, pathlib.Path(temporary))
                try:
                    through = SUITES[suite](arguments.home, way, folder / f"{suite}.proxy.log")
                finally:
                    process.terminate()
                    process.wait()
                    (folder / f"{suite}.sealwire.log").write_bytes(pathlib.Path(temporary, "proxy.log").read_bytes())
            worse = sorted(name for name, outcome in directly.items() if outcome == "ok" and through.get(name) != "ok")
            better = sum(outcome == "ok" and directly.get(name) != "ok" for name, outcome in through.items())
            new += len(worse)
            passed = sum(outcome == "ok" for outcome in directly.values())
            print(f"{suite:12} {server:11} {len(directly)} tests, {passed} pass directly; through the proxy "
                  f"{len(worse)} of them do not, {better} others do", flush=True)
            for name in worse:
                print(f"    {name}: {through.get(name, 'missing')}", flush=True)
    sys.exit(1 if new else 0)


main()
