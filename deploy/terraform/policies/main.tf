# The policies alone: text from text, no provider, so that they can be evaluated anywhere.

variable "partition" { type = string }
variable "account" { type = string }
variable "key_arn" { type = string }
variable "tables" { type = string }
variable "direct_mode" { type = bool }
variable "rewrap_role_arn" { type = string }

locals {
  data_key = { StringEquals = { "kms:EncryptionContext:purpose" = "sealwire-data-key" } }
  tables   = { StringLike = { "kms:EncryptionContext:table" = var.tables } }
}

output "key" {
  value = jsonencode({
    Version = "2012-10-17"
    Statement = [
      {
        Sid       = "AccountUsesIamPolicies"
        Effect    = "Allow"
        Principal = { AWS = "arn:${var.partition}:iam::${var.account}:root" }
        Action    = "kms:*"
        Resource  = "*"
      },
      # Whoever can wrap a key that he knows, and write the vault, could make the proxy seal under it.
      # Denials hold for everybody, administrators and grants included.
      {
        Sid       = "NobodyKnowsADataKey"
        Effect    = "Deny"
        Principal = "*"
        Action    = ["kms:Encrypt", "kms:GenerateDataKey", "kms:GenerateDataKeyPair", "kms:GenerateDataKeyPairWithoutPlaintext"]
        Resource  = "*"
        Condition = local.data_key
      },
      merge(
        {
          Sid       = "NobodyRewraps"
          Effect    = "Deny"
          Principal = "*"
          Action    = ["kms:ReEncryptFrom", "kms:ReEncryptTo"]
          Resource  = "*"
        },
        var.rewrap_role_arn == "" ? {} : {
          Condition = { ArnNotEquals = { "aws:PrincipalArn" = var.rewrap_role_arn } }
        },
      ),
    ]
  })
}

output "proxy" {
  value = jsonencode({
    Version = "2012-10-17"
    Statement = concat(
      [
        {
          Sid       = "DataKeys"
          Effect    = "Allow"
          Action    = ["kms:GenerateDataKeyWithoutPlaintext", "kms:Decrypt"]
          Resource  = var.key_arn
          Condition = merge(local.data_key, local.tables)
        },
        {
          Sid      = "Describe"
          Effect   = "Allow"
          Action   = ["kms:DescribeKey"]
          Resource = var.key_arn
        },
      ],
      [for direct in [var.direct_mode] : {
        Sid       = "DirectValues"
        Effect    = "Allow"
        Action    = ["kms:Encrypt", "kms:Decrypt"]
        Resource  = var.key_arn
        Condition = merge({ Null = { "kms:EncryptionContext:purpose" = "true" } }, local.tables)
      } if direct],
    )
  })
}

output "alarm" {
  value = jsonencode({
    source        = ["aws.kms"]
    "detail-type" = ["AWS API Call via CloudTrail"]
    detail = {
      eventSource = ["kms.amazonaws.com"]
      eventName   = ["ScheduleKeyDeletion", "DisableKey", "DisableKeyRotation", "PutKeyPolicy", "CreateGrant", "UpdateAlias", "DeleteAlias"]
      resources   = { ARN = [var.key_arn] }
    }
  })
}
