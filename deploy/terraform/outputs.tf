output "alias_name" {
  description = "For kms.key of the configuration"
  value       = aws_kms_alias.sealwire.name
}

output "alias_arn" {
  description = "For kms.key where the region or account is another one"
  value       = aws_kms_alias.sealwire.arn
}

output "key_arn" {
  description = "For kms.previous after a change of keys, and for policies"
  value       = aws_kms_key.sealwire.arn
}

output "proxy_policy_arn" {
  description = "To attach to the role that the proxy runs as"
  value       = aws_iam_policy.proxy.arn
}
