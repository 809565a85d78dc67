"""Runs the scenario with a command line: the steps become a script of SQL, the transcript is the client's own output."""

import hashlib
import json
import os
import pathlib
import re
import subprocess
import sys

DRIVER = sys.argv[1]
ENV = os.environ
RUN = pathlib.Path(__file__).parent / "run.sh"


def literal(encoded):
    if encoded is None:
        return b"NULL"
    if isinstance(encoded, bool):
        return b"TRUE" if encoded else b"FALSE"
    if isinstance(encoded, (int, float)):
        return str(encoded).encode()
    if isinstance(encoded, dict):
        kind = next(iter(encoded))
        text = encoded[kind] * encoded.get("times", 1)
        if kind in ("bytes", "repeat_bytes"):
            return b"x'" + text.encode() + b"'"
        if kind == "decimal":
            return text.encode()
        encoded = text
    escaped = encoded.replace("\\", "\\\\").replace("'", "\\'").replace("\n", "\\n").replace("\0", "\\0")
    return b"'" + escaped.encode() + b"'"


def filled(sql, run):
    parts = sql.encode().split(b"?")
    return b"".join(part + (literal(value) if last is None else b"")
                    for part, value, last in zip(parts, [*run, None], [*(None for _ in run), True]))


def script(steps):
    for step in steps:
        does, sql = step["do"], step.get("sql", "")
        if does in ("query", "call"):
            yield sql.encode()
        elif does in ("prepared", "text", "too_long"):
            for run in step["params"]:
                yield filled(sql, run)
        elif does == "batch":
            rows = [[p.replace("{i}", str(i)) if isinstance(p, str) else p for p in step["params"]] for i in range(step["count"])]
            if sql.startswith("INSERT"):
                head, tail = sql.split(" VALUES ")
                yield head.encode() + b" VALUES " + b", ".join(filled(tail, row) for row in rows)
            else:
                yield from (filled(sql, row) for row in rows)
        elif does in ("begin", "commit", "rollback"):
            yield does.upper().encode()
        elif does == "section":
            yield f"SELECT '{step['name']}' AS section".encode()
        elif does == "ping":
            yield b"USE " + ENV["CLIENT_SCHEMA"].encode()


def run(steps, tls):
    tls_options = [f"--ssl-ca={ENV['CLIENT_CA']}"]
    if DRIVER.startswith("mysql"):
        tls_options += ["--ssl-mode=VERIFY_CA"] if tls else []
        tls_options = tls_options if tls else ["--ssl-mode=DISABLED", "--get-server-public-key"]
    else:
        tls_options = tls_options if tls else ["--skip-ssl"]
    options = ["-h", ENV["CLIENT_HOST"], "-P", ENV["CLIENT_PORT"], "-u", ENV["CLIENT_USER"], "-p" + ENV["CLIENT_PASSWORD"],
               "--protocol=TCP", "--default-character-set=utf8mb4", "--force", "-vvv", "--column-type-info", "--unbuffered",
               "--table", "--show-warnings", "--max-allowed-packet=64M", ENV["CLIENT_SCHEMA"]]
    # Options that belong to the program come first: --no-defaults is one of them.
    command = [str(RUN), "--program", DRIVER, *tls_options, *options]
    done = subprocess.run(command, input=b";\n".join(script(steps)) + b";\n", stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    lines = []
    for line in done.stdout.split(b"\n"):
        if len(line) > 3000:
            line = b"%d bytes: sha256 %s" % (len(line), hashlib.sha256(line).hexdigest().encode())
        # --force lets the client's own status tell of errors; times and the borders of tables as wide as 20 MB do not matter.
        lines.append(re.sub(r"\(\d+\.\d+ sec\)", "(time)", line.decode(errors="backslashreplace")))
    print("\n".join(lines), flush=True)
    return done.returncode, lines


def main():
    steps = json.load(open(ENV["CLIENT_SCENARIO"]))
    part, tls = [], False
    for step in [*steps, {"do": "connect", "tls": False}]:
        if step["do"] != "connect":
            part.append(step)
            continue
        status, lines = run(part, tls)
        if not part or any("ERROR 2059" in line for line in lines):
            print(next((line for line in lines if line.startswith("ERROR")), "?"), file=sys.stderr)
            sys.exit(77)
        if any(re.match(r"ERROR (1045|20\d\d)", line) for line in lines):
            print("\n".join(lines[:20]), file=sys.stderr)
            sys.exit(1)
        part, tls = [], step["tls"]
    print("end")


main()
