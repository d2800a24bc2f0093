locals {
  functions = {
    api = {
      description = "The OJS HTTP API."
      zip         = coalesce(var.api_zip, "${path.module}/../target/lambda/api/bootstrap.zip")
      memory      = var.api_memory
      # Just below the 30 s that an HTTP API waits at most.
      timeout  = 29
      reserved = var.api_reserved_concurrency
      environment = {
        OJS_API_KEY_SECRET     = local.api_key_secret_arn
        OJS_FETCH_WAIT_SECONDS = tostring(var.fetch_wait_seconds)
      }
    }
    scheduler = {
      description = "Sends the messages of jobs that come due, once a minute."
      zip         = coalesce(var.scheduler_zip, "${path.module}/../target/lambda/scheduler/bootstrap.zip")
      memory      = var.tick_memory
      timeout     = 60
      reserved    = var.tick_reserved_concurrency
      environment = {}
    }
    cron = {
      description = "Fires the cron jobs whose time has come, once a minute."
      zip         = coalesce(var.cron_zip, "${path.module}/../target/lambda/cron/bootstrap.zip")
      memory      = var.tick_memory
      timeout     = 60
      reserved    = var.tick_reserved_concurrency
      environment = {}
    }
  }

  # EventBridge calls these once a minute.
  ticks = toset(["scheduler", "cron"])

  environment = merge(
    {
      DYNAMODB_TABLE                 = aws_dynamodb_table.jobs.name
      SQS_QUEUE_PREFIX               = var.name
      SQS_USE_FIFO                   = tostring(var.use_fifo)
      OJS_VISIBILITY_TIMEOUT_SECONDS = tostring(var.visibility_timeout_seconds)
      OJS_RETENTION_COMPLETED_DAYS   = tostring(var.retention_completed_days)
      OJS_RETENTION_DISCARDED_DAYS   = tostring(var.retention_discarded_days)
      OJS_LISTING_INDEX              = tostring(var.listing_index)
      OJS_INDEX_SHARDS               = tostring(var.index_shards)
      OJS_METRICS                    = var.metrics ? "emf" : "off"
      RUST_LOG                       = var.log_level
    },
    var.otlp_endpoint == "" ? {} : { OTEL_EXPORTER_OTLP_ENDPOINT = var.otlp_endpoint },
  )
}

# Made here and not by Lambda, so that the logs do not stay for ever.
resource "aws_cloudwatch_log_group" "function" {
  for_each = local.functions

  name              = "/aws/lambda/${var.name}-${each.key}"
  retention_in_days = var.log_retention_days
  tags              = local.tags
}

resource "aws_lambda_function" "function" {
  for_each = local.functions

  function_name    = "${var.name}-${each.key}"
  description      = each.value.description
  role             = aws_iam_role.function[each.key].arn
  runtime          = "provided.al2023"
  handler          = "bootstrap"
  architectures    = [var.architecture]
  filename         = each.value.zip
  source_code_hash = filebase64sha256(each.value.zip)
  memory_size      = each.value.memory
  timeout          = each.value.timeout
  # Null: no limit of its own.
  reserved_concurrent_executions = each.value.reserved
  tags                           = local.tags

  environment {
    variables = merge(local.environment, each.value.environment, { OTEL_SERVICE_NAME = "${var.name}-${each.key}" })
  }

  # The function's lines are JSON already.
  logging_config {
    log_format = "Text"
    log_group  = aws_cloudwatch_log_group.function[each.key].name
  }

  # A function that starts before it may do anything would fail.
  depends_on = [aws_iam_role_policy.function]
}

# A tick that fails is not tried again: the next one does its work.
resource "aws_lambda_function_event_invoke_config" "tick" {
  for_each = local.ticks

  function_name                = aws_lambda_function.function[each.key].function_name
  maximum_retry_attempts       = 0
  maximum_event_age_in_seconds = 60
}
