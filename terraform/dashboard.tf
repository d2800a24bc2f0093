resource "aws_cloudwatch_dashboard" "ojs" {
  count = var.dashboard ? 1 : 0

  # Dashboards are known in all regions of an account.
  dashboard_name = "${var.name}-${local.region}"
  # Decoded and encoded again: a mistake in the file shows in the plan, and only what it says counts, not its layout.
  dashboard_body = jsonencode(jsondecode(templatefile("${path.module}/dashboard.json.tftpl", {
    name                         = var.name
    region                       = local.region
    table                        = aws_dynamodb_table.jobs.name
    http_api                     = aws_apigatewayv2_api.api.id
    api_function                 = aws_lambda_function.function["api"].function_name
    scheduler_function           = aws_lambda_function.function["scheduler"].function_name
    cron_function                = aws_lambda_function.function["cron"].function_name
    scheduler_rule               = aws_cloudwatch_event_rule.tick["scheduler"].name
    cron_rule                    = aws_cloudwatch_event_rule.tick["cron"].name
    oldest_message_alarm_seconds = var.oldest_message_alarm_seconds
  })))
}
