"""Runs third-party test suites directly and through Sealwire, and compares them test by test.

See run.sh. Every run has a server of its own, so that none finds what another left behind. Each suite runs directly,
then through the proxy in two ways:

apart      the protected tables are called as no statement of the suite calls anything: statements are relayed.
namesakes  in a schema that the suite does not use there is a protected table for each table that the suite makes,
           of the same name: every statement that mentions one is analysed, found to mean another, and relayed.

A test that passes directly and does not through the proxy is a new failure, as is one that is missing there. Where
anything differs, the suite runs directly once more: a test whose two direct outcomes differ is unsteady, whatever
the proxy does, and is only counted. Differences that are meant are in differences.json, each with its reason.
"""

import argparse
import collections
import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time

import pymysql

HERE = pathlib.Path(__file__).parent
ROOT = HERE.parent.parent
OUT = ROOT / "target" / "suites"
SERVERS = ["mariadb", "mariadb118", "mysql"]
SCHEMA, OTHER_SCHEMA = "t_suite", "t_suite_other"
PROTECTED, VAULT = "t_sealwire_protected", "t_sealwire_vault"
NAMED_BY_NOBODY = ["sealwire_table_named_by_nobody"]
MADE = re.compile(rb"(?i)\bcreate(?:\s+or\s+replace)?(?:\s+temporary)?\s+table\s+(?:if\s+not\s+exists\s+)?"
                  rb"(?:`?\w+`?\s*\.\s*)?`?(\w+)")
PATIENCE = 2400
WAYS = ["apart", "namesakes"]


def beside(base, ending):
    return base.with_name(base.name + ending)


class Server:
    """A server of the run's own, stopped and removed at its end."""

    def __init__(self, name, options):
        self.folder = tempfile.mkdtemp(prefix="sealwire-suites.")
        environment = dict(os.environ, SEALWIRE_TEST_ONLY=name, SEALWIRE_TEST_OPTIONS=" ".join(options))
        try:
            self.script("start", env=environment)
            self.facts = json.loads((pathlib.Path(self.folder) / "servers.json").read_text())[name]
        except BaseException:
            shutil.rmtree(self.folder, ignore_errors=True)
            raise

    def script(self, what, **more):
        subprocess.run([ROOT / "tests/support/servers.sh", what, self.folder], check=True, stdin=subprocess.DEVNULL,
                       stdout=sys.stderr, **more)

    def __enter__(self):
        for schema in (SCHEMA, OTHER_SCHEMA):
            self.do(f"CREATE SCHEMA {schema} DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_unicode_ci")
        return self

    def __exit__(self, *_):
        self.script("stop")

    def do(self, *statements):
        with pymysql.connect(host=self.facts["host"], port=self.facts["port"], user="root", autocommit=True) as conn:
            with conn.cursor() as cursor:
                for statement in statements:
                    cursor.execute(statement)

    def tables_made(self):
        """The names behind CREATE TABLE in the general log."""
        names, tail = set(), b""
        with open(self.facts["general_log"], "rb") as log:
            while block := log.read(1 << 24):
                text = tail + block
                names.update(found[1].decode("ascii", "ignore").lower() for found in MADE.finditer(text))
                tail = text[-300:]
        # The block's end may have cut one short; it is there whole as well.
        return sorted(name for name in names if name)


class Proxy:
    def __init__(self, server, folder, tables):
        server.do(f"CREATE SCHEMA {PROTECTED}",
                  *(f"CREATE TABLE {PROTECTED}.`{table}` (id INT PRIMARY KEY, sealed VARCHAR(255))" for table in tables))
        self.log = folder / "proxy.log"
        self.socket = f"{folder}/sock"
        tls = server.facts["tls"]
        config = folder / "sealwire.yaml"
        config.write_text(
            f'listen: ["127.0.0.1:0", "unix:{self.socket}"]\n'
            f'tls: {{ mode: optional, cert: "{tls}/server.pem", key: "{tls}/server-key.pem" }}\n'
            f'compression: [zlib, zstd]\nreplication: allow\n'
            f'backend:\n  address: "{server.facts["host"]}:{server.facts["port"]}"\n'
            f'  control: {{ user: sealwire, password: control-secret }}\n'
            f'kms: {{ provider: local, keyring: "{folder}/keyring" }}\nvault: {VAULT}.data_keys\ntables:\n'
            + "".join(f'  "{PROTECTED}.{table}": {{ columns: {{ sealed: {{}} }} }}\n' for table in tables))
        self.process = subprocess.Popen([ROOT / "target/debug/sealwire", "run", "-c", config], stdin=subprocess.DEVNULL,
                                        stdout=subprocess.DEVNULL, stderr=self.log.open("wb"))
        deadline = time.monotonic() + 30
        while not (found := re.search(r"listening on 127\.0\.0\.1:(\d+)", self.log.read_text(errors="replace"))):
            if self.process.poll() is not None or time.monotonic() > deadline:
                self.stop()
                raise RuntimeError("the proxy does not start:\n" + self.log.read_text(errors="replace"))
            time.sleep(0.05)
        self.port = int(found[1])

    def alive(self):
        return self.process.poll() is None

    def stop(self):
        self.process.terminate()
        try:
            self.process.wait(30)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


class Suite:
    def __init__(self, script):
        self.script = script
        self.name = script.parent.name

    def ask(self, what):
        return subprocess.run([self.script, what], check=True, capture_output=True, text=True).stdout.strip()

    def run(self, server, port, socket, base):
        """{test: outcome}; what it printed is in BASE.log."""
        outcomes = beside(base, ".outcomes")
        outcomes.write_bytes(b"")
        with tempfile.TemporaryDirectory(prefix="sealwire-suite.") as folder, open(beside(base, ".log"), "wb") as log:
            environment = dict(os.environ, SUITE_HOST="127.0.0.1", SUITE_PORT=str(port), SUITE_SOCKET=socket,
                               SUITE_SCHEMA=SCHEMA, SUITE_OTHER_SCHEMA=OTHER_SCHEMA, SUITE_TLS=server.facts["tls"],
                               SUITE_OUTCOMES=str(outcomes), PYTHONHASHSEED="0", PYTHONDONTWRITEBYTECODE="1")
            process = subprocess.Popen([self.script], cwd=folder, stdin=subprocess.DEVNULL, stdout=log,
                                       stderr=subprocess.STDOUT, env=environment, start_new_session=True)
            try:
                process.wait(PATIENCE)
            except subprocess.TimeoutExpired:
                print(f"{base.name}: not finished after {PATIENCE} s", flush=True)
            finally:
                if process.poll() is None:
                    os.killpg(process.pid, signal.SIGKILL)
                    process.wait()
        found, seen = {}, collections.Counter()
        for line in outcomes.read_text(errors="backslashreplace").splitlines():
            outcome, test = line.split("\t", 1)
            seen[test] += 1
            found[test if seen[test] == 1 else f"{test} ({seen[test]})"] = outcome
        return found

    def directly(self, server_name, options, base):
        with Server(server_name, options) as server:
            found = self.run(server, server.facts["port"], server.facts["socket"], base)
            return found, server.tables_made()

    def through(self, server_name, options, tables, base):
        with Server(server_name, options) as server, tempfile.TemporaryDirectory(prefix="sealwire-proxy.") as folder:
            proxy = Proxy(server, pathlib.Path(folder), tables)
            try:
                found = self.run(server, proxy.port, proxy.socket, base)
                return found, proxy.alive()
            finally:
                proxy.stop()
                shutil.copy(proxy.log, beside(base, ".proxy.log"))


def worse(direct, through):
    return through != direct and (direct == "ok" or (direct == "skip" and through not in ("ok", "skip")))


def meant(suite, server, way, test):
    """The entry of differences.json that a difference falls under."""
    for known in json.loads((HERE / "differences.json").read_text()):
        if all(re.fullmatch(known.get(key, ".*"), value)
               for key, value in (("suite", suite), ("server", server), ("way", way), ("test", test))):
            return known


def compare(suite, server, ways):
    """A row for each way, as it ends."""
    folder = OUT / server
    folder.mkdir(parents=True, exist_ok=True)
    base = folder / suite.name
    options = suite.ask("--options").split()
    began = time.monotonic()
    direct, tables = suite.directly(server, options, beside(base, ".direct"))
    took = time.monotonic() - began
    count = collections.Counter(direct.values())
    print(f"      {suite.name:12} {server:11} {took:5.0f} s  directly: {dict(count)}", flush=True)
    if not count["ok"]:
        yield dict(way="directly", outcome="fail", said="nothing passes directly", direct=count)
        return
    again = None
    for way in ways:
        began = time.monotonic()
        found, alive = suite.through(server, options, tables if way == "namesakes" else NAMED_BY_NOBODY,
                                     beside(base, f".{way}"))
        different = [test for test in direct.keys() | found.keys() if direct.get(test) != found.get(test)]
        known = {test for test in different if meant(suite.name, server, way, test)}
        rest = sorted(set(different) - known)
        if rest and again is None:
            again, _ = suite.directly(server, options, beside(base, ".again"))
        unsteady = {test for test in rest if direct.get(test) != again.get(test)}
        new = [test for test in rest
               if test not in unsteady and worse(direct.get(test, "missing"), found.get(test, "missing"))]
        lines = [f"{kind}: {direct.get(test, 'missing')} directly, {found.get(test, 'missing')} through: {test}"
                 for test in sorted(different)
                 for kind in ["new failure" if test in new else "unsteady" if test in unsteady
                              else "meant" if test in known else "other"]]
        beside(base, f".{way}.diff").write_text("".join(line + "\n" for line in lines))
        said = [f"{len(new)} new failures, see {base.relative_to(ROOT)}.{way}.diff"] if new else []
        if not alive:
            said.append("the proxy ended")
        row = dict(way=way, outcome="fail" if said else "pass", said="; ".join(said), direct=count, new=len(new),
                   through=collections.Counter(found.values()), meant=len(known), unsteady=len(unsteady),
                   namesakes=len(tables) if way == "namesakes" else 0)
        print(f"{row['outcome']:5} {suite.name:12} {server:11} {time.monotonic() - began:5.0f} s  {way}: "
              f"{dict(row['through'])}, {len(known)} meant, {len(unsteady)} unsteady  {row['said']}", flush=True)
        yield row


def summarise():
    """summary.md, of all results there are."""
    lines = ["| suite | server | way | tests | skipped directly | passed directly | passed through | meant | unsteady | new failures |",
             "|---|---|---|---|---|---|---|---|---|---|"]
    for path in sorted(OUT.glob("*.json")):
        kept = json.loads(path.read_text())
        for row in kept["rows"]:
            direct, through = row["direct"], row.get("through", {})
            lines.append("| " + " | ".join(str(cell) for cell in (
                kept["version"], kept["server"], row["way"], sum(direct.values()), direct.get("skip", 0),
                direct.get("ok", 0), through.get("ok", "-"), row.get("meant", "-"), row.get("unsteady", "-"),
                row.get("new", row["said"]))) + " |")
    (OUT / "summary.md").write_text("\n".join(lines) + "\n")


def main():
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--server", action="append", choices=SERVERS)
    arguments.add_argument("--way", action="append", choices=WAYS)
    arguments.add_argument("suite", nargs="*")
    arguments = arguments.parse_args()
    suites = [Suite(script) for script in sorted(HERE.glob("*/run.sh"))]
    if unknown := set(arguments.suite) - {suite.name for suite in suites}:
        sys.exit(f"no such suite: {' '.join(sorted(unknown))}")
    OUT.mkdir(parents=True, exist_ok=True)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that the servers are stopped
    failed = ran = 0
    for suite in suites:
        if arguments.suite and suite.name not in arguments.suite:
            continue
        subprocess.run([suite.script, "--install"], check=True, stdin=subprocess.DEVNULL)
        for server in arguments.server or SERVERS:
            kept = dict(version=suite.ask("--version"), server=server, rows=[])
            try:
                for row in compare(suite, server, arguments.way or WAYS):
                    kept["rows"].append(row)
                    (OUT / f"{suite.name}.{server}.json").write_text(json.dumps(kept, indent=1))
                    summarise()
            except Exception as error:  # one suite's trouble is not another's
                kept["rows"].append(dict(outcome="fail"))
                print(f"fail  {suite.name:12} {server:11}  {type(error).__name__}: {error}", flush=True)
            ran += len(kept["rows"])
            failed += sum(row["outcome"] == "fail" for row in kept["rows"])
    print(f"{ran - failed} passed, {failed} failed; see {(OUT / 'summary.md').relative_to(ROOT)}")
    sys.exit(1 if failed or not ran else 0)


main()
