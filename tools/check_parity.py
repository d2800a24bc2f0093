#!/usr/bin/env python3
"""Checks that template.yaml and terraform/ make the same system.

    tools/venv.sh deploy
    .venv-deploy/bin/python tools/check_parity.py [--self-test]

Evaluates both with the same parameters - the defaults, each parameter changed alone, and two mixtures - and compares every
setting of every resource, right, alarm and output; then what values the parameters take. --self-test breaks one of the two in many places
and checks that each break is noticed.
"""

from __future__ import annotations

import argparse
import functools
import itertools
import json
import pathlib
import re
import sys

from infra import hcl
from infra.cloudformation import Template, TemplateError
from infra.evaluate import EvaluationError, Module
from infra.model import of_template, of_terraform

ROOT = pathlib.Path(__file__).resolve().parent.parent
KEY = "arn:aws:kms:eu-test-1:123456789012:key/0a1b2c3d-1111-2222-3333-444455556666"
TOPIC = "arn:aws:sns:eu-test-1:123456789012:alarms"
SECRET = "arn:aws:secretsmanager:eu-test-1:123456789012:secret:mine-AbCdEf"

# Differences that are meant to be. Everything else that differs is an error.
#
# Variables without a parameter, and why.
ONLY_IN_TERRAFORM = {
    "api_zip": "sam build makes the zips itself",
    "scheduler_zip": "the same",
    "cron_zip": "the same",
    "tags": "CloudFormation gives a stack's tags (sam deploy --tags) to its resources",
}
# Not compared, by the rules in infra/model.py: roles' names (CloudFormation makes them up; Terraform's have the region), the secret's recovery window
# (CloudFormation knows none), statement ids of permissions.
# `Kept` is DeletionPolicy there and prevent_destroy here.

# For each parameter: another value, in CloudFormation's terms, and then values at and beyond the edges.
VALUES = {
    "Name": ("acme-jobs", ["o", "ab", "a" * 16, "a" * 17, "1ab", "ab-", "a_b", "Ab", "", "a--b", "ab\n"]),
    "Architecture": ("x86_64", ["arm", "arm64", ""]),
    "ApiMemory": (2048, [127, 128, 10240, 10241]),
    "TickMemory": (256, [127, 128, 10240, 10241]),
    "LogRetentionDays": (7, [0, 1, 2, 3, 5, 14, 31, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288, 3653, 3654]),
    "LogLevel": ("info,ojs_core=debug", ["", "a b", "x" * 200, "x" * 201, "warn;", "info\n"]),
    "ApiKeySecretArn": (SECRET, [" ", "mine", SECRET.replace("aws", "aws-cn", 1), SECRET.replace("secretsmanager", "ssm"), SECRET + " "]),
    "QueueNames": ("default,email,ab", ["dlq", "a-dlq", "dlq-a", "xdlq", "a.b", "-a", "0", "a" * 40, "a" * 41, "A", "a_b"]),
    "UseFifo": ("true", ["true", "false"]),
    "FetchWaitSeconds": (5, [-1, 0, 20, 21]),
    "VisibilityTimeoutSeconds": (60, [0, 1, 43200, 43201]),
    "RetentionCompletedDays": (1, [-1, 0, 36500, 36501]),
    "RetentionDiscardedDays": (2, [-1, 0, 36500, 36501]),
    "ListingIndex": ("false", ["true", "false"]),
    "IndexShards": (8, [0, 1, 32, 33]),
    "ThrottleRate": (50, [0, 1, 100000, 100001]),
    "ThrottleBurst": (75, [0, 1, 100000, 100001]),
    "CorsAllowOrigins": ("https://a.example.com,http://localhost:3000", ["*", "a.example.com", "https://a/b", "https://*.a.org", "https://a:123456", "ftp://a"]),
    "ApiReservedConcurrency": ("20", ["0", "1", "99999", "100000", "-1"]),
    "TickReservedConcurrency": ("1", ["0", "1", "99999", "100000", "-1"]),
    "PointInTimeRecovery": ("false", ["true", "false"]),
    "DeletionProtection": ("false", ["true", "false"]),
    "KmsKeyArn": (KEY, ["alias/x", KEY.replace("key/", "alias/"), KEY.replace("aws", "aws-us-gov", 1), KEY + "*"]),
    "Metrics": ("false", ["true", "false"]),
    "Dashboard": ("false", ["true", "false"]),
    "AlarmTopicArn": (TOPIC, ["x", TOPIC + ".fifo", TOPIC + ":x", TOPIC.replace("aws", "aws-cn", 1)]),
    "OldestMessageAlarmSeconds": (7200, [59, 60, 1209600, 1209601]),
    "OtlpEndpoint": ("https://otel.example.com:4318", ["x", "ftp://a", "http://a b", "http://"]),
}


def variable_of(parameter):
    """ApiMemory is api_memory."""
    return re.sub(r"(?<!^)(?=[A-Z])", "_", parameter).lower()


def to_terraform(value, type_):
    """A parameter's value as the variable's."""
    if type_ == "set(string)":
        return frozenset(part for part in str(value).split(",") if part)
    if type_ == "number":
        return None if value == "" else int(value)
    if type_ == "bool":
        return {"true": True, "false": False}[str(value)]
    return str(value)


class Sources:
    """The two descriptions, or changed copies of them."""

    def __init__(self, terraform=None, template=None, folder=ROOT / "terraform"):
        self.folder = folder
        self.blocks = hcl.read_folder(self.folder, terraform)
        self.template = template or (ROOT / "template.yaml").read_text(encoding="utf-8")
        self.given = {}  # variables that no parameter has
        self.key = (folder, *sorted((terraform or {}).items()))

    def variables(self):
        return Module(self.blocks, self.folder).variables

    def module(self, parameters):
        types = {name: hcl.text_of(block.attributes["type"]).replace(" ", "") for name, block in self.variables().items()}
        given = {variable_of(name): value for name, value in parameters.items()}
        if missing := given.keys() - types.keys():
            raise EvaluationError(f"no variable {', '.join(sorted(missing))}")
        return Module(self.blocks, self.folder, self.given | {name: to_terraform(value, types[name]) for name, value in given.items()})


def scenarios():
    yield "the defaults", {}
    for name, (value, _) in VALUES.items():
        yield f"{name}={value}", {name: value}
    everything = {name: value for name, (value, _) in VALUES.items()}
    yield "everything changed", everything
    yield "everything changed, with own secret and dashboard", {
        name: value for name, value in everything.items() if name not in ("ApiKeySecretArn", "Dashboard", "Metrics")
    }


def differences(a, b, path=""):
    """Lines that say where the template (a) and Terraform (b) differ."""
    if isinstance(a, dict) and isinstance(b, dict):
        for key in [*a, *(key for key in b if key not in a)]:
            inner = f"{path} > {key}" if path else str(key)
            if key not in b:
                yield f"{inner}: only in template.yaml ({short(a[key])})"
            elif key not in a:
                yield f"{inner}: only in terraform/ ({short(b[key])})"
            else:
                yield from differences(a[key], b[key], inner)
    elif isinstance(a, list) and isinstance(b, list) and len(a) == len(b):
        for index, (left, right) in enumerate(zip(a, b, strict=True)):
            yield from differences(left, right, f"{path}[{index}]")
    # True is 1 in Python, and not in AWS.
    elif a != b or isinstance(a, bool) != isinstance(b, bool):
        yield f"{path}: template.yaml {short(a)}, terraform/ {short(b)}"


def short(value):
    text = json.dumps(value, ensure_ascii=False, default=repr)
    return text if len(text) <= 160 else text[:157] + "..."


# What a description makes with some parameters is asked again for each break of the other one.
@functools.lru_cache(maxsize=None)
def template_of(text, *parameters):
    return Template(text, dict(parameters))


@functools.lru_cache(maxsize=None)
def template_model(text, *parameters):
    return of_template(template_of(text, *parameters))


_terraform = {}


def terraform_model(sources, parameters):
    key = (sources.key, *parameters.items())
    if key not in _terraform:
        _terraform[key] = of_terraform(sources.module(parameters))
    return _terraform[key]


def compare(sources, parameters):
    """What differs when both are evaluated with the parameters."""
    try:
        template = template_model(sources.template, *parameters.items())
    except (TemplateError, ValueError, LookupError, AttributeError, TypeError) as error:
        return [f"template.yaml: {type(error).__name__}: {error}"]
    try:
        terraform = terraform_model(sources, parameters)
    except (EvaluationError, ValueError, LookupError, AttributeError, TypeError) as error:
        return [f"terraform/: {type(error).__name__}: {error}"]
    return list(differences(template, terraform))


def compare_names(sources):
    """Parameters without a variable, and the other way round."""
    parameters = {variable_of(name) for name in template_of(sources.template).parameters}
    variables = set(sources.variables())
    found = [f"variable {name} is missing in terraform/" for name in sorted(parameters - variables)]
    found += [f"variable {name} has no parameter in template.yaml" for name in sorted(variables - parameters - ONLY_IN_TERRAFORM.keys())]
    found += [f"variable {name} of ONLY_IN_TERRAFORM is not there or has a parameter" for name in sorted(ONLY_IN_TERRAFORM.keys() - (variables - parameters))]
    found += [f"parameter {name} is missing in VALUES of tools/check_parity.py" for name in template_of(sources.template).parameters.keys() ^ VALUES.keys()]
    return found


def compare_parameter(sources, name):
    """Default, description and accepted values of a parameter and its variable."""
    template, variables = template_of(sources.template), sources.variables()
    variable, parameter = variable_of(name), template.parameters[name]
    if variable not in variables:
        return [f"no variable {variable}"]
    block = variables[variable]
    found = []
    for field in ("type", "description", "default"):
        if field not in block.attributes:
            return [f"{variable} has no {field}"]
    type_ = hcl.text_of(block.attributes["type"]).replace(" ", "")
    default = to_terraform(parameter["Default"], type_)
    if (ours := sources.module({}).variable(variable)) != default:
        found.append(f"default: template.yaml {default!r}, terraform/ {ours!r}")
    alternative, edges = VALUES[name]
    for value in [parameter["Default"], alternative, *edges]:
        accepts = template.accepts(name, value)
        if type_ == "bool" and str(value) not in ("true", "false"):
            ours = False
        else:
            module = sources.module({name: value})
            try:
                ours = not module.refused(variable)
            except EvaluationError as error:
                found.append(f"{value!r}: the validation of {variable} fails: {error}")
                continue
        if accepts != ours:
            words = {True: "takes", False: "refuses"}
            found.append(f"{value!r}: template.yaml {words[accepts]} it, terraform/ {words[ours]} it")
    return found


def check(sources):
    """(title, differences) of every comparison."""
    yield "the same parameters", compare_names(sources)
    for name in VALUES:
        yield f"parameter {name}", compare_parameter(sources, name)
    for title, parameters in scenarios():
        yield f"with {title}", compare(sources, parameters)


# ---- Self-test: breaks that must be noticed ----------------------------------------------------------------------------

# (file, text that is there, what takes its place). A text that is not there is a failure: the list must not rot.
BREAKS = [
    ("table.tf", 'range_key                   = "sk"', 'range_key                   = "pk"'),
    ("table.tf", 'hash = "dlq", range = "dls"', 'hash = "dlp", range = "dls"'),
    ("table.tf", '"ty", "q", "p", "gr", "wk"', '"ty", "q", "p", "gr"'),
    ("table.tf", "enabled = var.point_in_time_recovery", "enabled = true"),
    ("table.tf", "deletion_protection_enabled = var.deletion_protection", "deletion_protection_enabled = true"),
    ("table.tf", "enabled        = true", "enabled        = false"),
    ("table.tf", 'dus = "N"', 'dus = "S"'),
    ("table.tf", "kms_key_arn = server_side_encryption.value", "kms_key_arn = null"),
    ("queues.tf", "message_retention_seconds = 1209600", "message_retention_seconds = 345600"),
    ("queues.tf", "max_message_size        = 1048576", "max_message_size        = null"),
    ("queues.tf", "maxReceiveCount     = 1000", "maxReceiveCount     = 10"),
    ("queues.tf", 'fifo_throughput_limit   = var.use_fifo ? "perMessageGroupId" : null', "fifo_throughput_limit   = null"),
    ("queues.tf", 'sqs_managed_sse_enabled = var.kms_key_arn == "" ? true : null', "sqs_managed_sse_enabled = true"),
    ("functions.tf", "timeout  = 29", "timeout  = 30"),
    ("functions.tf", "      OJS_LISTING_INDEX              = tostring(var.listing_index)\n", ""),
    ("functions.tf", 'var.metrics ? "emf" : "off"', 'var.metrics ? "emf" : "no"'),
    ("functions.tf", "tostring(var.retention_discarded_days)", "tostring(var.retention_completed_days)"),
    ("functions.tf", "reserved    = var.tick_reserved_concurrency", "reserved    = var.api_reserved_concurrency"),
    ("functions.tf", "architectures    = [var.architecture]", 'architectures    = ["arm64"]'),
    ("functions.tf", 'runtime          = "provided.al2023"', 'runtime          = "provided.al2"'),
    ("functions.tf", "maximum_event_age_in_seconds = 60", "maximum_event_age_in_seconds = 600"),
    ("functions.tf", "retention_in_days = var.log_retention_days", "retention_in_days = 30"),
    ("functions.tf", 'var.otlp_endpoint == "" ? {} :', "false ? {} :"),
    ("functions.tf", '      OJS_FETCH_WAIT_SECONDS = tostring(var.fetch_wait_seconds)\n', '      OJS_FETCH_WAIT_SECONDS = tostring(var.fetch_wait_seconds)\n      OJS_NEW = "1"\n'),
    ("functions.tf", "  # Null: no limit of its own.\n", '  kms_key_arn = "x"\n'),
    ("iam.tf", '      "sqs:ReceiveMessage",\n', ""),
    ("iam.tf", '"dynamodb:Query",\n      "dynamodb:UpdateItem",', '"dynamodb:Query",\n      "dynamodb:Scan",\n      "dynamodb:UpdateItem",'),
    ("iam.tf", '"${aws_dynamodb_table.jobs.arn}/index/*"', '"${aws_dynamodb_table.jobs.arn}*"'),
    ("iam.tf", ":${var.name}-*", ":*"),
    ("iam.tf", '["dynamodb", "secretsmanager", "sqs"]', '["dynamodb", "sqs"]'),
    ("iam.tf", '"lambda.amazonaws.com"', '"edgelambda.amazonaws.com"'),
    ("api.tf", "throttling_burst_limit = var.throttle_burst", "throttling_burst_limit = 1000"),
    ("api.tf", 'allow_methods  = ["GET", "POST", "PUT", "PATCH", "DELETE"]', 'allow_methods  = ["GET", "POST", "PUT", "PATCH"]'),
    ("api.tf", '"$context.path"', '"$context.routeKey"'),
    ("api.tf", "/*/$default", "/*/*"),
    ("api.tf", 'payload_format_version = "2.0"', 'payload_format_version = "1.0"'),
    ("schedules.tf", "rate(1 minute)", "rate(5 minutes)"),
    ("schedules.tf", "maximum_retry_attempts       = 0", "maximum_retry_attempts       = 3"),
    ("schedules.tf", 'state               = "ENABLED"', 'state               = "DISABLED"'),
    ("alarms.tf", "threshold   = 5", "threshold   = 6"),
    ("alarms.tf", 'missing = "breaching"', 'missing = "ignore"'),
    ("alarms.tf", "period      = 60", "period      = 300"),
    ("alarms.tf", 'metric      = "FailedInvocations"', 'metric      = "Invocations"'),
    ("alarms.tf", "threshold   = var.oldest_message_alarm_seconds", "threshold   = 900"),
    ("alarms.tf", "ok_actions          = local.alarm_actions", "ok_actions          = []"),
    ("alarms.tf", "{ QueueName = aws_sqs_queue.dead_letters[queue].name }", "{ QueueName = aws_sqs_queue.jobs[queue].name }"),
    ("secret.tf", "password_length     = 48", "password_length     = 32"),
    ("outputs.tf", 'output "table_name"', 'output "table"'),
    ("outputs.tf", "aws_sqs_queue.jobs :", "aws_sqs_queue.dead_letters :"),
    ("variables.tf", "default     = 500", "default     = 50"),
    ("variables.tf", "var.index_shards <= 32", "var.index_shards <= 64"),
    ("variables.tf", "key/[A-Za-z0-9-]+$", "[A-Za-z0-9/-]+$"),
    ("variables.tf", '&& queue != "dlq"', ""),
    ("variables.tf", 'variable "metrics"', 'variable "own_metrics"'),
    ("template.yaml", "Timeout: 29", "Timeout: 28"),
    ("template.yaml", "        OJS_INDEX_SHARDS: !Ref IndexShards\n", ""),
    ("template.yaml", "                  - sqs:ChangeMessageVisibility\n", ""),
    ("template.yaml", "MaximumEventAgeInSeconds: 60", "MaximumEventAgeInSeconds: 120"),
    ("template.yaml", "TreatMissingData: breaching", "TreatMissingData: missing"),
    ("template.yaml", "ThrottlingRateLimit: !Ref ThrottleRate", "ThrottlingRateLimit: !Ref ThrottleBurst"),
    ("template.yaml", '"stat": "p50", "label": "HTTP API p50"', '"stat": "p90", "label": "HTTP API p50"'),
    ("template.yaml", "    Default: 1800\n", "    Default: 900\n"),
    ("template.yaml", "    MaxValue: 43200\n", "    MaxValue: 86400\n"),
    ("template.yaml", "  ApiFunctionName:\n    Description", "  FunctionName:\n    Description"),
    ("template.yaml", "      Timeout: 29\n", "      Timeout: 29\n      Tracing: Active\n"),
]


def self_test():
    passed, failed = 0, 0
    if any(found for _, found in check(Sources())):
        print("FAILED the two differ as they are, so that nothing can be tested: run without --self-test")
        return 0, 1
    for file, old, new in BREAKS:
        path = ROOT / file if file == "template.yaml" else ROOT / "terraform" / file
        text = path.read_text(encoding="utf-8")
        if old not in text:
            problem = "the text is no longer there; change BREAKS"
        else:
            changed = text.replace(old, new, 1)
            try:
                sources = Sources(template=changed) if file == "template.yaml" else Sources({file: changed})
                # A description that cannot be evaluated any more is no proof that the comparison works.
                noticed = any(
                    "Error: " not in line or "is compared by no rule" in line for _, found in check(sources) for line in found
                )
            except (EvaluationError, TemplateError, SyntaxError, KeyError, ValueError) as error:
                print(f"FAILED {file}: {old.strip()!r} -> {new.strip()!r}: {type(error).__name__} instead of a difference: {error}")
                failed += 1
                continue
            problem = None if noticed else "not noticed"
        if problem:
            print(f"FAILED {file}: {old.strip()!r} -> {new.strip()!r}: {problem}")
            failed += 1
        else:
            passed += 1
    return passed, failed


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--self-test", action="store_true", help="break the descriptions and check that it is noticed")
    arguments = parser.parse_args()
    if arguments.self_test:
        passed, failed = self_test()
    else:
        passed, failed, seen = 0, 0, set()
        for title, found in check(Sources()):
            passed += not found
            failed += bool(found)
            # What differs always would come once for each scenario.
            if new := [line for line in found if line not in seen]:
                print(f"FAILED {title}")
                for line in itertools.islice(new, 40):
                    print(f"    {line}")
                seen.update(new)
    print(f"{passed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
