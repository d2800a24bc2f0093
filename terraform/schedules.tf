# One tick a minute for the scheduler and the cron function.

resource "aws_cloudwatch_event_rule" "tick" {
  for_each = local.ticks

  # The function's name, so that both are found together.
  name                = aws_lambda_function.function[each.key].function_name
  description         = "One tick of ${aws_lambda_function.function[each.key].function_name} a minute."
  schedule_expression = "rate(1 minute)"
  state               = "ENABLED"
  tags                = local.tags
}

resource "aws_cloudwatch_event_target" "tick" {
  for_each = local.ticks

  rule      = aws_cloudwatch_event_rule.tick[each.key].name
  target_id = "function"
  arn       = aws_lambda_function.function[each.key].arn

  retry_policy {
    maximum_retry_attempts       = 0
    maximum_event_age_in_seconds = 60
  }

  # Without the permission the first tick would fail.
  depends_on = [aws_lambda_permission.tick]
}

resource "aws_lambda_permission" "tick" {
  for_each = local.ticks

  statement_id  = "Tick"
  action        = "lambda:InvokeFunction"
  function_name = aws_lambda_function.function[each.key].function_name
  principal     = "events.amazonaws.com"
  source_arn    = aws_cloudwatch_event_rule.tick[each.key].arn
}
