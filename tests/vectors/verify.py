#!/usr/bin/env python3
"""Opens the golden vectors without a line of Sealwire: Python and PyPI's `cryptography` only.

    pip install cryptography && python3 tests/vectors/verify.py

`open_text` and `open_bytes` are all that is needed to read a sealed value; the rest checks the vectors.
"""
import base64
import hashlib
import hmac
import json
import pathlib
import re
import struct
import sys

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM, AESGCMSIV
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

SALT = b"sealwire/v1/hkdf-sha-256"


def field(data):
    return struct.pack(">I", len(data)) + data


def derive(data_key, info):
    return HKDF(algorithm=hashes.SHA256(), length=32, salt=SALT, info=info).derive(data_key)


def open_text(text, data_key, table, column, row=None):
    """A value of a text column."""
    if not re.fullmatch(r"pQ[EIM][A-Za-z0-9+/]{44,}[.]", text):
        raise ValueError("not a whole sealed value")
    body = text[:-1]
    raw = base64.b64decode(body + "=" * (-len(body) % 4), validate=True)
    if base64.b64encode(raw).decode().rstrip("=") != body:
        raise ValueError("unused bits are not zero")
    return open_bytes(raw, data_key, table, column, row)


def open_bytes(raw, data_key, table, column, row=None):
    """A value of a binary column. `row`: the values that it is bound to, if its column has `bind`."""
    header, ciphertext = raw[:19], raw[19:]
    magic, alg, search, nonce, key_id = struct.unpack(">BBB12sI", header)
    if magic != 0xA5 or not ((alg in (1, 3) and search in (0, 1)) or (alg == 2 and 1 <= search <= 63)):
        raise ValueError("unknown algorithm or version")
    if (alg != 2 and search == 1) != (row is not None):
        raise ValueError("bound to a row that is not known, or to none")
    scope = field(table.encode()) + field(column.encode())
    key = derive(data_key, field(b"column") + field(bytes([alg])) + scope)
    scope += b"".join(field(value) for value in row or ())
    if alg == 3:
        # The nonce is drawn inside the cryptographic module, so it is not part of the associated data.
        plaintext = AESGCM(key).decrypt(nonce, ciphertext, header[:3] + header[15:] + scope)
    else:
        plaintext = AESGCMSIV(key).decrypt(nonce, ciphertext, header + scope)
    if key_id & 0x80000000:
        plaintext = plaintext.rstrip(b"\0")
        if plaintext[-1:] != b"\x80":
            raise ValueError("padding without a marker")
        plaintext = plaintext[:-1]
    return plaintext


def search_nonce(search_key, table, column, plaintext):
    """The nonce of algorithm 2, which is where equal values come out equal."""
    scope = field(table.encode()) + field(column.encode())
    key = derive(search_key, field(b"search") + field(bytes([2])) + scope)
    return hmac.new(key, plaintext, hashlib.sha256).digest()[:12]


def vault_mac(data_key, row):
    """The MAC of a vault row; `docs/format.md` lists the fields."""
    message = field(b"sealwire/v1/vault-row") + field(struct.pack(">I", row["id"]))
    message += field(row["scope"].encode()) + field(row["purpose"].encode())
    message += field(struct.pack(">I", row["version"])) + field(row["state"].encode())
    message += field(row["kms_key"].encode())
    pairs = sorted((k.encode(), v.encode()) for k, v in row["context"].items())
    message += field(b"".join(field(k) + field(v) for k, v in pairs))
    message += field(bytes.fromhex(row["wrapped"])) + field(row["created_at"].encode())
    return hmac.new(derive(data_key, field(b"vault-row")), message, hashlib.sha256).digest()


def main():
    folder = pathlib.Path(__file__).parent
    vectors = json.loads((folder / "sealed.json").read_text())
    opened = vectors["sealed"] + vectors["gcm"] + vectors["searchable"]
    for v in opened:
        where = bytes.fromhex(v["data_key"]), v["table"], v["column"]
        assert open_text(v["text"], *where).hex() == v["plaintext"], v["name"]
        assert open_bytes(bytes.fromhex(v["bytes"]), *where).hex() == v["plaintext"], v["name"]
    forms = {(v["bytes"][2:4], v["bytes"][30:32] >= "80") for v in opened}
    assert forms == {("01", False), ("01", True), ("02", False), ("03", False), ("03", True)}, forms
    for v in vectors["bound"]:
        where = bytes.fromhex(v["data_key"]), v["table"], v["column"], [bytes.fromhex(value) for value in v["row"]]
        assert open_text(v["text"], *where).hex() == v["plaintext"], v["name"]
    for v in vectors["searchable"]:
        nonce = search_nonce(bytes.fromhex(v["search_key"]), v["table"], v["column"], bytes.fromhex(v["plaintext"]))
        assert v["bytes"][6:30] == nonce.hex(), v["name"]
    for v in vectors["refused"]:
        try:
            open_text(v["text"], bytes.fromhex(v["data_key"]), v["table"], v["column"])
        except Exception:
            continue
        raise AssertionError(f"opened, but must not: {v['name']}")
    rows = json.loads((folder / "vault_rows.json").read_text())
    for row in rows:
        assert vault_mac(bytes.fromhex(row["data_key"]), row).hex() == row["mac"], row["name"]
    opened += vectors["bound"]
    print(f"{len(opened)} opened, {len(vectors['refused'])} refused, {len(rows)} vault rows")


if __name__ == "__main__":
    sys.exit(main())
