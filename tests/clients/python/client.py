"""Runs the scenario with one of Python's drivers: pymysql, mysqlclient, connector (pure Python), connector-c."""

import datetime
import decimal
import hashlib
import json
import os
import struct
import sys

DRIVER = sys.argv[1]
ENV = os.environ


def value(encoded):
    """A parameter of scenario.json as the driver's users would write it."""
    if not isinstance(encoded, dict):
        return encoded
    kind = next(iter(encoded))
    text = encoded[kind]
    return {
        "bytes": lambda: bytes.fromhex(text),
        "decimal": lambda: decimal.Decimal(text),
        "date": lambda: datetime.date.fromisoformat(text),
        "time": lambda: datetime.timedelta(**dict(zip(("hours", "minutes", "seconds"), map(int, text.split(":"))))),
        "datetime": lambda: datetime.datetime.fromisoformat(text),
        "repeat": lambda: text * encoded["times"],
        "repeat_bytes": lambda: bytes.fromhex(text) * encoded["times"],
    }[kind]()


def show(item):
    if isinstance(item, (set, frozenset)):
        item = sorted(item)
    if isinstance(item, (str, bytes, bytearray)) and len(item) > 400:
        raw = item.encode() if isinstance(item, str) else bytes(item)
        return f"{type(item).__name__} of {len(item)}: sha256 {hashlib.sha256(raw).hexdigest()}"
    return repr(item)


class PyMySQL:
    placeholder_prepared = False

    def connect(self, tls):
        import pymysql

        self.module = pymysql
        options = dict(ssl={"ca": ENV["CLIENT_CA"]}) if tls else dict(ssl_disabled=True)
        return pymysql.connect(host=ENV["CLIENT_HOST"], port=int(ENV["CLIENT_PORT"]), user=ENV["CLIENT_USER"],
                               password=ENV["CLIENT_PASSWORD"], database=ENV["CLIENT_SCHEMA"], charset="utf8mb4",
                               max_allowed_packet=64 << 20, **options)

    def autocommit(self, conn):
        conn.autocommit(True)

    def encrypted(self, conn):
        return bool(conn._secure)

    def facts(self, conn):
        return conn.get_server_info(), conn.get_proto_info()

    def describe(self, cursor):
        fields = getattr(cursor._result, "fields", None)
        return [(f.name, f.org_name, f.table_name, f.org_table, f.db, f.charsetnr, f.length, f.type_code, f.flags, f.scale)
                for f in fields or ()]

    def errors(self):
        return self.module.MySQLError

    def error(self, error):
        return type(error).__name__, error.args

    def prepared(self, conn):
        return conn.cursor()

    def next(self, cursor):
        return cursor.nextset()

    def begin(self, conn):
        conn.begin()

    def ping(self, conn):
        conn.ping(reconnect=False)


class MySQLClient(PyMySQL):
    def connect(self, tls):
        import MySQLdb

        self.module = MySQLdb
        options = dict(ssl={"ca": ENV["CLIENT_CA"]}, ssl_mode="REQUIRED") if tls else dict(ssl_mode="DISABLED")
        conn = MySQLdb.connect(host=ENV["CLIENT_HOST"], port=int(ENV["CLIENT_PORT"]), user=ENV["CLIENT_USER"],
                               password=ENV["CLIENT_PASSWORD"], database=ENV["CLIENT_SCHEMA"], charset="utf8mb4",
                               **options)
        return conn

    def encrypted(self, conn):
        return None

    def facts(self, conn):
        return conn.get_server_info(), conn.get_proto_info(), conn.character_set_name()

    def describe(self, cursor):
        return [(column, flags) for column, flags in zip(cursor.description or (), cursor.description_flags or ())]

    def begin(self, conn):
        conn.begin()

    def ping(self, conn):
        conn.ping()


class Connector(PyMySQL):
    pure = True
    placeholder_prepared = True

    def connect(self, tls):
        import mysql.connector

        self.module = mysql.connector
        options = dict(ssl_ca=ENV["CLIENT_CA"], ssl_verify_cert=True) if tls else dict(ssl_disabled=True)
        return mysql.connector.connect(host=ENV["CLIENT_HOST"], port=int(ENV["CLIENT_PORT"]), user=ENV["CLIENT_USER"],
                                       password=ENV["CLIENT_PASSWORD"], database=ENV["CLIENT_SCHEMA"],
                                       charset="utf8mb4", use_pure=self.pure, get_warnings=True, **options)

    def autocommit(self, conn):
        conn.autocommit = True

    def encrypted(self, conn):
        return bool(getattr(conn, "is_secure", None))

    def facts(self, conn):
        return getattr(conn, "server_info", None) or conn.get_server_info(), conn.collation

    def describe(self, cursor):
        return [column[:9] for column in cursor.description or ()]

    def errors(self):
        return self.module.Error

    def error(self, error):
        return type(error).__name__, error.errno, error.sqlstate, error.msg

    def prepared(self, conn):
        return conn.cursor(prepared=True)

    def begin(self, conn):
        conn.start_transaction()


class ConnectorC(Connector):
    pure = False


def results(driver, cursor):
    while True:
        described = driver.describe(cursor)
        for column in described:
            print("  column", column)
        if cursor.description:
            for row in cursor.fetchall():
                print("  row", ", ".join(map(show, row)))
        print("  rowcount", cursor.rowcount, "lastrowid", cursor.lastrowid)
        if getattr(cursor, "_warnings", None):
            print("  warnings", cursor._warnings)
        if not driver.next(cursor):
            return


def main():
    driver = {"pymysql": PyMySQL, "mysqlclient": MySQLClient, "connector": Connector, "connector-c": ConnectorC}[DRIVER]()
    steps = json.load(open(ENV["CLIENT_SCENARIO"]))
    if isinstance(driver, Connector):
        # It knows no RSA: without TLS a caching_sha2_password account is let in from the server's cache only.
        driver.connect(True).close()
    conn = driver.connect(False)
    driver.autocommit(conn)
    print("server", *driver.facts(conn))
    for step in steps:
        does = step["do"]
        sql = step.get("sql", "")
        print(does, step.get("name", sql)[:100])
        try:
            if does == "connect":
                conn.close()
                conn = driver.connect(step["tls"])
                driver.autocommit(conn)
                print("  encrypted", driver.encrypted(conn), *driver.facts(conn))
            elif does == "query":
                cursor = conn.cursor()
                cursor.execute(sql)
                results(driver, cursor)
                cursor.close()
            elif does == "call":
                cursor = conn.cursor()
                cursor.callproc(sql.removeprefix("CALL ").removesuffix("()"))
                if isinstance(driver, Connector):
                    for result in cursor.stored_results():
                        print("  column", result.description)
                        print("  rows", result.fetchall())
                else:
                    results(driver, cursor)
                cursor.close()
            elif does in ("prepared", "text", "too_long"):
                cursor = driver.prepared(conn) if does == "prepared" else conn.cursor()
                for parameters in step["params"]:
                    cursor.execute(sql.replace("?", "%s"), tuple(map(value, parameters)))
                    results(driver, cursor)
                cursor.close()
            elif does == "batch":
                rows = [tuple(p.replace("{i}", str(i)) if isinstance(p, str) else p for p in step["params"])
                        for i in range(step["count"])]
                cursor = conn.cursor()
                cursor.executemany(sql.replace("?", "%s"), rows)
                print("  rowcount", cursor.rowcount, "lastrowid", cursor.lastrowid)
                cursor.close()
            elif does == "begin":
                driver.begin(conn)
            elif does == "commit":
                conn.commit()
            elif does == "rollback":
                conn.rollback()
            elif does == "ping":
                driver.ping(conn)
            elif does != "section":
                raise ValueError(f"unknown step {does}")
        except driver.errors() as error:
            print("  error", *driver.error(error))
        except (IndexError, struct.error, NotImplementedError, ValueError) as error:
            # The driver's own trouble with an answer; what is left of it is still on the line.
            print("  the driver raised", type(error).__name__, error)
            conn = driver.connect(False)
            driver.autocommit(conn)
    conn.close()
    print("end")


main()
