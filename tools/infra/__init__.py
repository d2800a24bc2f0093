"""Reads terraform/ and template.yaml without AWS, Terraform or SAM: for check_parity.py and terraform_schema.py."""
