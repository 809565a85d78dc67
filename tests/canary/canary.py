#!/usr/bin/env python3
"""The leak oracle (`make canary`).

Every statement of a corpus is rewritten mechanically (rewrite.py) onto tables whose text columns are protected, with
values that can be found again, and run through the proxy; the same statement, with values of its own, runs on an
unprotected twin without the proxy. Then:

* results, affected rows, errors and the tables' contents must be equal, or the proxy must have refused;
* every cell of a protected column must be NULL or a sealed value;
* no value that ended in a protected column of the twin, and none of a refused statement, may be anywhere in the
  server's general log, binary log or data files.

Reports counts: equal, refused by reason, different (must be 0), leaked (must be 0).
"""
import argparse
import collections
import datetime  # noqa: F401: in the reprs of rows
import gzip
import json
import os
import pathlib
import re
import subprocess
import sys
import tempfile
import time

import mysql.connector
import pymysql

from decimal import Decimal  # noqa: F401: likewise

from generate import statements as generated
from rewrite import TABLES, Values, rewrite, with_values

ROOT = pathlib.Path(__file__).resolve().parents[2]
SEALED_TEXT = re.compile(rb"^pQ[EIM][A-Za-z0-9+/]{44,}\.$")
PROTECTED = ["s1", "s2", "s3", "b1", "n2", "n3", "d1"]
COLUMNS = {
    "s1": "varchar(500) CHARACTER SET {charset}",
    "s2": "varchar(500) CHARACTER SET {charset}",
    "s3": "varchar(500) CHARACTER SET {charset} NOT NULL DEFAULT ''",
    "b1": "varbinary(600)",
    "note": "varchar(500) CHARACTER SET {plain}",
}
# Of a declared type: text where it is protected, the type itself on the twin.
TYPED = {"n2": "int", "n3": "bigint", "d1": "datetime"}
CONFIG = """\
listen: ["127.0.0.1:{port}"]
backend:
  address: "{host}:{server_port}"
  tls: {{ mode: preferred }}
  control: {{ user: sealwire, password: control-secret }}
kms: {{ provider: local, keyring: keyring }}
vault: {schema}_vault.data_keys
tables:
"""
COLUMN_CONFIG = """\
      s1: {}
      s2: { search: exact }
      s3: { search: exact }
      b1: {}
      n2: { type: int }
      n3: { type: bigint, search: exact }
      d1: { type: datetime, search: exact }
"""
# Nothing here answers alike twice, or waits.
SKIPPED = re.compile(
    r"\b(SLEEP|BENCHMARK|GET_LOCK|RELEASE_LOCK|IS_FREE_LOCK|UUID|UUID_SHORT|RAND|CONNECTION_ID|MASTER_POS_WAIT|"
    r"WAIT_FOR_\w+|SYSDATE|LAST_INSERT_ID|LOAD_FILE|NEXTVAL|LASTVAL|SETVAL|GTID_\w+)\b", re.I)
# A choice among rows that the statement leaves to the server.
CHOOSES = re.compile(r"\bLIMIT\b|\bGROUP_CONCAT\b|\bJSON_\w*AGG\b|\bANY_VALUE\b|\bFIRST_VALUE\b|\bROW_NUMBER\b|@", re.I)
MODES = ["ONLY_FULL_GROUP_BY,STRICT_TRANS_TABLES", "ONLY_FULL_GROUP_BY"]


class Outcome:
    """What one statement answered: rows, or a count, or an error."""

    def __init__(self, rows=None, names=None, count=None, error=None, message=""):
        self.rows, self.names, self.count, self.error, self.message = rows, names, count, error, message

    def refused(self):
        found = re.search(r"sealwire (SW-\d{4})", self.message)
        return found.group(1) if found else None

    def key(self):
        if self.error is not None:
            return ("error", self.error)
        if self.rows is not None:
            return ("rows", self.names, sorted(map(repr, self.rows)))
        return ("done", self.count)


def text(value):
    return value.decode("utf-8", "replace") if isinstance(value, (bytes, bytearray)) else value


class Side:
    """One of the two runs: a text connection and one for prepared statements."""

    def __init__(self, host, port, schema, mode, mariadb):
        self.options = dict(host=host, port=port, user="app", password="app-secret", database=schema)
        self.schema, self.mode, self.mariadb = schema, mode, mariadb
        self.connect()

    def connect(self):
        flag = pymysql.constants.CLIENT.FOUND_ROWS
        self.conn = pymysql.connect(
            **self.options, charset="utf8mb4", client_flag=flag, autocommit=True, read_timeout=30)
        self.prepared = mysql.connector.connect(
            **self.options, charset="utf8mb4", collation="utf8mb4_general_ci", use_pure=True, autocommit=True,
            client_flags=[mysql.connector.constants.ClientFlag.FOUND_ROWS])
        for run in (self.conn.cursor().execute, self.prepared.cursor().execute):
            run(f"SET sql_mode = '{self.mode}'")
            run("SET max_statement_time = 5" if self.mariadb else "SET max_execution_time = 5000")

    def begin(self, prepared):
        self.cursor = self.prepared.cursor(prepared=True) if prepared else self.conn.cursor()
        self.plain("BEGIN", prepared)

    def plain(self, sql, prepared=False):
        cursor = self.prepared.cursor() if prepared else self.conn.cursor()
        cursor.execute(sql)
        rows = cursor.fetchall() if cursor.description else None
        cursor.close()
        return rows

    def run(self, sql, parameters, prepared):
        cursor = self.prepared.cursor(prepared=True) if prepared else self.conn.cursor()
        try:
            cursor.execute(sql, tuple(parameters)) if prepared else cursor.execute(sql)
            if cursor.description:
                rows = [tuple(text(v) for v in row) for row in cursor.fetchall()]
                return Outcome(rows=rows, names=[d[0] for d in cursor.description])
            return Outcome(count=cursor.rowcount)
        except pymysql.err.MySQLError as error:
            code = error.args[0] if error.args else 0
            if code in (2006, 2013, 0):
                raise
            return Outcome(error=code, message=str(error.args[1] if len(error.args) > 1 else ""))
        except mysql.connector.Error as error:
            if error.errno in (2006, 2013, 2055, -1, None):
                raise
            return Outcome(error=error.errno, message=str(error.msg))
        finally:
            try:
                cursor.close()
            except Exception:
                pass

    def dump(self, prepared):
        """Every table, new ids left out: refused statements use none up."""
        rows = []
        for table in TABLES:
            found = self.plain(f"SELECT id, n1, s1, s2, s3, b1, note, n2, n3, d1 FROM {table}", prepared)
            rows += sorted((table, *("new" if i == 0 and v and v > 6 else text(v) for i, v in enumerate(row))).__repr__()
                           for row in found)
        return rows

    def rollback(self, prepared):
        self.plain("ROLLBACK", prepared)


def tables(root, schema, sealed, mariadb):
    root.execute(f"DROP SCHEMA IF EXISTS {schema}")
    root.execute(f"CREATE SCHEMA {schema} DEFAULT CHARACTER SET utf8mb4")
    bin_collation = "utf8mb4 COLLATE " + ("utf8mb4_nopad_bin" if mariadb else "utf8mb4_0900_bin")
    charset = "ascii COLLATE ascii_bin" if sealed else bin_collation
    typed = ", ".join(f"{n} varchar(191) CHARACTER SET ascii COLLATE ascii_bin" if sealed else f"{n} {t}"
                      for n, t in TYPED.items())
    columns = ", ".join(f"{n} {d.format(charset=charset, plain=bin_collation)}" for n, d in COLUMNS.items())
    for table in TABLES:
        root.execute(f"CREATE TABLE {schema}.{table} (id int PRIMARY KEY AUTO_INCREMENT, n1 int, {typed}, {columns}, "
                     f"KEY n1 (n1), KEY s2 (s2(100)))")


def fill(side):
    for at, table in enumerate(TABLES):
        for k in range(6):
            null = "NULL" if k == 3 else f"'seed{k}'"
            side.plain(f"INSERT INTO {table} VALUES ({k + 1}, {k % 3}, {k + at}, {k}, '2024-01-0{k + 1} 10:00:00', {null}, "
                       f"'seed{(k + at) % 4}', "
                       f"'seed{k}', {null}, 'seed{k}')")


def corpus(folder, kinds, sources):
    for path in sorted(pathlib.Path(folder).glob("*.jsonl*")):
        opened = gzip.open(path, "rt") if path.suffix == ".gz" else open(path)
        for line in opened:
            entry = json.loads(line)
            kind, source = entry.get("kind", "dml"), entry.get("src", path.stem)
            if kind in kinds and (not sources or source in sources):
                yield source, entry["sql"].strip().rstrip(";")


def free_port():
    import socket
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


class Proxy:
    def __init__(self, server, schema, binary):
        self.folder = tempfile.TemporaryDirectory(prefix="sealwire-canary")
        self.port = free_port()
        config = CONFIG.format(port=self.port, host=server["host"], server_port=server["port"], schema=schema)
        for table in TABLES:
            config += f"  {schema}.{table}:\n    columns:\n{COLUMN_CONFIG}"
        path = pathlib.Path(self.folder.name) / "sealwire.yaml"
        path.write_text(config)
        log = open(pathlib.Path(self.folder.name) / "log", "wb")
        self.process = subprocess.Popen([binary, "run", "-c", path], stdout=log, stderr=log)
        for _ in range(200):
            time.sleep(0.05)
            if b"listening on" in (pathlib.Path(self.folder.name) / "log").read_bytes():
                return
        sys.exit((pathlib.Path(self.folder.name) / "log").read_text())

    def log(self):
        return (pathlib.Path(self.folder.name) / "log").read_bytes()

    def stop(self):
        self.process.terminate()
        self.process.wait()
        self.folder.cleanup()


class Report:
    def __init__(self):
        self.equal = self.invalid = self.chosen = self.unstable = 0
        self.refused = collections.Counter()
        self.examples, self.different, self.leaked, self.raw = {}, [], [], []
        self.by_source = collections.defaultdict(collections.Counter)


def without_limit(sql):
    return re.sub(r"\bLIMIT\s+\S+(\s*,\s*\S+|\s+OFFSET\s+\S+)?\s*$", "", sql, flags=re.I)


def compare(name, server, arguments, binary):
    mariadb = name != "mysql"
    root = pymysql.connect(host=server["host"], port=server["port"], user="root", autocommit=True, charset="utf8mb4")
    cursor = root.cursor()
    run = f"{os.getpid() % 100000:05d}{name[-3:]}"
    schema = f"t_canary_{run}"
    tables(cursor, schema, True, mariadb)
    tables(cursor, schema + "_p", False, mariadb)
    proxy = Proxy(server, schema, binary)
    report = Report()
    must_not_leak = set()
    reserved = arguments.reserved
    direct = pymysql.connect(host=server["host"], port=server["port"], user="root", database=schema, autocommit=True,
                             charset="utf8mb4")
    direct.cursor().execute("SET SESSION TRANSACTION ISOLATION LEVEL READ UNCOMMITTED")
    values = {"sealed": Values(f"Cs{run}", 0), "plain": Values(f"Cp{run}", 0)}
    pairs = []
    for mode in MODES:
        pairs.append((Side("127.0.0.1", proxy.port, schema, mode, mariadb),
                      Side(server["host"], server["port"], schema + "_p", mode, mariadb)))
    for side in pairs[0]:
        fill(side)

    def neutral(key):
        return (repr(key).replace(f"Cs{run}", "C").replace(f"Cp{run}", "C").replace(schema + "_p", "S")
                .replace(schema, "S"))

    def both(sides, statements, prepared, first_word):
        """Runs a statement on both sides, in a transaction that is rolled back."""
        outcomes, dumps, sealed_cells = [], [], []
        writes = first_word not in ("SELECT", "TABLE", "VALUES", "SHOW", "(")
        for side, (sql, parameters) in zip(sides, statements):
            try:
                side.plain("BEGIN", prepared)
                outcome = side.run(sql, parameters, prepared)
                if outcome.error is None and writes:
                    dumps.append(side.dump(prepared))
                    if side is sides[0]:
                        for table in TABLES:
                            with direct.cursor() as check:
                                check.execute(f"SELECT {', '.join(PROTECTED)} FROM {table}")
                                sealed_cells += [cell for row in check.fetchall() for cell in row]
                side.rollback(prepared)
            except Exception as error:
                outcome = Outcome(error="broken", message=repr(error))
                side.connect()
            outcomes.append(outcome)
        return outcomes, dumps, sealed_cells

    count = 0
    started = time.time()
    if arguments.generate:
        statements_of, put = generated(arguments.generate, arguments.seed), with_values
    else:
        statements_of, put = corpus(arguments.corpus, arguments.kinds, arguments.sources), rewrite
    for source, sql in statements_of:
        if SKIPPED.search(sql) or len(sql) > 20000:
            continue
        for salt in range(arguments.seeds):
            prepared = salt % 2 == 1
            statements = [put(sql, reserved, salt, values[kind], prepared) for kind in ("sealed", "plain")]
            if prepared and not statements[0][1]:
                continue
            used = {kind: values[kind].used[:] for kind in values}
            for kind in values:
                values[kind].used.clear()
            count += 1
            sides = pairs[(count // 2) % len(pairs)]
            if prepared and "%" in statements[0][0]:
                continue
            first_word = (re.findall(r"^\s*([A-Za-z]+|\()", statements[0][0]) or [""])[0].upper()
            (sealed, plain), dumps, cells = both(sides, statements, prepared, first_word)
            label = f"{statements[0][0]}" + (f"  -- {statements[0][1]}" if prepared else "")
            raw = [c for c in cells if c is not None and not (
                SEALED_TEXT.match(c.encode() if isinstance(c, str) else c)
                or isinstance(c, bytes) and c[:2] in (b"\xa5\x01", b"\xa5\x02") and len(c) >= 35)]
            if raw:
                report.raw.append((label, raw[0]))
            code = sealed.refused()
            if code:
                must_not_leak.update(used["sealed"])
                report.by_source[source]["invalid" if plain.error else "refused"] += 1
                if plain.error:
                    report.invalid += 1
                    continue
                report.refused[code] += 1
                report.examples.setdefault(code, []).append((label, sealed.message))
                continue
            if len(dumps) == 2:
                stored = " ".join(dumps[1])
                must_not_leak.update(
                    value for value, twin in zip(used["sealed"], used["plain"])
                    if twin in stored and protected_cell(dumps[1], twin))
            equal = neutral(sealed.key()) == neutral(plain.key()) and neutral(dumps[:1]) == neutral(dumps[1:])
            if plain.error and sealed.error:
                report.invalid += 1
                report.by_source[source]["invalid"] += 1
                if plain.error != sealed.error:
                    report.different.append((label, f"error {plain.error} directly, {sealed.error}: {sealed.message}"))
                continue
            if equal:
                report.equal += 1
                report.by_source[source]["equal"] += 1
                continue
            # A function of a value: the same value on both sides (of no pool that is searched for).
            same = [(s.replace(f"C{a}{run}", f"Cx{run}"), [v.replace(f"C{a}{run}", f"Cx{run}") for v in p])
                    for (s, p), a in zip(statements, "sp")]
            (a, b), d, _ = both(sides, same, prepared, first_word)
            if neutral(a.key()) == neutral(b.key()) and neutral(d[:1]) == neutral(d[1:]):
                report.equal += 1
                report.by_source[source]["equal"] += 1
                continue
            # The server may choose among rows, or answer otherwise each time.
            if CHOOSES.search(sql):
                shorter = [(without_limit(s), p) for s, p in statements]
                (a, b), d, _ = both(sides, shorter, prepared, first_word)
                if neutral(a.key()) == neutral(b.key()) or len(a.rows or []) == len(b.rows or [1]):
                    report.chosen += 1
                    continue
            (_, again), again_dumps, _ = both(sides, statements, prepared, first_word)
            if neutral(again.key()) != neutral(plain.key()):
                report.unstable += 1
                continue
            if "DUPLICATE" in sql.upper() and sealed.count != plain.count and dumps[:1] and (
                neutral(dumps[:1]) == neutral(dumps[1:])):
                # A random value is another one each time: a change where the twin has none.
                report.equal += 1
                continue
            report.different.append((label, f"directly {neutral(plain.key())[:300]} {plain.message[:100]}; through the "
                                            f"proxy {neutral(sealed.key())[:300]} {sealed.message[:100]}"))
        if arguments.limit and count >= arguments.limit:
            break
    elapsed = time.time() - started
    time.sleep(1)
    cursor.execute("FLUSH LOGS")
    pattern = re.compile(rf"Cs{run}\d{{8}}Z".encode())
    found = set()
    for path in [pathlib.Path(server["general_log"]), *pathlib.Path(server["binlog"]).rglob("*"),
                 *pathlib.Path(server["data"]).rglob("*")]:
        if path.is_file():
            try:
                for match in pattern.findall(path.read_bytes()):
                    if match.decode() in must_not_leak:
                        found.add((match.decode(), path.name))
            except OSError:
                continue
    for match in pattern.findall(proxy.log()):
        found.add((match.decode(), "the proxy's log"))
    report.leaked = sorted(found)
    report.searched = len(must_not_leak)
    proxy.stop()
    cursor.execute(f"DROP SCHEMA {schema}")
    cursor.execute(f"DROP SCHEMA {schema}_p")
    cursor.execute(f"DROP SCHEMA IF EXISTS {schema}_vault")
    show(name, report, count, elapsed, arguments)
    return not report.different and not report.leaked and not report.raw


def protected_cell(dump, value):
    """Whether the value stands in a protected column of a dumped row: (table, id, n1, s1, s2, s3, b1, ...)."""
    for row in dump:
        if value in row:
            cells = eval(row)  # noqa: S307: our own repr
            if any(value in str(cells[at]) for at in (3, 4, 5, 6)):
                return True
    return False


def show(name, report, count, elapsed, arguments):
    refused = sum(report.refused.values())
    valid = report.equal + report.chosen + report.unstable + refused + len(report.different)
    print(f"\n== {name}: {count} statements in {elapsed:.0f} s, {valid} valid there")
    print(f"  equal      {report.equal}  (and {report.chosen} with a choice left to the server, "
          f"{report.unstable} that answer differently each time)")
    print(f"  refused    {refused}")
    for code, number in report.refused.most_common():
        print(f"    {code}  {number}")
        for label, message in report.examples[code][: arguments.examples]:
            print(f"        {' '.join(label.split())[:200]}\n          {message[:200]}")
    print(f"  different  {len(report.different)}")
    for label, what in report.different[: arguments.show]:
        print(f"    {' '.join(label.split())[:600]}\n      {what}")
    print(f"  unsealed   {len(report.raw)}")
    for label, what in report.raw[: arguments.show]:
        print(f"    {' '.join(label.split())[:600]}\n      holds {what!r}")
    print(f"  leaked     {len(report.leaked)} of {report.searched} values searched for")
    for value, where in report.leaked[: arguments.show]:
        print(f"    {value} in {where}")
    for source, counter in sorted(report.by_source.items()):
        total = counter["equal"] + counter["refused"]
        if total:
            print(f"    {source:20} {counter['refused']:5} of {total:5} valid ones refused")
    sys.stdout.flush()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    shared = ROOT.parent / "shared" / "corpus"
    parser.add_argument("--corpus", default=str(shared if shared.is_dir() else ROOT / "tests" / "corpus"))
    parser.add_argument("--kinds", nargs="+", default=["dml"])
    parser.add_argument("--sources", nargs="*", default=[])
    parser.add_argument("--only", nargs="*", default=["mariadb", "mariadb118", "mysql"])
    parser.add_argument("--limit", type=int, default=0, help="statements a server, at most; 0: all")
    parser.add_argument("--generate", type=int, default=0, metavar="N", help="N statements out of a grammar instead")
    parser.add_argument("--seed", type=int, default=1, help="of what is generated")
    parser.add_argument("--seeds", type=int, default=2, help="rewritings of each statement; every other is prepared")
    parser.add_argument("--examples", type=int, default=0, help="examples of each reason")
    parser.add_argument("--show", type=int, default=20, help="differences and leaks shown")
    arguments = parser.parse_args()
    servers = json.loads(pathlib.Path(os.environ["SEALWIRE_TEST_SERVERS"]).read_text())
    words = set()
    mysql_server = servers["mysql"]
    conn = pymysql.connect(host=mysql_server["host"], port=mysql_server["port"], user="root")
    with conn.cursor() as cursor:
        cursor.execute("SELECT word FROM information_schema.keywords WHERE reserved = 1")
        words = {row[0].upper() for row in cursor.fetchall()}
    arguments.reserved = words | {"RETURNING", "OFFSET"}
    binary = os.environ.get("SEALWIRE_BINARY", str(ROOT / "target" / "debug" / "sealwire"))
    fine = [compare(name, servers[name], arguments, binary) for name in arguments.only if name in servers]
    print("\nfine" if all(fine) else "\nFAILED")
    sys.exit(0 if fine and all(fine) else 1)


if __name__ == "__main__":
    main()
