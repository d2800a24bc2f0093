# No metric math, so that a metric without data hides no other. What an alarm does not say is in local.alarm_defaults.

locals {
  alarm_actions = var.alarm_topic_arn == "" ? [] : [var.alarm_topic_arn]

  alarm_defaults = {
    statistic  = "Sum"
    period     = 300
    periods    = 1
    threshold  = 0
    comparison = "GreaterThanThreshold"
    missing    = "notBreaching"
  }

  # What waits when a tick is missing.
  late = {
    scheduler = "Jobs that wait for longer than SQS can delay a message"
    cron      = "Cron jobs"
  }

  # By their names, without NAME-.
  alarms = merge(
    {
      api-errors = {
        description = "The API function crashed or took longer than its time-out. Answers with an error status are not counted here."
        namespace   = "AWS/Lambda"
        metric      = "Errors"
        dimensions  = { FunctionName = aws_lambda_function.function["api"].function_name }
      }
      api-5xx = {
        description = "Five or more requests within five minutes were answered 5xx. DynamoDB or SQS is away, a permission is missing, or there is a bug."
        namespace   = "AWS/ApiGateway"
        metric      = "5xx"
        dimensions  = { ApiId = aws_apigatewayv2_api.api.id }
        threshold   = 5
        comparison  = "GreaterThanOrEqualToThreshold"
      }
      jobs-read-throttles = {
        description = "DynamoDB throttles reads of the table, ten minutes in a row. Raise its warm throughput, or look for one hot item."
        namespace   = "AWS/DynamoDB"
        metric      = "ReadThrottleEvents"
        dimensions  = { TableName = aws_dynamodb_table.jobs.name }
        periods     = 2
      }
      jobs-write-throttles = {
        description = "DynamoDB throttles writes of the table, ten minutes in a row. Raise its warm throughput, or look for one hot item."
        namespace   = "AWS/DynamoDB"
        metric      = "WriteThrottleEvents"
        dimensions  = { TableName = aws_dynamodb_table.jobs.name }
        periods     = 2
      }
    },
    # An index that throttles refuses the table's writes too. Reads of indexes that throttle show in the functions' errors.
    { for index, _ in local.indexes : "jobs-${index}-throttles" => {
      description = "DynamoDB throttles writes to the index ${index}, and with it writes to the table, ten minutes in a row. Raise its warm throughput, or index_shards."
      namespace   = "AWS/DynamoDB"
      metric      = "WriteThrottleEvents"
      dimensions  = { TableName = aws_dynamodb_table.jobs.name, GlobalSecondaryIndexName = index }
      periods     = 2
    } },
    { for function, _ in local.functions : "${function}-throttles" => {
      description = "Lambda refused to run the function, ten minutes in a row. Raise the account's concurrency, or the function's reserved one."
      namespace   = "AWS/Lambda"
      metric      = "Throttles"
      dimensions  = { FunctionName = aws_lambda_function.function[function].function_name }
      periods     = 2
    } },
    { for tick in local.ticks : "${tick}-errors" => {
      description = "Two or more of the last five ticks failed. The next tick does their work; look at the function's log."
      namespace   = "AWS/Lambda"
      metric      = "Errors"
      dimensions  = { FunctionName = aws_lambda_function.function[tick].function_name }
      threshold   = 2
      comparison  = "GreaterThanOrEqualToThreshold"
    } },
    { for tick in local.ticks : "${tick}-missing" => {
      description = "No tick ran for five minutes. ${local.late[tick]} are late. Look at the EventBridge rule."
      namespace   = "AWS/Lambda"
      metric      = "Invocations"
      dimensions  = { FunctionName = aws_lambda_function.function[tick].function_name }
      threshold   = 1
      comparison  = "LessThanThreshold"
      # A function that does not run has no data.
      missing = "breaching"
    } },
    { for tick in local.ticks : "${tick}-rule" => {
      description = "EventBridge could not call the function. Its permission is missing, or the function is."
      namespace   = "AWS/Events"
      metric      = "FailedInvocations"
      dimensions  = { RuleName = aws_cloudwatch_event_rule.tick[tick].name }
    } },
    { for queue in var.queue_names : "queue-${queue}-dead-letters" => {
      description = "Messages stay in the native dead-letter queue of OJS queue ${queue}. The scheduler empties it within minutes; look at its log."
      namespace   = "AWS/SQS"
      metric      = "ApproximateNumberOfMessagesVisible"
      dimensions  = { QueueName = aws_sqs_queue.dead_letters[queue].name }
      statistic   = "Maximum"
      periods     = 3
    } },
    { for queue in var.queue_names : "queue-${queue}-oldest-message" => {
      description = "The oldest message of OJS queue ${queue} is older than ${var.oldest_message_alarm_seconds} s. No workers, too few, a paused queue, or a long job."
      namespace   = "AWS/SQS"
      metric      = "ApproximateAgeOfOldestMessage"
      dimensions  = { QueueName = aws_sqs_queue.jobs[queue].name }
      statistic   = "Maximum"
      period      = 60
      periods     = 5
      threshold   = var.oldest_message_alarm_seconds
    } },
  )
}

resource "aws_cloudwatch_metric_alarm" "alarm" {
  for_each = local.alarms

  alarm_name          = "${var.name}-${each.key}"
  alarm_description   = each.value.description
  namespace           = each.value.namespace
  metric_name         = each.value.metric
  dimensions          = each.value.dimensions
  statistic           = lookup(each.value, "statistic", local.alarm_defaults.statistic)
  period              = lookup(each.value, "period", local.alarm_defaults.period)
  evaluation_periods  = lookup(each.value, "periods", local.alarm_defaults.periods)
  threshold           = lookup(each.value, "threshold", local.alarm_defaults.threshold)
  comparison_operator = lookup(each.value, "comparison", local.alarm_defaults.comparison)
  treat_missing_data  = lookup(each.value, "missing", local.alarm_defaults.missing)
  alarm_actions       = local.alarm_actions
  ok_actions          = local.alarm_actions
  tags                = local.tags
}
