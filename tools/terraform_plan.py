#!/usr/bin/env python3
"""Runs Terraform itself on terraform/: validate, plan and apply against a provider that has AWS's schema and no AWS.

    terraform_plan.py --schema FOLDER

Needs the terraform CLI; tools/check_terraform.sh says when there is none. Nothing is downloaded, nothing leaves the machine. What Terraform
makes of the files is then compared with what the offline fallback, tools/infra/evaluate.py, makes of them, on which
check_parity.py, check_contract.py and check_permissions.py rest; and for each variable, whether it refuses the same values.
Mistakes that `validate` must name are planted too: they show that the provider's schema arrives in Terraform as it is.
"""

from __future__ import annotations

import argparse
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

from check_parity import ROOT, VALUES, Sources, differences, scenarios, to_terraform, variable_of
from infra import hcl
from infra.evaluate import EvaluationError
from infra.stub_provider import Stub
from terraform_lint import provider_of

# Of scenarios(), each of which is an apply: these have everything that the others have.
SCENARIOS = ("the defaults", "everything changed", "everything changed, with own secret and dashboard")
# (file, text that is there, what takes its place, what Terraform must say)
MISTAKES = [
    ("table.tf", '"aws_dynamodb_table" "jobs"', '"aws_dynamo_table" "jobs"', 'does not support resource type "aws_dynamo_table"'),
    ("queues.tf", "message_retention_seconds = 1209600", "message_retention_secs = 1209600", 'argument named "message_retention_secs"'),
    ("functions.tf", "  role             = aws_iam_role.function[each.key].arn\n", "", 'argument "role" is required'),
    ("api.tf", "access_log_settings {", "access_log_setting {", 'Blocks of type "access_log_setting"'),
    ("table.tf", "  ttl {\n", "  ttl = {\n", 'argument named "ttl"'),
    ("table.tf", "  point_in_time_recovery {\n", "  point_in_time_recovery {\n    enabled = true\n  }\n  point_in_time_recovery {\n", "Too many point_in_time_recovery"),
    ("table.tf", "billing_mode                =", "arn                         =", "arn can only be read"),
    ("api.tf", "auto_deploy = true", 'auto_deploy = "yes"', "a bool is required"),
    ("functions.tf", "architectures    = [var.architecture]", 'architectures    = "arm64"', "list of string required"),
    ("secret.tf", "secret_string_wo         =", "secret_string            =", "Ephemeral values are not valid"),
    ("main.tf", "  account    =", "  acount     =", "undeclared local value"),
    ("dashboard.tf", "jsonencode(", "jsonencod(", "Call to unknown function"),
]
# What Terraform keeps elsewhere, or evaluates from files that are not there.
NOT_COMPARED = {"secret_string_wo", "source_code_hash", "filename"}


class Terraform:
    """The CLI in a folder of its own."""

    def __init__(self, work: pathlib.Path, attach: str):
        self.folder = work / "repository" / "terraform"
        shutil.copytree(ROOT / "terraform", self.folder, ignore=shutil.ignore_patterns(".terraform*", "*.tfstate*", "*.tfvars"))
        for function in ("api", "scheduler", "cron"):
            zip_file = work / "repository" / "target" / "lambda" / function / "bootstrap.zip"
            zip_file.parent.mkdir(parents=True)
            zip_file.write_text(function)
        # Not the user's configuration, state, workspace or credentials.
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("TF_", "AWS_"))}
        self.environment = kept | {
            "TF_CLI_CONFIG_FILE": os.devnull,
            "TF_REATTACH_PROVIDERS": attach,
            "TF_IN_AUTOMATION": "1",
            "TF_INPUT": "0",
            "CHECKPOINT_DISABLE": "1",
        }

    def run(self, *arguments):
        done = subprocess.run(
            ["terraform", *arguments], cwd=self.folder, env=self.environment, capture_output=True, text=True, timeout=300, check=False
        )
        return done.returncode, done.stdout, done.stderr

    def variables(self, values):
        """A file for -var-file."""
        file = self.folder / "check.tfvars.json"
        file.write_text(json.dumps({n: sorted(v) if isinstance(v, frozenset) else v for n, v in values.items()}))
        return f"-var-file={file}"


def types_of(sources):
    return {name: hcl.text_of(block.attributes["type"]).replace(" ", "") for name, block in sources.variables().items()}


def plain(value):
    """Values that may be compared: no order where there is none, texts of JSON as what they say."""
    if isinstance(value, dict):
        return {key: plain(inner) for key, inner in value.items()}
    if isinstance(value, (list, frozenset, tuple)):
        return sorted((plain(inner) for inner in value), key=lambda inner: json.dumps(inner, sort_keys=True))
    if isinstance(value, str) and value[:1] in "{[":
        return plain(json.loads(value))
    return float(value) if isinstance(value, int) and not isinstance(value, bool) else value


def compare_state(terraform, sources, parameters):
    """Applies, and says where Terraform's state and evaluate.py differ."""
    (terraform.folder / "terraform.tfstate").unlink(missing_ok=True)
    types = types_of(sources)
    values = {variable_of(name): to_terraform(value, types[variable_of(name)]) for name, value in parameters.items()}
    code, output, error = terraform.run("apply", "-auto-approve", "-no-color", terraform.variables(values))
    if code != 0:
        return [f"terraform apply: {(error or output).strip()[-2000:]}"]
    code, again, error = terraform.run("plan", "-detailed-exitcode", "-no-color", terraform.variables(values))
    if code != 0:
        return [f"a second plan is not empty: {(error or again).strip()[-2000:]}"]
    _, shown, _ = terraform.run("show", "-json")
    state = json.loads(shown)["values"]
    theirs = {r["address"]: r["values"] for r in state["root_module"]["resources"] if r["mode"] == "managed"}
    module = sources.module(parameters)
    ours = {address: instance.settings() for address, instance in module.instances()}
    found = [f"{address}: only one of the two has it" for address in sorted(theirs.keys() ^ ours.keys())]
    for address in theirs.keys() & ours.keys():
        for name, value in ours[address].items():
            if name not in NOT_COMPARED:
                found += differences(plain(value), plain(pruned(theirs[address].get(name), value)), f"{address}.{name}")
    outputs = {name: output.get("value") for name, output in state["outputs"].items()}
    found += differences(plain({n: v for n in module.outputs if (v := module.output(n)) is not None}), plain(outputs), "output")
    return [line.replace("template.yaml", "evaluate.py").replace("terraform/", "Terraform") for line in found]


def planted(terraform):
    """Mistakes that `validate` does not name, each with what it says instead."""
    for file, old, new, expected in MISTAKES:
        path = terraform.folder / file
        text = path.read_text(encoding="utf-8")
        path.write_text(text.replace(old, new, 1), encoding="utf-8")
        _, output, error = terraform.run("validate", "-no-color")
        path.write_text(text, encoding="utf-8")
        said = " ".join(re.sub("[│╷╵]", " ", output + error).split())
        yield f"validate names {new.strip()!r}", [] if expected in said and old in text else [said or f"{old!r} is not there"]


def pruned(theirs, ours):
    """Of Terraform's blocks the settings that ours have: the others are null or computed."""
    if isinstance(ours, list) and isinstance(theirs, list) and all(isinstance(block, dict) for block in ours + theirs):
        return [{n: v for n, v in block.items() if v not in (None, [], "")} if ours else block for block in theirs]
    return theirs


def refusals(terraform, sources):
    """Values that Terraform's own validation and ours see differently. Each plan has another value of every variable."""
    types = types_of(sources)
    edges = {variable_of(name): [(name, value) for value in values] for name, (_, values) in VALUES.items()}
    edges = {variable: values for variable, values in edges.items() if types[variable] != "bool"}
    found = {variable: [] for variable in edges}
    while any(edges.values()):
        these = {variable: values.pop() for variable, values in edges.items() if values}
        given = {variable: to_terraform(value, types[variable]) for variable, (_, value) in these.items()}
        code, output, error = terraform.run("plan", "-no-color", terraform.variables(given))
        refused = set(re.findall(r"│ var\.(\w+) is ", output + error))
        if code != 0 and not refused:
            raise RuntimeError((error or output)[-2000:])
        for variable, (name, value) in these.items():
            try:
                ours = bool(sources.module({name: value}).refused(variable))
            except EvaluationError as problem:
                found[variable].append(f"{value!r}: {problem}")
                continue
            if ours != (variable in refused):
                found[variable].append(f"{value!r}: Terraform {'takes' if ours else 'refuses'} it, evaluate.py does not agree")
    yield from ((f"values of {variable}", problems) for variable, problems in found.items())


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--schema", type=pathlib.Path, required=True, help="folder with the wheel of cdktn-provider-aws")
    arguments = parser.parse_args()
    sources = Sources()
    provider = provider_of(arguments.schema, sources.blocks)
    used = {(block.kind, block.labels[0]) for block in sources.blocks if block.kind in ("resource", "data", "ephemeral")}
    passed = failed = 0

    def result(title, problems):
        nonlocal passed, failed
        passed, failed = passed + (not problems), failed + bool(problems)
        if problems:
            print(f"FAILED {title}")
            for line in problems[:40]:
                print(f"    {line}")

    with tempfile.TemporaryDirectory(prefix="ojs-terraform-") as work:
        server, attach = Stub(provider, used).start(pathlib.Path(work) / "provider.sock")
        try:
            terraform = Terraform(pathlib.Path(work), attach)
            for arguments_ in (("init", "-no-color"), ("validate", "-no-color")):
                code, output, error = terraform.run(*arguments_)
                warned = re.search(r"Warning: .*", output + error)
                result(f"terraform {arguments_[0]}", [(error or output).strip()] if code else [warned[0]] if warned else [])
            for title, problems in planted(terraform):
                result(title, problems)
            for title, parameters in scenarios():
                if title in SCENARIOS:
                    result(f"apply with {title}", compare_state(terraform, sources, parameters))
            (terraform.folder / "terraform.tfstate").unlink(missing_ok=True)
            for title, problems in refusals(terraform, sources):
                result(title, problems)
        finally:
            server.stop(0)
    print(f"{passed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
