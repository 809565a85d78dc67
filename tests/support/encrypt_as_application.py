"""Encrypts its arguments as an application does that uses KMS itself, one static context for everything:
    encrypt_as_application.py KEY VALUE... prints base64 of each CiphertextBlob."""
import base64
import sys

import boto3

kms = boto3.client("kms")
for value in sys.argv[2:]:
    answer = kms.encrypt(KeyId=sys.argv[1], Plaintext=value.encode(), EncryptionContext={"app": "shop"})
    print(base64.b64encode(answer["CiphertextBlob"]).decode())
