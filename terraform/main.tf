# An Open Job Spec server on Lambda, DynamoDB and SQS. ../template.yaml makes the same.
#
# There is no provider block here, so that this folder is a module as well as a root: the region comes from the
# provider that calls it, or from AWS_REGION.

data "aws_caller_identity" "current" {}

data "aws_partition" "current" {}

data "aws_region" "current" {}

locals {
  account    = data.aws_caller_identity.current.account_id
  dns_suffix = data.aws_partition.current.dns_suffix
  partition  = data.aws_partition.current.partition
  region     = data.aws_region.current.region

  tags = merge({ Application = "ojs", Stack = var.name }, var.tags)
}
