#!/usr/bin/env python3
"""The proxy's resident memory under a large result for a slow client, a large parameter and idle connections.

    memory.py PROXY_PID PROXY_PORT SERVER_PORT CONNECTIONS

Wants the schemas t_bench (table p) and t_sealed (table p, column v protected), and an account app_empty without a
password. Speaks the protocol itself, so that it needs nothing but Python.
"""
import resource
import socket
import struct
import sys
import time

PID, PROXY, SERVER, CONNECTIONS = (int(argument) for argument in sys.argv[1:5])
MIB = 1 << 20


def resident():
    with open(f"/proc/{PID}/status") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("VmRSS"))


class Client:
    def __init__(self, port, schema):
        self.socket = socket.create_connection(("127.0.0.1", port))
        self.read()
        # PROTOCOL_41, SECURE_CONNECTION, CONNECT_WITH_DB, PLUGIN_AUTH, DEPRECATE_EOF and the usual rest.
        flags = 1 | 4 | 8 | 1 << 9 | 1 << 13 | 1 << 15 | 1 << 19 | 1 << 24
        self.write(1, struct.pack("<IIB23x", flags, 1 << 30, 45) + b"app_empty\0\0" + schema + b"\0mysql_native_password\0")
        while self.read()[0] not in (0x00, 0xFF):
            self.write(3, b"")

    def exactly(self, count):
        out = bytearray()
        while len(out) < count:
            piece = self.socket.recv(min(count - len(out), MIB))
            if not piece:
                raise EOFError
            out += piece
        return bytes(out)

    def read(self):
        header = self.exactly(4)
        return self.exactly(int.from_bytes(header[:3], "little"))

    def write(self, sequence, payload):
        while True:
            piece, payload = payload[:0xFFFFFF], payload[0xFFFFFF:]
            self.socket.sendall(len(piece).to_bytes(3, "little") + bytes([sequence]) + piece)
            sequence = (sequence + 1) % 256
            if len(piece) < 0xFFFFFF:
                return

    def query(self, text):
        self.write(0, b"\x03" + text)

    def run(self, text):
        self.query(text)
        answer = self.read()
        assert answer[0] == 0, answer[:200]


def report(what, before, most):
    print(f"  {what:58} +{(most - before) / 1024:8.1f} MiB")


def result(schema, total):
    client = Client(PROXY, schema)
    before = most = resident()
    rows = total // 65536
    client.query(b"SELECT a.v FROM big a, big b, big c, big d, big e LIMIT %d" % rows)
    got = 0
    for pause in (1.0, 0.5, 0.5):
        time.sleep(pause)
        most = max(most, resident())
        got += len(client.socket.recv(65536))
    step = 0
    while got < rows * 65536:
        got += len(client.socket.recv(4 * MIB))
        step += 1
        if step % 64 == 0:
            most = max(most, resident())
    return before, most


def main():
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    print(f"\nmemory of the proxy (resident), {resident() / 1024:.1f} MiB at first")
    for schema in (b"t_bench", b"t_sealed"):
        setup = Client(PROXY, schema)
        setup.run(b"CREATE TABLE IF NOT EXISTS big (v longtext)" if schema == b"t_bench" else b"DO 1")
        for _ in range(8):
            setup.run(b"INSERT INTO big (v) VALUES ('" + b"v" * 65536 + b"')")
        before, most = result(schema, 1024 * MIB)
        report(f"1 GiB result, {schema.decode()[2:]}, for a client that reads slowly", before, most)
    for schema, size in ((b"t_bench", 60), (b"t_sealed", 45)):
        client = Client(PROXY, schema)
        before = resident()
        client.query(b"INSERT INTO big (v) VALUES ('" + b"v" * (size * MIB) + b"')")
        most = before
        client.socket.setblocking(False)
        while True:
            most = max(most, resident())
            try:
                client.socket.recv(1, socket.MSG_PEEK)
                break
            except BlockingIOError:
                time.sleep(0.002)
        report(f"{size} MiB value, {schema.decode()[2:]}", before, most)
    before = resident()
    idle = [Client(PROXY, b"t_bench") for _ in range(CONNECTIONS)]
    for client in idle:
        client.run(b"DO 1")
    time.sleep(1)
    after = resident()
    report(f"{CONNECTIONS} idle connections ({(after - before) / CONNECTIONS:.1f} KiB each)", before, after)


main()
