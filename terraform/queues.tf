# What shared/core/src/transport/queues.rs makes at a queue's first job.

locals {
  fifo_suffix = var.use_fifo ? ".fifo" : ""
}

resource "aws_sqs_queue" "dead_letters" {
  for_each = var.queue_names

  name                      = "${var.name}-${each.key}-dlq${local.fifo_suffix}"
  message_retention_seconds = 1209600
  # SQS's own default. The provider's is a quarter of it.
  max_message_size        = 1048576
  fifo_queue              = var.use_fifo
  deduplication_scope     = var.use_fifo ? "messageGroup" : null
  fifo_throughput_limit   = var.use_fifo ? "perMessageGroupId" : null
  sqs_managed_sse_enabled = var.kms_key_arn == "" ? true : null
  kms_master_key_id       = var.kms_key_arn == "" ? null : var.kms_key_arn
  tags                    = local.tags

  # A message is the only thing that starts its job: it must not go when a name is taken out of queue_names.
  lifecycle {
    prevent_destroy = true
  }
}

resource "aws_sqs_queue" "jobs" {
  for_each = var.queue_names

  name                      = "${var.name}-${each.key}${local.fifo_suffix}"
  message_retention_seconds = 1209600
  max_message_size          = 1048576
  # SQS's highest: the engine counts attempts, this is the net below it.
  redrive_policy = jsonencode({
    deadLetterTargetArn = aws_sqs_queue.dead_letters[each.key].arn
    maxReceiveCount     = 1000
  })
  fifo_queue              = var.use_fifo
  deduplication_scope     = var.use_fifo ? "messageGroup" : null
  fifo_throughput_limit   = var.use_fifo ? "perMessageGroupId" : null
  sqs_managed_sse_enabled = var.kms_key_arn == "" ? true : null
  kms_master_key_id       = var.kms_key_arn == "" ? null : var.kms_key_arn
  tags                    = local.tags

  lifecycle {
    prevent_destroy = true
  }
}
