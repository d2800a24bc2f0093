# The API keys: an existing secret, or one that is made with a random key.

resource "aws_secretsmanager_secret" "api_key" {
  count = var.api_key_secret_arn == "" ? 1 : 0

  name        = "${var.name}/api-key"
  description = "API keys of ${var.name}-api. A new one is known within 30 seconds, one that is withdrawn ends within five minutes."
  # No recovery: otherwise the name stays taken for days after a destroy, and the next apply fails.
  recovery_window_in_days = 0
  tags                    = local.tags
}

# Only while Terraform runs: neither in the plan nor in the state.
ephemeral "aws_secretsmanager_random_password" "api_key" {
  count = var.api_key_secret_arn == "" ? 1 : 0

  password_length     = 48
  exclude_punctuation = true
}

# Written once. A key that is changed in Secrets Manager stays as it is: Terraform looks at the version number only.
resource "aws_secretsmanager_secret_version" "api_key" {
  count = var.api_key_secret_arn == "" ? 1 : 0

  secret_id                = aws_secretsmanager_secret.api_key[0].id
  secret_string_wo         = ephemeral.aws_secretsmanager_random_password.api_key[0].random_password
  secret_string_wo_version = 1
}

locals {
  api_key_secret_arn = var.api_key_secret_arn == "" ? aws_secretsmanager_secret.api_key[0].arn : var.api_key_secret_arn
}
