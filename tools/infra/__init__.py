"""Evaluates terraform/ and template.yaml without AWS, in one vocabulary: for the checks of the deployment.

The SAM CLI's library evaluates the template. For Terraform there is no such library, and its CLI needs a registry for the
AWS provider: hcl.py and evaluate.py are the offline fallback. tools/terraform_plan.py compares them with Terraform itself,
on a provider with AWS's schema and no AWS (stub_provider.py), where the CLI is installed.
"""
