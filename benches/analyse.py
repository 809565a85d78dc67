#!/usr/bin/env python3
"""What the analysis of statements costs: `sealwire explain --log` over many statements of one kind, offline, its start
taken off; and over single statements of great size and depth, with the memory that they take. analyse.py BINARY
"""
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import time

BINARY = sys.argv[1]
DDL = """CREATE TABLE users (id int PRIMARY KEY AUTO_INCREMENT, email varchar(255), name varchar(255), phone varchar(255),
c1 int, c2 int, c3 varchar(99), c4 varchar(99), c5 date, c6 text, c7 decimal(9,2));
CREATE TABLE orders (id int PRIMARY KEY, user_id int, total int); CREATE TABLE items (id int PRIMARY KEY, order_id int);
"""
CONFIG = """listen: 127.0.0.1:1
backend: { address: 127.0.0.1:1, control: { user: x, password: y } }
kms: { provider: local, keyring: keyring }
tables: { shop.users: { columns: { email: {}, name: {}, phone: {} } } }
"""


def run(folder, statements):
    """Seconds, and the largest resident memory in MiB."""
    log = folder / "log.jsonl"
    with open(log, "w") as out:
        for statement in statements:
            out.write(json.dumps({"sql": statement, "schema": "shop"}) + "\n")
    started = time.perf_counter()
    process = subprocess.Popen(
        [BINARY, "explain", "-c", folder / "sealwire.yaml", "--ddl", folder / "schema.sql", "--log", log],
        stdout=subprocess.PIPE, text=True)
    report = process.stdout.read()
    _, status, usage = os.wait4(process.pid, 0)
    if os.waitstatus_to_exitcode(status) not in (0, 1):
        sys.exit(f"explain ended with {status}:\n{report}")
    return time.perf_counter() - started, usage.ru_maxrss / 1024, report


def row(n):
    return f"('a{n}@example.org', 'Name {n}', '+44 {n}', {n}, 2, 'three', 'four', '2024-01-02', 'six', 7.5)"


COLUMNS = "(email, name, phone, c1, c2, c3, c4, c5, c6, c7)"
MANY = [
    ("point select", 20000, lambda n: f"SELECT * FROM users WHERE id = {n}"),
    ("point select of a table beside, same names", 20000, lambda n: f"SELECT * FROM crm.users WHERE id = {n}"),
    ("three-way join", 5000, lambda n: "SELECT u.email, o.total FROM users u JOIN orders o ON o.user_id = u.id JOIN items i "
                                       f"ON i.order_id = o.id WHERE o.total > {n} ORDER BY o.id LIMIT 10"),
    ("ten-column insert, three sealed", 10000, lambda n: f"INSERT INTO users {COLUMNS} VALUES {row(n)}"),
    ("insert of 100 rows", 200, lambda n: f"INSERT INTO users {COLUMNS} VALUES {', '.join(map(row, range(100)))}"),
    ("insert of 1,000 rows", 20, lambda n: f"INSERT INTO users {COLUMNS} VALUES {', '.join(map(row, range(1000)))}"),
]
filler = "x" * 128
LARGE = [
    ("insert of 16 MB, 100,000 rows, one sealed column",
     "INSERT INTO users (email, c6) VALUES " + ",".join(f"('a{n:06}@example.org','{filler}{n:06}')" for n in range(100000))),
    ("10,000 nested parentheses", "SELECT email FROM users WHERE id = " + "(" * 10000 + "1" + ")" * 10000),
    ("30,000 ORs", "SELECT email FROM users WHERE " + " OR ".join(f"id = {n}" for n in range(30000))),
    ("20,000 UNIONs", " UNION ALL ".join(["SELECT email FROM users"] * 20000)),
]

with tempfile.TemporaryDirectory(prefix="sealwire-bench") as name:
    folder = pathlib.Path(name)
    (folder / "schema.sql").write_text(DDL)
    (folder / "sealwire.yaml").write_text(CONFIG)
    start = min(run(folder, ["SELECT 1"])[0] for _ in range(5))
    print("\nanalysis alone, by explain --log (no sealing, no server)")
    for what, count, make in MANY:
        took = min(run(folder, [make(n) for n in range(count)])[0] for _ in range(3)) - start
        print(f"{what:48} {took / count * 1e6:10.0f} µs")
    print(f"{'':48} {'seconds':>10} {'MiB':>8}")
    for what, statement in LARGE:
        took, memory, report = run(folder, [statement])
        verdict = next((line.split()[0] for line in report.splitlines() if line.split()[1:2] == ["1"]), "?")
        print(f"{what:48} {took - start:10.2f} {memory:8.0f}   {len(statement) / 1e6:.1f} MB, {verdict}")
