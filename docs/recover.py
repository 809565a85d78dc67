#!/usr/bin/env python3
"""Opens sealed values without Sealwire: read access to the database, kms:Decrypt, and this file.

    pip install cryptography boto3
    mysql -BNe 'SELECT id, HEX(wrapped), HEX(CONVERT(context USING utf8mb4)) FROM sealwire.data_keys' > vault.tsv
    mysql -BNe 'SELECT email FROM shop.users' | recover.py vault.tsv shop.users email --kms-key alias/my-app

Values come one a line, text as stored, binary columns as HEX(column); NULL passes. Values come out one a
line, base64 with --base64 (bytes that are not text, or hold line breaks). Names are those at sealing time.
`--keyring FILE` in place of `--kms-key` is for the local provider. Every step is explained in format.md.
"""
import argparse, base64, json, struct, sys

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM, AESGCMSIV
from cryptography.hazmat.primitives.kdf.hkdf import HKDF


def field(data):
    return struct.pack(">I", len(data)) + data


def unwrap(args, context, blob):
    """The data key: from AWS KMS, or from the local provider's keyring file."""
    if args.kms_key:
        import boto3  # region, credentials and endpoint come from its usual places
        answer = boto3.client("kms").decrypt(KeyId=args.kms_key, CiphertextBlob=blob, EncryptionContext=context)
        return answer["Plaintext"]
    keyring = {k["id"]: base64.b64decode(k["key"]) for k in json.load(open(args.keyring))["keys"]}
    pairs = sorted((k.encode(), v.encode()) for k, v in context.items())
    canonical = field(b"".join(field(k) + field(v) for k, v in pairs))
    aad = field(b"sealwire/v1/keyring") + field(blob[1:17]) + canonical
    return AESGCM(keyring[blob[1:17].hex()]).decrypt(blob[17:29], blob[29:], aad)


def open_value(args, vault, keys, stored):
    if stored.startswith("pQ"):
        if not stored.endswith("."):
            raise ValueError("the value was cut: its final '.' is missing")
        raw = base64.b64decode(stored[:-1] + "=" * (-len(stored[:-1]) % 4), validate=True)
    else:
        raw = bytes.fromhex(stored)
    magic, alg, _search, nonce, key_id = struct.unpack(">BBB12sI", raw[:19])
    if magic != 0xA5 or alg not in (1, 2, 3):
        raise ValueError("not a sealed value, or of a version that this script does not know")
    row = key_id & 0x7FFFFFFF
    if row not in keys:
        wrapped, context = vault[row]
        keys[row] = unwrap(args, json.loads(bytes.fromhex(context)), bytes.fromhex(wrapped))
    scope = field(args.table.encode()) + field(args.column.encode())
    info = field(b"column") + field(bytes([alg])) + scope
    column_key = HKDF(hashes.SHA256(), 32, salt=b"sealwire/v1/hkdf-sha-256", info=info).derive(keys[row])
    cipher, bound = (AESGCM, raw[:3] + raw[15:19]) if alg == 3 else (AESGCMSIV, raw[:19])
    value = cipher(column_key).decrypt(nonce, raw[19:], bound + scope)
    return value.rstrip(b"\0")[:-1] if key_id & 0x80000000 else value  # the top bit: padded


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("vault"), parser.add_argument("table"), parser.add_argument("column")
    kms = parser.add_mutually_exclusive_group(required=True)
    kms.add_argument("--kms-key"), kms.add_argument("--keyring")
    parser.add_argument("--base64", action="store_true")
    args = parser.parse_args()
    vault = {int(r[0]): r[1:] for r in (line.rstrip("\n").split("\t") for line in open(args.vault))}
    keys = {}
    for line in map(lambda line: line.rstrip("\n"), sys.stdin):
        value = line.encode() if line == "NULL" else open_value(args, vault, keys, line)
        sys.stdout.buffer.write((base64.b64encode(value) if args.base64 and line != "NULL" else value) + b"\n")
