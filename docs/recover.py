#!/usr/bin/env python3
"""Opens sealed values without Sealwire: read access to the database, kms:Decrypt, and this file.

    pip install cryptography boto3
    mysql -BNe 'SELECT id, HEX(wrapped), HEX(CONVERT(context USING utf8mb4)) FROM sealwire.data_keys' > vault.tsv
    mysql -BNe 'SELECT email FROM shop.users' | recover.py vault.tsv shop.users email --kms-key alias/my-app

Values come one a line, text as stored, binary columns as HEX(column); NULL passes. Values come out one a
line, base64 with --base64 (bytes that are not text, or hold line breaks). Names are those at sealing time.
What is not enveloped is taken for a value of direct mode or of an application of its own: `--context '{"app":
"shop"}'`, as often as needed, names the pairs of kms.encryption_context or of one of kms.accept_contexts; without
enveloped values /dev/null will do for the vault. `--keyring FILE` in place of `--kms-key` is for the local provider.
A column with `bind:` wants the bound columns behind the value, in the order of the configuration: `SELECT iban, uuid`, binary
ones as HEX(column) and named by their position, `--hex 1`. Every step is explained in format.md.
"""
import argparse, base64, functools, json, re, struct, sys

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM, AESGCMSIV
from cryptography.hazmat.primitives.kdf.hkdf import HKDF


def field(data):
    return struct.pack(">I", len(data)) + data


@functools.cache
def kms():
    import boto3  # region, credentials and endpoint come from its usual places
    return boto3.client("kms")


def decrypt(args, context, blob):
    """What KMS Encrypt or GenerateDataKey made: by AWS KMS, or with the local provider's keyring file."""
    if args.kms_key:
        return kms().decrypt(KeyId=args.kms_key, CiphertextBlob=blob, EncryptionContext=context)["Plaintext"]
    keyring = {k["id"]: base64.b64decode(k["key"]) for k in json.load(open(args.keyring))["keys"]}
    pairs = sorted((k.encode(), v.encode()) for k, v in context.items())
    canonical = field(b"".join(field(k) + field(v) for k, v in pairs))
    aad = field(b"sealwire/v1/keyring") + field(blob[1:17]) + canonical
    return AESGCM(keyring[blob[1:17].hex()]).decrypt(blob[17:29], blob[29:], aad)


def open_enveloped(args, vault, keys, raw, bound):
    magic, alg, variant, nonce, key_id = struct.unpack(">BBB12sI", raw[:19])
    if magic != 0xA5 or alg not in (1, 2, 3):
        raise ValueError("not a sealed value, or of a version that this script does not know")
    row = key_id & 0x7FFFFFFF
    if row not in keys:
        wrapped, context = vault[row]
        keys[row] = decrypt(args, json.loads(bytes.fromhex(context)), bytes.fromhex(wrapped))
    scope = field(args.table.encode()) + field(args.column.encode())
    info = field(b"column") + field(bytes([alg])) + scope
    column_key = HKDF(hashes.SHA256(), 32, salt=b"sealwire/v1/hkdf-sha-256", info=info).derive(keys[row])
    place = scope + b"".join(map(field, bound)) if alg != 2 and variant == 1 else scope
    cipher, header = (AESGCM, raw[:3] + raw[15:19]) if alg == 3 else (AESGCMSIV, raw[:19])
    value = cipher(column_key).decrypt(nonce, raw[19:], header + place)
    return value.rstrip(b"\0")[:-1] if key_id & 0x80000000 else value  # the top bit: padded


def open_direct(args, stored):
    """A CiphertextBlob, in base64 but for binary columns that the proxy wrote."""
    if len(stored) < 44:
        raise ValueError("not a sealed value")
    if re.fullmatch(b"[A-Za-z0-9+/]+=*", stored):
        stored = base64.b64decode(stored + b"=" * (-len(stored) % 4))
    for pairs in [{}, *args.context]:
        for context in ({**pairs, "table": args.table}, pairs):
            try:
                return decrypt(args, context, stored)
            except Exception as error:  # of another context, or whatever KMS says
                last = error
    raise last


def open_value(args, vault, keys, stored, *bound):
    bound = [bytes.fromhex(v) if n in args.hex else v.rstrip(" ").encode() for n, v in enumerate(bound, 1)]
    stored = bytes.fromhex(stored) if re.fullmatch("([0-9A-Fa-f]{2})+", stored) else stored.rstrip(" ").encode()
    if stored.startswith(b"pQ"):
        if not stored.endswith(b"."):
            raise ValueError("the value was cut: its final '.' is missing")
        stored = base64.b64decode(stored[:-1] + b"=" * (-len(stored[:-1]) % 4), validate=True)
    return open_enveloped(args, vault, keys, stored, bound) if stored[:1] == b"\xa5" else open_direct(args, stored)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("vault"), parser.add_argument("table"), parser.add_argument("column")
    key = parser.add_mutually_exclusive_group(required=True)
    key.add_argument("--kms-key"), key.add_argument("--keyring")
    parser.add_argument("--context", type=json.loads, action="append", default=[], metavar="JSON")
    parser.add_argument("--base64", action="store_true"), parser.add_argument("--hex", type=int, action="append", default=[])
    args = parser.parse_args()
    vault = {int(r[0]): r[1:] for r in (line.rstrip("\n").split("\t") for line in open(args.vault))}
    keys = {}
    for columns in (line.rstrip("\n").split("\t") for line in sys.stdin):
        null = columns[0] == "NULL"
        value = b"NULL" if null else open_value(args, vault, keys, *columns)
        sys.stdout.buffer.write((base64.b64encode(value) if args.base64 and not null else value) + b"\n")
