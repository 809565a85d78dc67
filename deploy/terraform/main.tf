# The KMS key of Sealwire: the key with rotation and an alias, a managed policy with the least rights for
# the proxy's role, and an alarm when somebody disables the key, deletes it or changes its policy. The same
# as ../cloudformation/kms-key.yaml; `make lint-deploy` compares the policies of both.

terraform {
  required_version = ">= 1.5"
  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = ">= 5.0"
    }
  }
}

data "aws_partition" "current" {}
data "aws_caller_identity" "current" {}

module "policies" {
  source          = "./policies"
  partition       = data.aws_partition.current.partition
  account         = data.aws_caller_identity.current.account_id
  key_arn         = aws_kms_key.sealwire.arn
  tables          = var.tables
  direct_mode     = var.direct_mode
  rewrap_role_arn = var.rewrap_role_arn
}

# The key's own policy does not name the key, so that it can be made before it.
module "key_policy" {
  source          = "./policies"
  partition       = data.aws_partition.current.partition
  account         = data.aws_caller_identity.current.account_id
  key_arn         = "*"
  tables          = var.tables
  direct_mode     = var.direct_mode
  rewrap_role_arn = var.rewrap_role_arn
}

resource "aws_kms_key" "sealwire" {
  description              = "Wraps the data keys of Sealwire"
  customer_master_key_spec = "SYMMETRIC_DEFAULT"
  key_usage                = "ENCRYPT_DECRYPT"
  enable_key_rotation      = true
  multi_region             = var.multi_region
  deletion_window_in_days  = 30
  policy                   = module.key_policy.key

  # Without the key every sealed value is lost.
  lifecycle {
    prevent_destroy = true
  }
}

resource "aws_kms_alias" "sealwire" {
  name          = var.alias_name
  target_key_id = aws_kms_key.sealwire.key_id
}

resource "aws_iam_policy" "proxy" {
  name_prefix = "sealwire-proxy-"
  description = "What the role of the Sealwire proxy needs of its KMS key"
  policy      = module.policies.proxy
}

resource "aws_cloudwatch_event_rule" "key_changed" {
  count         = var.alarm_topic_arn == "" ? 0 : 1
  name_prefix   = "sealwire-key-changed-"
  description   = "Somebody disables or deletes the key of Sealwire, or changes who may use it"
  event_pattern = module.policies.alarm
}

resource "aws_cloudwatch_event_target" "alarm" {
  count     = var.alarm_topic_arn == "" ? 0 : 1
  rule      = aws_cloudwatch_event_rule.key_changed[0].name
  target_id = "alarm"
  arn       = var.alarm_topic_arn
}
