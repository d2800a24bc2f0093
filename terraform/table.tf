# What shared/core/src/store/table.rs makes for the local stack.

resource "aws_dynamodb_table" "jobs" {
  name                        = "${var.name}-jobs"
  billing_mode                = "PAY_PER_REQUEST"
  hash_key                    = "pk"
  range_key                   = "sk"
  deletion_protection_enabled = var.deletion_protection
  tags                        = local.tags

  # The jobs outlive this folder, as they outlive a CloudFormation stack: README.md says how to take it down.
  lifecycle {
    prevent_destroy = true
  }

  dynamic "attribute" {
    for_each = { pk = "S", sk = "S", dup = "S", dus = "N", dlp = "S", dlq = "S", dls = "S", lp = "S", lo = "B" }

    content {
      name = attribute.key
      type = attribute.value
    }
  }

  dynamic "global_secondary_index" {
    for_each = local.indexes

    content {
      name               = global_secondary_index.key
      projection_type    = length(global_secondary_index.value.more) > 0 ? "INCLUDE" : "KEYS_ONLY"
      non_key_attributes = length(global_secondary_index.value.more) > 0 ? global_secondary_index.value.more : null

      key_schema {
        attribute_name = global_secondary_index.value.hash
        key_type       = "HASH"
      }

      key_schema {
        attribute_name = global_secondary_index.value.range
        key_type       = "RANGE"
      }
    }
  }

  ttl {
    attribute_name = "ttl"
    enabled        = true
  }

  point_in_time_recovery {
    enabled = var.point_in_time_recovery
  }

  # Without this DynamoDB encrypts with a key of its own.
  dynamic "server_side_encryption" {
    for_each = var.kms_key_arn == "" ? [] : [var.kms_key_arn]

    content {
      enabled     = true
      kms_key_arn = server_side_encryption.value
    }
  }
}

locals {
  indexes = {
    # Sparse: jobs that wait longer than SQS can, and cron jobs, by time.
    due = { hash = "dup", range = "dus", more = ["ty", "q", "p", "gr", "wk"] }
    # Sparse: dead letters of all queues, by time.
    dead = { hash = "dlp", range = "dls", more = [] }
    # Sparse: dead letters of one queue, by time.
    dead-in-queue = { hash = "dlq", range = "dls", more = [] }
    # Jobs of one queue, and workflows, by the server's time.
    listing = { hash = "lp", range = "lo", more = [] }
  }
}
