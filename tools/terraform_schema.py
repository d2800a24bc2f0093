#!/usr/bin/env python3
"""Checks terraform/ as `terraform validate` would, without Terraform and without a registry.

    terraform_schema.py --schema FOLDER [--self-test]

FOLDER has the wheel of cdktn-provider-aws (tools/check_terraform.sh downloads it). Finds resources, arguments and blocks that
the AWS provider does not have, missing ones, attributes that can only be read, references to what is not declared, what is
declared and not used, functions that do not exist, ephemeral values where they would be kept, and what the README's tables lack. Types of expressions are checked for literals
only. --self-test breaks the files in many places and checks that each break is found.
"""

from __future__ import annotations

import argparse
import pathlib
import re
import sys

from infra import hcl
from infra.provider import Provider, folder
from lark import Tree

ROOT = pathlib.Path(__file__).resolve().parent.parent
KINDS = ("resource", "data", "ephemeral")
META_ARGUMENTS = {"count", "for_each", "depends_on", "provider"}
META_BLOCKS = {"lifecycle", "provisioner", "connection"}
TOP_BLOCKS = {*KINDS, "terraform", "provider", "variable", "locals", "output", "module", "moved", "import", "removed", "check"}
ARGUMENTS = {
    "variable": {"type", "default", "description", "sensitive", "nullable", "ephemeral"},
    "validation": {"condition", "error_message"},
    "output": {"value", "description", "sensitive", "depends_on", "ephemeral"},
}
# `terraform metadata functions` of 1.11.
FUNCTIONS = set(
    """abs abspath alltrue anytrue base64decode base64encode base64gzip base64sha256 base64sha512 basename bcrypt can ceil chomp chunklist
    cidrhost cidrnetmask cidrsubnet cidrsubnets coalesce coalescelist compact concat contains csvdecode dirname distinct element endswith
    ephemeralasnull file filebase64 filebase64sha256 filebase64sha512 fileexists filemd5 fileset filesha1 filesha256 filesha512 flatten floor
    format formatdate formatlist indent index issensitive join jsondecode jsonencode keys length list log lookup lower map matchkeys max md5
    merge min nonsensitive one parseint pathexpand plantimestamp pow range regex regexall replace reverse rsadecrypt sensitive setintersection
    setproduct setsubtract setunion sha1 sha256 sha512 signum slice sort split startswith strcontains strrev substr sum templatefile
    templatestring textdecodebase64 textencodebase64 timeadd timecmp timestamp title tobool tolist tomap tonumber toset tostring transpose trim
    trimprefix trimspace trimsuffix try type upper urlencode uuid uuidv5 values yamldecode yamlencode zipmap""".split()
)
COLLECTIONS = re.compile(r"(List|Map|Set)$")


class Check:
    """One pass over a module."""

    def __init__(self, blocks, provider):
        self.blocks, self.provider = blocks, provider
        self.problems, self.checked = [], 0
        self.used = set()
        self.declared = {}

    def run(self):
        self.declare()
        for block in self.blocks:
            if block.kind in KINDS:
                self.resource(block)
            elif block.kind in ("variable", "output"):
                self.named(block)
            self.expressions(block, block, frozenset())
        self.unused()
        self.providers()
        return self.problems

    def problem(self, block, text, line=None):
        self.problems.append(f"{block.file}:{line or block.line}: {text}")

    # ---- What there is

    def declare(self):
        for block in self.blocks:
            if block.kind not in TOP_BLOCKS:
                self.problem(block, f"unknown block {block.kind}")
            names = [f"local.{name}" for name in block.attributes] if block.kind == "locals" else [block.address]
            for name in names if block.kind in (*KINDS, "variable", "locals", "output") else []:
                if name in self.declared:
                    self.problem(block, f"{name} is declared twice")
                self.declared[name] = block

    def named(self, block):
        self.checked += 1
        for name in block.attributes.keys() - ARGUMENTS[block.kind]:
            self.problem(block, f"{block.address}: unknown argument {name}")
        required = ("type", "description") if block.kind == "variable" else ("value", "description")
        for name in required:
            if name not in block.attributes:
                self.problem(block, f"{block.address} has no {name}")
        for nested in block.blocks:
            if nested.kind not in ("validation", "precondition"):
                self.problem(nested, f"{block.address}: unknown block {nested.kind}")
            elif nested.attributes.keys() != ARGUMENTS["validation"]:
                self.problem(nested, f"{block.address}: a {nested.kind} has condition and error_message")

    # ---- Resources against the schema

    def resource(self, block):
        kind, type_ = block.kind, block.labels[0]
        schema = self.provider.schema(kind, type_)
        if schema is None:
            self.problem(block, f"the AWS provider has no {kind} {type_}")
            return
        self.arguments(block, schema, block.address, top=True)
        if kind == "resource" and "tags" in schema and "tags" not in block.attributes:
            self.problem(block, f"{block.address} has no tags")

    def arguments(self, block, schema, where, *, top=False):
        given = dict.fromkeys(block.attributes)
        for name, tree in block.attributes.items():
            if top and name in META_ARGUMENTS:
                continue
            self.checked += 1
            line = hcl.line_of(tree)
            attribute = schema.get(name)
            if attribute is None:
                self.problem(block, f"{where}: unknown argument {name}", line)
            elif attribute.is_block:
                self.problem(block, f"{where}: {name} is a block, not an argument", line)
            elif not attribute.settable:
                self.problem(block, f"{where}: {name} can only be read", line)
            elif wrong := literal_problem(tree, attribute.type):
                self.problem(block, f"{where}: {name} {wrong}", line)
        for nested in block.blocks:
            name, content = nested.kind, nested
            if top and name in META_BLOCKS:
                continue
            self.checked += 1
            if dynamic := name == "dynamic":
                name, content = nested.labels[0], self.dynamic(nested, where)
                if content is None:
                    continue
            attribute = schema.get(name)
            if attribute is None:
                self.problem(nested, f"{where}: unknown block {name}")
                continue
            if not attribute.is_block:
                self.problem(nested, f"{where}: {name} is an argument, not a block")
                continue
            if attribute.single and name in given:
                self.problem(nested, f"{where}: {name} may come once only")
            if not dynamic and nested.labels:
                self.problem(nested, f"{where}: {name} takes no label")
            given[name] = None
            self.arguments(content, attribute.inner, f"{where}.{name}")
        for name, attribute in schema.items():
            if attribute.required and name not in given:
                self.problem(block, f"{where}: {name} is missing")

    def dynamic(self, block, where):
        contents = block.nested("content")
        if block.attributes.keys() - {"iterator", "labels"} != {"for_each"} or len(contents) != 1 or len(block.blocks) != 1:
            self.problem(block, f"{where}: a dynamic block has for_each and one content")
            return None
        return contents[0]

    # ---- References

    def expressions(self, block, top, iterators):
        if block.kind == "dynamic":
            self.references(block.attributes, block, top, iterators)
            inner = iterators | {block.labels[0]}
            for nested in block.blocks:
                self.expressions(nested, top, inner)
            return
        self.references(block.attributes, block, top, iterators)
        for nested in block.blocks:
            self.expressions(nested, top, iterators)

    def references(self, attributes, block, top, iterators):
        for name, tree in attributes.items():
            if top.kind == "terraform" or (top.kind == "variable" and name == "type"):
                continue
            for root, path, line in hcl.references(tree, iterators):
                self.checked += 1
                if problem := self.reference(root, path, top, name, user=self.user(top, name)):
                    self.problem(block, problem, line)

    @staticmethod
    def user(top, name):
        return f"local.{name}" if top.kind == "locals" else top.address

    def reference(self, root, path, top, name, user):
        if root == "()":
            return None if path[0] in FUNCTIONS else f"unknown function {path[0]}"
        if root in ("each", "count"):
            needed = {"each": "for_each", "count": "count"}[root]
            good = path[:1] in ([["key"], ["value"]] if root == "each" else [["index"]])
            return None if good and needed in top.attributes else f"{'.'.join([root, *path])} without {needed}"
        if root == "path":
            return None if path in (["module"], ["root"], ["cwd"]) else f"unknown path.{'.'.join(path)}"
        if root == "var" and top.kind == "variable" and path[:1] == top.labels:
            return None  # its own validation, which is no use of it
        length = {"var": 1, "local": 1, "data": 2, "ephemeral": 2}.get(root, 1)
        address = ".".join([root, *path[:length]])
        rest = path[length:]
        if address not in self.declared:
            return f"{address} is not declared"
        if address != user:
            self.used.add(address)
        if root in ("var", "local"):
            return None
        if root == "ephemeral" and not (top.kind == "ephemeral" or name.endswith("_wo")):
            return f"{name} is kept, so it cannot hold a value of {address}"
        return self.attribute(address, rest, name)

    def attribute(self, address, rest, name):
        block = self.declared[address]
        many = bool({"count", "for_each"} & block.attributes.keys())
        if name == "depends_on" or not rest:
            return None
        if many != (rest[0] == "[]"):
            return f"{address} has {'several instances: which one?' if many else 'one instance: no index'}"
        if many:
            rest = rest[1:]
        schema = self.provider.schema(block.kind, block.labels[0])
        if rest and schema is not None and rest[0] not in schema:
            return f"{address} has no attribute {rest[0]}"
        return None

    def unused(self):
        for address, block in self.declared.items():
            # Resources are there for themselves, outputs for others.
            if block.kind in ("variable", "locals", "data", "ephemeral") and address not in self.used:
                self.problem(block, f"{address} is not used")

    # ---- Versions

    def providers(self):
        required = [n for b in self.blocks if b.kind == "terraform" for n in b.nested("required_providers")]
        found = [re.search(r'version\s*=\s*"~>\s*(\d+)\.(\d+)"', source(b)) for n in required for b in [n]]
        if len(found) != 1 or found[0] is None:
            self.problems.append("versions.tf: required_providers wants aws with a version such as ~> 6.69")
            return
        major, minor = map(int, found[0].groups())
        ours = tuple(map(int, self.provider.version.split(".")))
        if ours[0] != major or ours[1] < minor:
            self.problems.append(f"versions.tf: ~> {major}.{minor} does not allow {self.provider.version}, the version that this checks against")


def readme_problems(blocks, text):
    """Rows of the README's tables against the variables and outputs."""
    rows = set(re.findall(r"^\| `(\w+)` \|", text, re.M))
    names = {block.labels[0] for block in blocks if block.kind in ("variable", "output")}
    return [f"README.md: {name} is in one of tables and files only" for name in sorted(rows ^ names)]


def source(block):
    """An attribute's tokens as text again, near enough to search in."""
    return " ".join(str(token) for tree in block.attributes.values() for token in tree.scan_values(lambda _: True)).replace('" ', '"').replace(' "', '"')


def literal_problem(tree, type_):
    """What is wrong with a literal of an obviously other kind; Terraform converts between text, number and bool where it can."""
    while isinstance(tree, Tree) and tree.data == "expr_term" and len(hcl.parts(tree)) == 1:
        tree = hcl.parts(tree)[0]
    if not isinstance(tree, Tree):
        return None
    collection = bool(COLLECTIONS.search(type_))
    if tree.data in ("tuple", "for_tuple_expr") and not type_.endswith(("List", "Set")):
        return f"is a {type_}, not a list"
    if tree.data in ("object", "for_object_expr") and not type_.endswith("Map"):
        return f"is a {type_}, not a map"
    if tree.data in ("string", "int_lit", "float_lit") and collection:
        return f"is a {type_}, not a single value"
    if tree.data == "string" and not any(tree.find_data("interpolation")):
        text = hcl.text_of(tree)
        if type_ == "number" and not re.fullmatch(r"-?[0-9.]+", text):
            return f"is a number, not {text!r}"
        if type_ == "boolean" and text not in ("true", "false"):
            return f"is a boolean, not {text!r}"
    if tree.data in ("int_lit", "float_lit") and type_ == "boolean":
        return "is a boolean, not a number"
    if tree.data == "literal_value" and hcl.text_of(tree) != "null" and (type_ == "number" or collection):
        return f"is a {type_}, not a boolean"
    return None


# ---- Self-test: (file, text that is there, what takes its place, what must be said) ------------------------------------

BREAKS = [
    ("table.tf", '"aws_dynamodb_table" "jobs"', '"aws_dynamo_table" "jobs"', "no resource aws_dynamo_table"),
    ("main.tf", 'data "aws_partition"', 'data "aws_partitions"', "no data aws_partitions"),
    ("secret.tf", '"aws_secretsmanager_random_password" "api_key"', '"aws_random_password" "api_key"', "no ephemeral aws_random_password"),
    ("queues.tf", "message_retention_seconds = 1209600", "message_retention_secs = 1209600", "unknown argument message_retention_secs"),
    ("functions.tf", "  role             = aws_iam_role.function[each.key].arn\n", "", "role is missing"),
    ("functions.tf", "    log_format = \"Text\"\n", "", "logging_config: log_format is missing"),
    ("api.tf", "destination_arn = aws_cloudwatch_log_group.access.arn\n", "", "destination_arn is missing"),
    ("api.tf", "access_log_settings {", "access_log_setting {", "unknown block access_log_setting"),
    ("table.tf", "  ttl {\n", "  ttl = {\n", "ttl is a block"),
    ("api.tf", "  tags        = local.tags\n", "  tags {\n    a = 1\n  }\n", "tags is an argument"),
    ("table.tf", "      key_schema {\n", "      key_schem {\n", "unknown block key_schem"),
    ("table.tf", "projection_type    =", "projection_typ     =", "projection_type is missing"),
    ("table.tf", "  point_in_time_recovery {\n", "  point_in_time_recovery {\n    enabled = true\n  }\n  point_in_time_recovery {\n", "may come once only"),
    ("table.tf", "    content {\n      name = attribute.key", "    contents {\n      name = attribute.key", "for_each and one content"),
    ("table.tf", "billing_mode                =", "arn                         =", "arn can only be read"),
    ("api.tf", "auto_deploy = true", 'auto_deploy = "yes"', "auto_deploy is a boolean"),
    ("functions.tf", "architectures    = [var.architecture]", 'architectures    = "arm64"', "not a single value"),
    ("functions.tf", "  timeout          = each.value.timeout", '  timeout          = "long"', "timeout is a number"),
    ("functions.tf", "handler          = \"bootstrap\"", 'handler          = ["bootstrap"]', "not a list"),
    ("queues.tf", "  max_message_size          = 1048576\n  # SQS's", "  max_message_size          = { a = 1 }\n  # SQS's", "not a map"),
    ("queues.tf", "var.use_fifo ? \".fifo\"", "var.fifo ? \".fifo\"", "var.fifo is not declared"),
    ("queues.tf", "local.fifo_suffix", "local.fifo_sufix", "local.fifo_sufix is not declared"),
    ("queues.tf", "aws_sqs_queue.dead_letters[each.key].arn", "aws_sqs_queue.dead_letter[each.key].arn", "aws_sqs_queue.dead_letter is not declared"),
    ("queues.tf", "aws_sqs_queue.dead_letters[each.key].arn", "aws_sqs_queue.dead_letters[each.key].urn", "no attribute urn"),
    ("queues.tf", "aws_sqs_queue.dead_letters[each.key].arn", "aws_sqs_queue.dead_letters.arn", "which one?"),
    ("outputs.tf", "aws_dynamodb_table.jobs.name", "aws_dynamodb_table.jobs[0].name", "no index"),
    ("api.tf", "api_id                 = aws_apigatewayv2_api.api.id", "api_id                 = each.key", "each.key without for_each"),
    ("api.tf", "  name          = var.name\n", "  name          = count.index\n", "count.index without count"),
    ("dashboard.tf", "path.module", "path.modul", "unknown path.modul"),
    ("dashboard.tf", "jsonencode(", "jsonencod(", "unknown function jsonencod"),
    ("table.tf", "server_side_encryption.value", "sse.value", "sse.value is not declared"),
    ("alarms.tf", "for tick in local.ticks : \"${tick}-errors\"", "for t in local.ticks : \"${tick}-errors\"", "tick is not declared"),
    ("secret.tf", "secret_string_wo         =", "secret_string            =", "cannot hold a value of ephemeral"),
    ("variables.tf", 'variable "tags"', 'variable "tag"', "var.tag is not used"),
    ("variables.tf", 'variable "tags" {', 'variable "name" {', "var.name is declared twice"),
    ("variables.tf", "  type        = map(string)\n", "", "var.tags has no type"),
    ("variables.tf", "  nullable    = false\n", "  nulable     = false\n", "unknown argument nulable"),
    ("outputs.tf", '  description = "The DynamoDB table."\n', "", "output.table_name has no description"),
    ("iam.tf", "    actions   = [\"dynamodb:Query\"]", "    action    = [\"dynamodb:Query\"]", "unknown argument action"),
    ("iam.tf", "  queues_arn =", "  queue_arn  =", "local.queue_arn is not used"),
    ("main.tf", "  account    =", "  acount     =", "local.account is not declared"),
    ("schedules.tf", "  tags                = local.tags\n", "", "has no tags"),
    ("versions.tf", '"~> 6.69"', '"~> 7.0"', "does not allow"),
    ("main.tf", 'data "aws_region" "current" {}', 'data "aws_region" "current" {}\n\nresources "x" "y" {}', "unknown block resources"),
]


def self_test(folder_, provider):
    passed, failed = 0, 0
    readme = (folder_ / "README.md").read_text(encoding="utf-8")
    for row in ("| `api_zip` |", "| `api_url` |"):
        found = readme_problems(hcl.read_folder(folder_), readme.replace(row, "| `nothing` |"))
        passed, failed = passed + (len(found) == 2), failed + (len(found) != 2)
    for file, old, new, expected in BREAKS:
        text = (folder_ / file).read_text(encoding="utf-8")
        if old not in text:
            result = "the text is no longer there; change BREAKS"
        else:
            found = Check(hcl.read_folder(folder_, {file: text.replace(old, new, 1)}), provider).run()
            result = None if any(expected in line for line in found) else f"expected {expected!r}, found {found}"
        if result:
            print(f"FAILED {file}: {old.strip()!r} -> {new.strip()!r}: {result}")
        passed, failed = passed + (result is None), failed + (result is not None)
    return passed, failed


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--schema", type=pathlib.Path, required=True, help="folder with the wheel of cdktn-provider-aws")
    parser.add_argument("--folder", type=pathlib.Path, default=ROOT / "terraform")
    parser.add_argument("--self-test", action="store_true", help="break the files and check that each break is found")
    arguments = parser.parse_args()
    wheels = list(arguments.schema.glob("cdktn_provider_aws-*.whl"))
    if len(wheels) != 1:
        parser.error(f"{arguments.schema} has {len(wheels)} wheels of cdktn-provider-aws; tools/check_terraform.sh downloads one")
    blocks = hcl.read_folder(arguments.folder)
    if not blocks:
        parser.error(f"no Terraform files in {arguments.folder}")
    provider = Provider(wheels[0])
    provider.load({folder(block.kind, block.labels[0]) for block in blocks if block.kind in KINDS})
    if arguments.self_test:
        passed, failed = self_test(arguments.folder, provider)
    else:
        check = Check(blocks, provider)
        problems = check.run() + readme_problems(blocks, (arguments.folder / "README.md").read_text(encoding="utf-8"))
        for line in problems:
            print(f"FAILED {line}")
        print(f"Checked {check.checked} arguments, blocks and references against the AWS provider {provider.version}")
        # One for each file, so that a file which is not read shows.
        bad = {line.split(":")[0] for line in problems}
        files = {block.file for block in blocks} | {"README.md"}
        passed, failed = len(files - bad), len(problems)
    print(f"{passed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
