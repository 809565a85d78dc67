#!/usr/bin/env python3
"""Judges what applications send (`make goal`): each application of this folder runs against a server that logs its
statements; `sealwire explain --log` then tells what would become of them with the columns of APPLICATION.yaml
protected. Fails where 1 in 100 or more of the statements that name something protected are refused, and where any
is of plain reading and writing (crud).
"""
import json
import os
import pathlib
import re
import subprocess
import sys
import tempfile

import pymysql
import yaml

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parents[1]
BINARY = os.environ.get("SEALWIRE_BINARY", str(ROOT / "target" / "debug" / "sealwire"))
CONFIG = """\
listen: ["127.0.0.1:1"]
backend: {{ address: "{host}:{port}", control: {{ user: sealwire, password: control-secret }} }}
kms: {{ provider: local, keyring: keyring }}
vault: {schema}_vault.data_keys
"""


def protect(cursor, schema, tables):
    """What a team does before it switches over: protected columns become text, wide enough for sealed values."""
    # Applications leave defaults behind that a strict MySQL takes no more.
    cursor.execute("SET SESSION sql_mode = ''")
    for table, settings in tables.items():
        for column in settings["columns"]:
            cursor.execute(
                "SELECT is_nullable FROM information_schema.columns WHERE table_schema = %s AND table_name = %s "
                "AND column_name = %s", (schema, table, column))
            null = "NULL" if cursor.fetchone()[0] == "YES" else "NOT NULL"
            cursor.execute(f"ALTER TABLE `{schema}`.`{table}` MODIFY `{column}` text {null}")


def judge(name, command, server_name, server, cursor, folder):
    schema = f"t_goal_{name}"
    cursor.execute(f"DROP SCHEMA IF EXISTS {schema}")
    cursor.execute(f"CREATE SCHEMA {schema} DEFAULT CHARACTER SET utf8mb4")
    log = folder / f"{server_name}-{name}.log"
    cursor.execute("SET GLOBAL general_log_file = %s", (str(log),))
    environment = dict(os.environ, GOAL_HOST=server["host"], GOAL_PORT=str(server["port"]), GOAL_SCHEMA=schema)
    ran = subprocess.run(command, env=environment, cwd=HERE, capture_output=True, text=True)
    cursor.execute("SET GLOBAL general_log_file = %s", (server["general_log"],))
    if ran.returncode:
        sys.exit(f"{name} failed:\n{ran.stdout[-3000:]}\n{ran.stderr[-3000:]}")
    tables = yaml.safe_load((HERE / f"{name}.yaml").read_text())["tables"]
    protect(cursor, schema, tables)
    config = folder / f"{name}.yaml"
    qualified = {f"{schema}.{table}": settings for table, settings in tables.items()}
    config.write_text(CONFIG.format(schema=schema, **server) + yaml.safe_dump({"tables": qualified}))
    report = subprocess.run([BINARY, "explain", "-c", config, "--log", log, "--examples", "5"], capture_output=True, text=True)
    cursor.execute(f"DROP SCHEMA {schema}")
    count = lambda pattern: int((re.search(pattern, report.stdout, re.M) or [0, 0])[1])
    figures = [count(rf"^ *{word} +(\d+)") for word in ("untouched", "rewritten", "refused")]
    touching = count(r"^Of the (\d+) statements") or figures[1] + figures[2]
    if report.returncode not in (0, 1) or not figures[1]:
        sys.exit(f"{name}: explain failed:\n{report.stdout}\n{report.stderr}")
    return *figures, touching, report.stdout


def main():
    servers = json.loads(pathlib.Path(os.environ["SEALWIRE_TEST_SERVERS"]).read_text())
    applications = {name: json.loads(command) for name, command in (a.split("=", 1) for a in sys.argv[1:])}
    fine = True
    with tempfile.TemporaryDirectory(prefix="sealwire-goal") as folder:
        for server_name in ("mariadb", "mysql"):
            server = servers.get(server_name)
            if not server:
                continue
            cursor = pymysql.connect(host=server["host"], port=server["port"], user="root", autocommit=True).cursor()
            for name, command in applications.items():
                untouched, rewritten, refused, touching, report = judge(name, command, server_name, server, cursor, pathlib.Path(folder))
                total = untouched + rewritten + refused
                is_fine = refused == 0 if name == "crud" else refused * 100 < touching
                fine &= is_fine
                print(f"{server_name:8} {name:10} {total:5} statements, {touching:5} name something protected; {untouched:5} untouched, "
                      f"{rewritten:5} rewritten, {refused:3} refused: {100 * refused / touching:.2f} %  {'fine' if is_fine else 'TOO MANY'}")
                if refused:
                    print("    " + "\n    ".join(report.splitlines()[5:]))
                sys.stdout.flush()
    sys.exit(0 if fine else 1)


if __name__ == "__main__":
    main()
