output "api_url" {
  description = "Base URL of the API; OJS paths such as /ojs/v1/health follow it."
  value       = aws_apigatewayv2_api.api.api_endpoint
}

output "api_key_secret_arn" {
  description = "The secret with the API keys. To read it: aws secretsmanager get-secret-value --query SecretString --output text --secret-id ARN"
  value       = local.api_key_secret_arn
}

output "table_name" {
  description = "The DynamoDB table."
  value       = aws_dynamodb_table.jobs.name
}

output "queue_urls" {
  description = "URLs of the SQS queues, by OJS queue."
  value       = { for queue, sqs in aws_sqs_queue.jobs : queue => sqs.url }
}

output "api_function_name" {
  description = "The function behind the HTTP API."
  value       = aws_lambda_function.function["api"].function_name
}

output "scheduler_function_name" {
  description = "The function that sends the messages of jobs that come due."
  value       = aws_lambda_function.function["scheduler"].function_name
}

output "cron_function_name" {
  description = "The function that fires cron jobs."
  value       = aws_lambda_function.function["cron"].function_name
}

output "dashboard_url" {
  description = "The CloudWatch dashboard; null without one."
  value       = one([for dashboard in aws_cloudwatch_dashboard.ojs : "https://${local.region}.console.aws.amazon.com/cloudwatch/home?region=${local.region}#dashboards:name=${dashboard.dashboard_name}"])
}
