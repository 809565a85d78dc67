"""Runs third-party clients on plain tables directly and on protected ones through Sealwire, and compares.

See run.sh. For each server and driver the schema, the account and the proxy are made anew, so that the two runs
differ in nothing but the way they take. Passes when the transcripts are equal, when the refusals that were expected
came, and when the server stored sealed values only and never saw the marker that every protected value holds.
"""

import argparse
import difflib
import json
import os
import pathlib
import re
import signal
import subprocess
import sys
import tempfile
import time

import pymysql

HERE = pathlib.Path(__file__).parent
ROOT = HERE.parent.parent
OUT = ROOT / "target" / "clients"
SCHEMA = f"t_clients_{os.getpid()}"
VAULT = f"{SCHEMA}_vault"
USER, PASSWORD = f"client_{os.getpid()}", "client-secret"
MARKER = b"Zeehond"
PROTECTED = {
    "users": ["email", "token", "biography"],
    "everything": ["sealed_text", "sealed_bytes", "sealed_last"],
    "large": ["body", "data"],
    "accounts": ["password", "client_secret"],
}
SEALED = re.compile(rb"(?:pQ[EIM][A-Za-z0-9+/]{44,}\.|\xa5[\x01-\x03].{33,})\Z", re.DOTALL)
SKIPPED = 77
PATIENCE = 600


class Server:
    def __init__(self, name, facts):
        self.name = name
        self.facts = facts

    def admin(self):
        return pymysql.connect(host=self.facts["host"], port=self.facts["port"], user="root", autocommit=True,
                               charset="utf8mb4", max_allowed_packet=64 << 20)

    def do(self, *statements):
        with self.admin() as conn, conn.cursor() as cursor:
            for statement in statements:
                cursor.execute(statement)

    def prepare(self):
        """The schema, empty, and the account, unknown to the server's cache of passwords."""
        tables = [s for s in re.split(r";\n(?=CREATE|\Z)", (HERE / "schema.sql").read_text()) if s.strip()]
        tables = [re.sub(r"^--.*\n", "", s) for s in tables]
        self.remove()
        self.do(f"CREATE SCHEMA {SCHEMA} DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_general_ci",
                f"CREATE USER {USER}@'%' IDENTIFIED BY '{PASSWORD}'",
                f"GRANT ALL ON {SCHEMA}.* TO {USER}@'%'",
                f"USE {SCHEMA}", )
        with self.admin() as conn, conn.cursor() as cursor:
            cursor.execute(f"USE {SCHEMA}")
            for table in tables:
                cursor.execute(table)

    def remove(self):
        self.do("SET SESSION lock_wait_timeout = 20", f"DROP SCHEMA IF EXISTS {SCHEMA}", f"DROP SCHEMA IF EXISTS {VAULT}",
                f"DROP USER IF EXISTS {USER}@'%'")

    def prune(self):
        """Large values fill the logs; what they hold has been looked at."""
        if os.environ.get("CLIENTS_PRUNE"):
            self.do("FLUSH BINARY LOGS", "PURGE BINARY LOGS BEFORE NOW() + INTERVAL 1 DAY" if self.name == "mysql"
                    else "PURGE BINARY LOGS BEFORE '2099-01-01'")
            os.truncate(self.facts["general_log"], 0)

    def unsealed(self):
        """What the tables hold that is not sealed: (table, column, beginning); and how many values are."""
        wrong, right = [], 0
        with self.admin() as conn, conn.cursor() as cursor:
            for table, columns in PROTECTED.items():
                for column in columns:
                    cursor.execute(f"SELECT {column} FROM {SCHEMA}.{table} WHERE {column} IS NOT NULL")
                    for (stored,) in cursor.fetchall():
                        stored = stored.encode() if isinstance(stored, str) else stored
                        if SEALED.match(stored) and MARKER not in stored:
                            right += 1
                        else:
                            wrong.append((table, column, stored[:40]))
        return wrong, right

    def log_size(self):
        return os.path.getsize(self.facts["general_log"])

    def log_holds_marker(self, start):
        """Whether the general log holds the marker from this offset on. The refused statements are in it too."""
        with open(self.facts["general_log"], "rb") as log:
            log.seek(start)
            tail = b""
            while block := log.read(1 << 22):
                if MARKER in tail + block:
                    return True
                tail = block[-len(MARKER):]
        return False


class Proxy:
    def __init__(self, server, folder):
        self.log = folder / "proxy.log"
        config = folder / "sealwire.yaml"
        tls = server.facts["tls"]
        tables = "".join(f"  {SCHEMA}.{table}:\n    columns:\n" + "".join(f"      {column}: {{}}\n" for column in columns)
                         for table, columns in PROTECTED.items())
        config.write_text(
            f'listen: ["127.0.0.1:0"]\n'
            f'tls: {{ mode: optional, cert: "{tls}/server.pem", key: "{tls}/server-key.pem" }}\n'
            f'backend:\n  address: "{server.facts["host"]}:{server.facts["port"]}"\n'
            f'  control: {{ user: sealwire, password: control-secret }}\n'
            f'kms: {{ provider: local, keyring: "{folder}/keyring" }}\nvault: {VAULT}.data_keys\ntables:\n{tables}')
        binary = os.environ.get("CLIENTS_BINARY", str(ROOT / "target/debug/sealwire"))
        self.process = subprocess.Popen([binary, "run", "-c", str(config)], stdin=subprocess.DEVNULL,
                                        stdout=subprocess.DEVNULL, stderr=self.log.open("wb"))
        deadline = time.monotonic() + 30
        while not (found := re.search(r"listening on 127\.0\.0\.1:(\d+)", self.log.read_text(errors="replace"))):
            if self.process.poll() is not None or time.monotonic() > deadline:
                self.stop()
                raise RuntimeError("the proxy does not start:\n" + self.log.read_text(errors="replace"))
            time.sleep(0.05)
        self.port = int(found[1])

    def stop(self):
        self.process.terminate()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


def transcript(script, driver, server, port, scenario, path, errors):
    """Runs the client once; gives its exit status."""
    environment = dict(os.environ, CLIENT_HOST="127.0.0.1", CLIENT_PORT=str(port), CLIENT_USER=USER,
                       CLIENT_PASSWORD=PASSWORD, CLIENT_SCHEMA=SCHEMA, CLIENT_CA=f"{server.facts['tls']}/ca.pem",
                       CLIENT_SCENARIO=str(HERE / scenario), CLIENT_SERVER=server.name, PYTHONHASHSEED="0")
    with open(path, "wb") as out, open(errors, "wb") as err:
        process = subprocess.Popen([str(script), driver], stdin=subprocess.DEVNULL, stdout=out, stderr=err,
                                   env=environment, start_new_session=True)
        try:
            return process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            return "timeout"


def known_differences():
    """Lines that may differ, each for a reason stated in docs/clients.md: (driver pattern, line pattern, replacement)."""
    return json.loads((HERE / "differences.json").read_text())


def lines(path, driver, server):
    text = path.read_bytes().decode(errors="backslashreplace")
    for known in known_differences():
        if re.fullmatch(known["driver"], driver) and re.fullmatch(known.get("server", ".*"), server):
            text = re.sub(known["line"], known["as"], text, flags=re.MULTILINE)
    return text.splitlines()


def compare(script, language, driver, server):
    """("pass" | "fail" | "skip", what there is to say)."""
    name = f"{language}/{driver}"
    folder = OUT / server.name
    folder.mkdir(parents=True, exist_ok=True)
    base = f"{language}-{driver}"
    direct, through, refusals = (folder / f"{base}.{way}.txt" for way in ("direct", "proxy", "refusals"))
    errors = folder / f"{base}.err"
    difference = folder / f"{base}.diff"
    difference.unlink(missing_ok=True)
    server.prepare()
    status = transcript(script, driver, server, server.facts["port"], "scenario.json", direct, errors)
    if status == SKIPPED:
        return "skip", errors.read_text(errors="replace").strip().splitlines()[-1]
    if status != 0:
        return "fail", f"directly: status {status}, see {errors.relative_to(ROOT)}"
    if not direct.read_bytes().rstrip().endswith(b"end"):
        return "fail", f"directly: the transcript does not end, see {direct.relative_to(ROOT)}"
    server.prepare()
    start = server.log_size()
    with tempfile.TemporaryDirectory(prefix="sealwire-clients.") as temporary:
        proxy = Proxy(server, pathlib.Path(temporary))
        try:
            status = transcript(script, driver, server, proxy.port, "scenario.json", through, errors)
            said = []
            if status != 0:
                said.append(f"through the proxy: status {status}, see {errors.relative_to(ROOT)}")
            one, two = lines(direct, name, server.name), lines(through, name, server.name)
            if one != two:
                diff = list(difflib.unified_diff(one, two, "direct", "proxy", lineterm="", n=2))
                difference.write_text("\n".join(diff) + "\n")
                changed = sum(1 for line in diff if line[:1] in "+-") - 2
                said.append(f"{changed} lines differ, see {difference.relative_to(ROOT)}")
            wrong, right = server.unsealed()
            if wrong:
                said.append(f"NOT SEALED: {wrong[:3]}")
            if right == 0:
                said.append("nothing was sealed")
            if language not in ("laravel",):
                with server.admin() as conn, conn.cursor() as cursor:
                    cursor.execute(f"DELETE FROM {SCHEMA}.users")
                status = transcript(script, driver, server, proxy.port, "refusals.json", refusals, errors)
                said.extend(check_refusals(refusals, status))
                wrong, _ = server.unsealed()
                if wrong:
                    said.append(f"NOT SEALED after refusals: {wrong[:3]}")
            if server.log_holds_marker(start):
                said.append("PLAINTEXT reached the server")
        finally:
            proxy.stop()
            (folder / f"{base}.proxy.log").write_bytes(proxy.log.read_bytes())
    if said:
        return "fail", "; ".join(said)
    return "pass", f"{len(one)} lines equal, {right} values sealed"


def check_refusals(path, status):
    """The codes that a client was given, in order, and that its connection still works."""
    text = path.read_bytes().decode(errors="backslashreplace")
    expected = [step["expect"] for step in json.loads((HERE / "refusals.json").read_text()) if "expect" in step]
    found = [found[0] for found in re.finditer(r"SW-\d{4}", text)]
    # A client may print a message twice, as error and as warning.
    found = [code for i, code in enumerate(found) if i == 0 or code != found[i - 1]]
    said = []
    if found != expected:
        said.append(f"refused with {found}, expected {expected}")
    if status != 0 or not text.rstrip().endswith("end") or "alive" not in text:
        said.append(f"the connection did not outlive the refusals, see {path.relative_to(ROOT)}")
    return said


def main():
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--server", action="append")
    arguments.add_argument("driver", nargs="*")
    arguments = arguments.parse_args()
    servers = json.load(open(os.environ["SEALWIRE_TEST_SERVERS"]))
    servers = [Server(name, facts) for name, facts in servers.items() if "port" in facts]
    if arguments.server:
        servers = [server for server in servers if server.name in arguments.server]
    table, failed = [], 0
    wanted = set(arguments.driver)
    for script in sorted(HERE.glob("*/run.sh")):
        language = script.parent.name
        drivers = subprocess.run([script, "--drivers"], check=True, capture_output=True, text=True).stdout.split()
        drivers = [d for d in drivers if not wanted or wanted & {d, language, f"{language}/{d}"}]
        if not drivers:
            continue
        installed = subprocess.run([script, "--install"], capture_output=True, text=True, stdin=subprocess.DEVNULL)
        for driver in drivers:
            version = ""
            if installed.returncode == 0:
                version = subprocess.run([script, "--version", driver], capture_output=True, text=True).stdout.strip()
            for server in servers:
                began = time.monotonic()
                if installed.returncode != 0:
                    outcome, said = "skip", "not installed: " + (installed.stderr.strip().splitlines() or ["?"])[-1]
                else:
                    try:
                        outcome, said = compare(script, language, driver, server)
                    except Exception as error:  # one client's trouble is not another's
                        outcome, said = "fail", f"{type(error).__name__}: {error}"
                    finally:
                        server.prune()
                failed += outcome == "fail"
                table.append((f"{language}/{driver}", version, server.name, outcome, said))
                print(f"{outcome:5} {language}/{driver:14} {server.name:11} {time.monotonic() - began:5.0f} s  {said}", flush=True)
    for server in servers:
        server.remove()
    counts = {outcome: sum(row[3] == outcome for row in table) for outcome in ("pass", "fail", "skip")}
    OUT.mkdir(parents=True, exist_ok=True)
    (OUT / "summary.md").write_text("| client | version | server | result | |\n|---|---|---|---|---|\n"
                                    + "".join("| " + " | ".join(row) + " |\n" for row in table))
    print(f"{counts['pass']} passed, {counts['fail']} failed, {counts['skip']} skipped")
    sys.exit(1 if failed or not counts["pass"] else 0)


main()
