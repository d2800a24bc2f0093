terraform {
  # 1.11: write-only arguments, which keep the generated API key out of plans and states.
  required_version = ">= 1.11"

  required_providers {
    aws = {
      source = "hashicorp/aws"
      # The schema that tools/terraform_lint.py and tools/terraform_plan.py check against is 6.69's.
      version = "~> 6.69"
    }
  }
}
