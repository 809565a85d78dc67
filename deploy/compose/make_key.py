"""Makes the KMS key and its alias in the emulator, once it answers; does nothing when they exist."""

import sys
import time

import boto3
from botocore.exceptions import BotoCoreError, ClientError

ALIAS = "alias/sealwire-dev"

kms = boto3.client(
    "kms",
    endpoint_url="http://kms:5000",
    region_name="eu-central-1",
    aws_access_key_id="dev",
    aws_secret_access_key="dev",
)
for _ in range(60):
    try:
        aliases = [alias["AliasName"] for alias in kms.list_aliases()["Aliases"]]
        if ALIAS not in aliases:
            key = kms.create_key(Description="Sealwire development")["KeyMetadata"]["KeyId"]
            kms.create_alias(AliasName=ALIAS, TargetKeyId=key)
        print(f"{ALIAS} is there")
        sys.exit(0)
    except (BotoCoreError, ClientError) as error:
        print(f"waiting for the emulator: {error}", flush=True)
        time.sleep(1)
sys.exit("the emulator did not answer")
