variable "alias_name" {
  type        = string
  default     = "alias/sealwire"
  description = "The alias that kms.key names in the configuration."
}

variable "tables" {
  type        = string
  default     = "*"
  description = "Which sealed-as names (schema.table, with * and ?) this key may serve. A tenant or service of its own gets a key of its own."
}

variable "direct_mode" {
  type        = bool
  default     = false
  description = "Whether columns use kms.mode direct, which needs kms:Encrypt."
}

variable "rewrap_role_arn" {
  type        = string
  default     = ""
  description = "The role that may ReEncrypt wrapped data keys to and from this key. Empty means nobody."
}

variable "multi_region" {
  type        = bool
  default     = false
  description = "A multi-Region primary key, which can be replicated to other regions. Cannot be changed later."
}

variable "alarm_topic_arn" {
  type        = string
  default     = ""
  description = "The SNS topic told of changes to the key. Its policy must let events.amazonaws.com publish. Empty means no alarm."
}
