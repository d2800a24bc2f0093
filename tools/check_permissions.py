#!/usr/bin/env python3
"""Compares what the functions' code can ask of AWS with what template.yaml and terraform/ let it. Runs in .venv-deploy.

    check_permissions.py                            compares; an action too few or too many fails
    check_permissions.py --why FUNCTION ACTION      the calls by which the function reaches the action

Which function reaches which operation is read from the Rust sources (rust_calls.py).
"""

import argparse
import pathlib
import re
import sys

from check_parity import KEY, Sources
from infra.cloudformation import Template
from infra.model import FUNCTION, of_template, of_terraform
from rust_calls import Graph

ROOT = pathlib.Path(__file__).resolve().parents[1]
SHARED = "shared/core/src"
# Function → the sources of its own. All of them may run.
FUNCTIONS = {
    "api": ["functions/api-main/src", "functions/api/src", "shared/telemetry/src"],
    "scheduler": ["functions/scheduler/src", "shared/tick/src", "shared/telemetry/src"],
    "cron": ["functions/cron/src", "shared/tick/src", "shared/telemetry/src"],
}
# For the local stack and OJS_CREATE_TABLE, which no template sets: the templates make the table themselves.
LOCAL_ONLY = {"Store::create_table", "Store::drop_table"}

# Operation of the SDK → (what it is allowed on, the IAM action that allows it). A transaction needs what its parts need: see
# PARTS. The batch calls of SQS need what the single ones need.
OPERATIONS = {
    "batch_get_item": ("table", "dynamodb:BatchGetItem"),
    "batch_write_item": ("table", "dynamodb:BatchWriteItem"),
    "create_table": ("table", "dynamodb:CreateTable"),
    "delete_item": ("table", "dynamodb:DeleteItem"),
    "delete_table": ("table", "dynamodb:DeleteTable"),
    "describe_table": ("table", "dynamodb:DescribeTable"),
    "get_item": ("table", "dynamodb:GetItem"),
    "put_item": ("table", "dynamodb:PutItem"),
    "query": ("table", "dynamodb:Query"),
    "scan": ("table", "dynamodb:Scan"),
    "transact_get_items": ("table", "dynamodb:GetItem"),
    "transact_write_items": None,
    "update_item": ("table", "dynamodb:UpdateItem"),
    "update_time_to_live": ("table", "dynamodb:UpdateTimeToLive"),
    "change_message_visibility": ("queues", "sqs:ChangeMessageVisibility"),
    "change_message_visibility_batch": ("queues", "sqs:ChangeMessageVisibility"),
    "create_queue": ("queues", "sqs:CreateQueue"),
    "delete_message": ("queues", "sqs:DeleteMessage"),
    "delete_message_batch": ("queues", "sqs:DeleteMessage"),
    "delete_queue": ("queues", "sqs:DeleteQueue"),
    "get_queue_attributes": ("queues", "sqs:GetQueueAttributes"),
    "get_queue_url": ("queues", "sqs:GetQueueUrl"),
    "list_queues": ("queues", "sqs:ListQueues"),
    "purge_queue": ("queues", "sqs:PurgeQueue"),
    "receive_message": ("queues", "sqs:ReceiveMessage"),
    "send_message": ("queues", "sqs:SendMessage"),
    "send_message_batch": ("queues", "sqs:SendMessage"),
    "set_queue_attributes": ("queues", "sqs:SetQueueAttributes"),
    "get_secret_value": ("secret", "secretsmanager:GetSecretValue"),
}
# What a TransactWriteItem is made of → what it needs.
PARTS = {
    "put": "dynamodb:PutItem",
    "update": "dynamodb:UpdateItem",
    "delete": "dynamodb:DeleteItem",
    "condition_check": "dynamodb:ConditionCheckItem",
}
# What Lambda itself needs of every function's role, and with a customer managed key what AWS's services ask for in its name.
ALWAYS = {
    ("logs", "logs:CreateLogStream"),
    ("logs", "logs:PutLogEvents"),
    ("key", "kms:Decrypt"),
    ("key", "kms:DescribeKey"),
    ("key", "kms:Encrypt"),
    ("key", "kms:GenerateDataKey*"),
    ("key", "kms:ReEncrypt*"),
}
# Part of an ARN → what kind of thing it is; the first that fits.
KINDS = {"/index/": "index", ":dynamodb:": "table", ":sqs:": "queues", ":logs:": "logs", ":kms:": "key", ":secretsmanager:": "secret"}


class Problem(Exception):
    """Something that this does not understand."""


def sources(folders):
    """File name → text of the Rust files in these folders."""
    files = [file for folder in folders for file in sorted((ROOT / folder).rglob("*.rs"))]
    return {file.relative_to(ROOT).as_posix(): file.read_text(encoding="utf-8") for file in files}


def needs(function):
    """What this Rust function needs itself: pairs of a kind and an action."""
    needed = set()
    for operation in function.operations(OPERATIONS):
        if operation not in OPERATIONS:
            raise Problem(f"{function.file}: {function} calls client.{operation}(), which OPERATIONS in {__file__} does not know")
        if need := OPERATIONS[operation]:
            needed.add(("index", need[1]) if operation == "query" and ".index_name(" in function.text else need)
    if "TransactWriteItem::builder" in function.text:
        needed.update(("table", action) for part, action in PARTS.items() if f".{part}(" in function.text)
    return needed


class Code:
    """What one of the deployed functions can reach."""

    def __init__(self, folders):
        graph = Graph(sources([SHARED, *folders]))
        roots = [f for f in graph.functions if f.file.startswith(tuple(folders))]
        self.graph = graph
        self.through = graph.reach(roots, LOCAL_ONLY)
        self.needs = {}
        for function in self.through:
            for need in needs(function):
                self.needs.setdefault(need, function)

    def why(self, action):
        """For each kind that the action is needed on, the calls that lead there."""
        for (kind, name), function in sorted(self.needs.items(), key=lambda item: item[0]):
            if name == action:
                chain = [function]
                while self.through[chain[-1]]:
                    chain.append(self.through[chain[-1]])
                yield kind, [str(f) for f in reversed(chain)]


def unseen_operations(graph):
    """Operations that the code names when they fail, and that were not seen to be called: then this tool is blind."""
    text = "".join(sources([SHARED, *(folder for folders in FUNCTIONS.values() for folder in folders)]).values())
    named = set(re.findall(r'service_error\(\s*Service::\w+,\s*"(\w+)"', text))
    seen = {o.title().replace("_", "") for f in graph.functions for o in f.operations(OPERATIONS)}
    return named - seen


def kind_of(resource):
    """What a statement is about."""
    for part, kind in KINDS.items():
        if part in resource:
            return kind
    raise Problem(f"no kind for the resource {resource}")


def granted(model):
    """Function → what the statements of its role allow, of a description that is evaluated (infra/model.py)."""
    found = {}
    for name in FUNCTIONS:
        role = model[f"{FUNCTION} ojs-{name}"]["Role"]
        statements = role["Statements"].values()
        if role.keys() != {"Description", "AssumeRolePolicyDocument", "Statements"} or any(s["Effect"] != "Allow" for s in statements):
            raise Problem(f"{name}: a role with more than statements that allow")
        found[name] = {(kind_of(about), action) for s in statements for about in s["Resource"] for action in s["Action"]}
    return found


class Results:
    """Prints one line a comparison and counts them."""

    def __init__(self):
        self.passed = self.failed = 0

    def check(self, what, problems, good=""):
        """One comparison; it failed if there are problems."""
        if problems:
            self.failed += 1
            print(f"FAILED  {what}")
            for problem in problems:
                print(f"        {problem}")
        else:
            self.passed += 1
            print(f"ok      {what}{good}")

    def compare(self, what, needed, granted):
        """One comparison for each kind of resource."""
        for kind in sorted({kind for kind, _ in needed | granted}):
            need = {action for k, action in needed if k == kind}
            grant = {action for k, action in granted if k == kind}
            problems = [f"not granted, but needed: {action}" for action in sorted(need - grant)]
            problems += [f"granted, but not needed: {action}" for action in sorted(grant - need)]
            names = ", ".join(action.partition(":")[2] for action in sorted(need))
            self.check(f"{what}, {kind}", problems, f": {names}")


def compare_all():
    """Everything; whether all is well."""
    results = Results()
    code = {name: Code(folders) for name, folders in FUNCTIONS.items()}
    results.check(
        "every operation that the code names is seen to be called",
        sorted(unseen_operations(code["api"].graph)),
    )
    needed = {name: set(code[name].needs) | ALWAYS for name in FUNCTIONS}
    # With everything that depends on a parameter.
    sources, parameters = Sources(), {"KmsKeyArn": KEY}
    models = {"template.yaml": of_template(Template(sources.template, parameters)), "terraform/": of_terraform(sources.module(parameters))}
    for description, model in models.items():
        for name, allowed in granted(model).items():
            results.compare(f"{description}, {name}", needed[name], allowed)
    print(f"{results.passed} passed, {results.failed} failed")
    return results.failed == 0


def main():
    parser = argparse.ArgumentParser(description="Compares what the functions need of AWS with what they may do.")
    parser.add_argument("--why", nargs=2, metavar=("FUNCTION", "ACTION"), help="how the function reaches the action")
    args = parser.parse_args()
    if args.why:
        for kind, chain in Code(FUNCTIONS[args.why[0]]).why(args.why[1]):
            print(f"{kind}: " + " -> ".join(chain))
        return 0
    try:
        return 0 if compare_all() else 1
    except (Problem, ValueError) as problem:
        print(f"FAILED  {problem}\n0 passed, 1 failed")
        return 1


if __name__ == "__main__":
    sys.exit(main())
