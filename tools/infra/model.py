"""Both descriptions in CloudFormation's words: {"AWS::SQS::Queue ojs-default": {property: value}}.

Every property is kept, and one that has no rule keeps its name, so that a new setting is compared without a rule.
`Kept` says whether the resource outlives its stack, `Program` what is in a function's zip; a role is part of its function.
"""

from __future__ import annotations

import json
import re

from . import place
from .cloudformation import Template
from .evaluate import Module

FUNCTION, QUEUE = "AWS::Lambda::Function", "AWS::SQS::Queue"

# Terraform's type → (CloudFormation's, the names that are not only written in another way; "": not compared).
TYPES = {
    "aws_apigatewayv2_api": ("AWS::ApiGatewayV2::Api", {}),
    "aws_apigatewayv2_integration": ("AWS::ApiGatewayV2::Integration", {"timeout_milliseconds": "TimeoutInMillis"}),
    "aws_apigatewayv2_route": ("AWS::ApiGatewayV2::Route", {}),
    "aws_apigatewayv2_stage": ("AWS::ApiGatewayV2::Stage", {"name": "StageName"}),
    "aws_cloudwatch_dashboard": ("AWS::CloudWatch::Dashboard", {}),
    "aws_cloudwatch_event_rule": ("AWS::Events::Rule", {}),
    "aws_cloudwatch_event_target": ("Target", {"target_id": "Id"}),
    "aws_cloudwatch_log_group": ("AWS::Logs::LogGroup", {"name": "LogGroupName"}),
    "aws_cloudwatch_metric_alarm": ("AWS::CloudWatch::Alarm", {"ok_actions": "OKActions"}),
    "aws_dynamodb_table": (
        "AWS::DynamoDB::Table",
        {
            "name": "TableName",
            "attribute": "AttributeDefinitions",
            "global_secondary_index": "GlobalSecondaryIndexes",
            "ttl": "TimeToLiveSpecification",
            "point_in_time_recovery": "PointInTimeRecoverySpecification",
            "server_side_encryption": "SSESpecification",
        },
    ),
    "attribute": ("", {"name": "AttributeName", "type": "AttributeType"}),
    "global_secondary_index": ("", {"name": "IndexName"}),
    "point_in_time_recovery": ("", {"enabled": "PointInTimeRecoveryEnabled"}),
    "server_side_encryption": ("", {"enabled": "SSEEnabled", "kms_key_arn": "KMSMasterKeyId"}),
    "aws_iam_role": ("Role", {"assume_role_policy": "AssumeRolePolicyDocument"}),
    "aws_iam_role_policy": ("Policy", {"policy": "PolicyDocument", "name": "PolicyName"}),
    "aws_lambda_function": (FUNCTION, {"source_code_hash": ""}),
    "aws_lambda_function_event_invoke_config": ("EventInvokeConfig", {}),
    "aws_lambda_permission": ("AWS::Lambda::Permission", {"statement_id": ""}),
    # CloudFormation knows no recovery window.
    "aws_secretsmanager_secret": ("AWS::SecretsManager::Secret", {"recovery_window_in_days": ""}),
    "aws_secretsmanager_secret_version": (
        "Version",
        {"secret_string_wo": "GenerateSecretString", "secret_string_wo_version": ""},
    ),
    "aws_sqs_queue": (
        QUEUE,
        {
            "name": "QueueName",
            "message_retention_seconds": "MessageRetentionPeriod",
            "max_message_size": "MaximumMessageSize",
        },
    ),
}
# Blocks that are lists in CloudFormation too, even with one element.
LISTS = ("attribute", "global_secondary_index", "key_schema")
# What a resource is called; together they are unique.
NAMES = ("StageName", "RouteKey", "ApiId", "Name", "FunctionName", "QueueName", "TableName", "LogGroupName", "AlarmName")
NAMES += ("DashboardName", "Principal", "SourceArn")
# The queue's size limit is another one where nothing is said: SQS's own, and the Terraform provider's.
QUEUE_DEFAULTS = {"MessageRetentionPeriod": 345_600, "FifoQueue": False}
SIZE_DEFAULTS = {"template": 1_048_576, "terraform": 262_144}
# Lists of objects, by which of their members they are told apart.
KEYS = ("Sid", "PolicyName", "IndexName", "KeyType", "AttributeName", "Id", "Name")
# Their lists have an order.
DOCUMENTS = {"DashboardBody", "Format"}


def plain(value, name=""):
    """The value in the one way to say it: true for 'true', 5 for '5', lists without order, nothing that is empty."""
    if isinstance(value, str) and name in DOCUMENTS:
        return json.loads(value)
    if isinstance(value, str) and value[:1] == "{":
        value = json.loads(value)
    if isinstance(value, dict):
        kept = {key: plain(inner, key) for key, inner in value.items()}
        return {key: inner for key, inner in kept.items() if inner not in (None, {}, [])}
    if isinstance(value, (list, tuple, frozenset)):
        items = [plain(item) for item in value]
        if items and all(isinstance(item, dict) for item in items):
            key = next((key for key in KEYS if all(key in item for item in items)), None)
            if key is None:
                return items[0] if len(items) == 1 else items
            return unique((str(item[key]), item) for item in items)
        return sorted(set(items), key=str)
    if isinstance(value, str):
        value = {"true": True, "false": False}.get(value, value)
    if isinstance(value, str) and re.fullmatch(r"-?\d+(\.\d+)?", value):
        value = float(value)
    return float(value) if isinstance(value, int) and not isinstance(value, bool) else value


def unique(pairs):
    """A dict of what must not be there twice."""
    found = {}
    for name, value in pairs:
        if name in found:
            raise ValueError(f"{name} is there twice")
        found[name] = value
    return found


def as_list(value):
    return value if isinstance(value, (list, frozenset)) else [value]


def statements(document):
    """A policy's statements, with lists for what may be one thing or a list."""
    document = json.loads(document) if isinstance(document, str) else document

    def listed(value):
        return {key: listed(inner) for key, inner in value.items()} if isinstance(value, dict) else as_list(value)

    lists = ("Action", "Resource", "Principal", "Condition")
    return [{key: listed(value) if key in lists else value for key, value in s.items()} for s in document["Statement"]]


def role_of(properties):
    """A role: what it is for, who may take it, and the statements of all its policies."""
    policies = properties.pop("Policies", [])
    properties["AssumeRolePolicyDocument"] = statements(properties["AssumeRolePolicyDocument"])
    properties["Statements"] = [statement for policy in policies for statement in statements(policy["PolicyDocument"])]
    return properties


def finish(resources, outputs, origin):
    """The model of (type, properties) and of (name, value, description)."""
    model = {}
    for kind, properties in resources:
        if kind == QUEUE:
            properties = QUEUE_DEFAULTS | {"MaximumMessageSize": SIZE_DEFAULTS[origin]} | properties
        if log := properties.get("AccessLogSettings"):
            # API Gateway takes the ARN of a log group with and without it.
            log["DestinationArn"] = log["DestinationArn"].removesuffix(":*")
        name = " ".join(str(properties[key]) for key in NAMES if isinstance(properties.get(key), str))
        model = unique([*model.items(), (f"{kind} {name}", plain(properties))])
    for name, value, description in outputs:
        if not description:
            raise ValueError(f"output {name} has no description")
        model[f"output {name}"] = plain(value)
    return model


# ---- template.yaml ----------------------------------------------------------------------------------------------------


def of_template(template: Template) -> dict:
    made = [(logical, kind, dict(properties)) for logical, kind, properties in template.made()]
    roles = {
        place.role_arn(logical): role_of(properties) for logical, kind, properties in made if kind == "AWS::IAM::Role"
    }
    resources = []
    for logical, kind, properties in made:
        if kind == "AWS::IAM::Role":
            continue
        source = template.resources[logical]
        keeps = source.get("DeletionPolicy", "Delete").startswith("Retain")
        properties["Kept"] = keeps and source.get("UpdateReplacePolicy") == "Retain"
        if kind == "AWS::Serverless::Function":
            kind = FUNCTION
            properties.pop("CodeUri")
            properties["Program"] = source["Metadata"]["BuildProperties"]["Binary"]
            properties["Role"] = roles[properties["Role"]]
        if kind == "AWS::DynamoDB::Table" and properties.get("SSESpecification", {}).pop("SSEType", "KMS") != "KMS":
            raise ValueError("the table's SSEType")
        if kind == "AWS::CloudWatch::Alarm":
            # The one parameter that a description names is a variable in Terraform.
            properties["AlarmDescription"] = properties["AlarmDescription"].replace("IndexShards", "index_shards")
        resources.append((kind, properties))
    outputs = {}
    for name, value, description in template.made_outputs():
        if name.startswith("QueueUrl"):
            value = [*outputs.get("QueueUrls", ([], ""))[0], value]
            name = "QueueUrls"
        outputs[name] = (value, description)
    return finish(resources, [(name, *output) for name, output in outputs.items()], "template")


# ---- terraform/ -------------------------------------------------------------------------------------------------------


def camel(name):
    return "".join(word.capitalize() for word in name.split("_"))


def renamed(kind, settings):
    """Terraform's settings under CloudFormation's names. A block that may come once is an object there."""
    names = TYPES.get(kind, ("", {}))[1]
    found = {}
    for name, value in settings.items():
        if isinstance(value, list) and value and all(isinstance(block, dict) for block in value):
            value = [renamed(name, block) for block in value]
            value = value if name in LISTS or len(value) > 1 else value[0]
        if new := names.get(name, camel(name)):
            found[new] = value
    return found


class Parts:
    """The resources of a module by CloudFormation's type, and of those that are part of another one which are taken."""

    KINDS = ("EventInvokeConfig", "Policy", "Role", "Target", "Version")

    def __init__(self, module):
        self.found, self.taken = {}, {kind: 0 for kind in self.KINDS}
        for address, instance in module.instances():
            if instance.type not in TYPES:
                raise ValueError(f"{address}: no rule in tools/infra/model.py knows {instance.type}")
            settings = instance.settings()
            settings.pop("tags", None)  # of the stack, in CloudFormation
            properties = renamed(instance.type, settings)
            lifecycle = [block.attributes.get("prevent_destroy") for block in instance.block.nested("lifecycle")]
            properties["Kept"] = any(tree is not None and instance.scope.value(tree) for tree in lifecycle)
            self.found.setdefault(TYPES[instance.type][0], []).append(properties)

    def take(self, kind, key, value):
        """The parts of that kind whose property has the value, without it."""
        parts = [{k: v for k, v in p.items() if k not in (key, "Kept")} for p in self.found.get(kind, []) if p[key] == value]
        self.taken[kind] += len(parts)
        return parts

    def whole(self):
        """(type, properties) of what is no part."""
        for kind, group in self.found.items():
            if kind not in self.KINDS:
                for properties in group:
                    yield kind, complete(kind, properties, self)
        for kind, number in self.taken.items():
            if number != len(self.found.get(kind, [])):
                raise ValueError(f"terraform/: {number} of {len(self.found.get(kind, []))} {kind} belong to a resource")


def complete(kind, p, parts):
    """The properties with what CloudFormation says in the same resource, and in its form."""
    if kind == "AWS::DynamoDB::Table":
        p["KeySchema"] = [{"AttributeName": p.pop(f"{key.capitalize()}Key"), "KeyType": key} for key in ("HASH", "RANGE")]
        for index in p["GlobalSecondaryIndexes"]:
            index["Projection"] = {key: index.pop(key, None) for key in ("ProjectionType", "NonKeyAttributes")}
    elif kind == "AWS::CloudWatch::Alarm":
        p["Dimensions"] = [{"Name": name, "Value": value} for name, value in p["Dimensions"].items()]
    elif kind == "AWS::Events::Rule":
        p["Targets"] = parts.take("Target", "Rule", p["Name"])
    elif kind == "AWS::SecretsManager::Secret":
        (version,) = parts.take("Version", "SecretId", place.secret_arn(p["Name"]))
        p["GenerateSecretString"] = renamed("", json.loads(version["GenerateSecretString"]))
    elif kind == FUNCTION:
        # What is in a zip, by where it is: X of X/bootstrap.zip and of X.zip.
        p["Program"] = re.search(r"([^/]+?)(?:/bootstrap)?\.zip$", p.pop("Filename"))[1]
        name = p["Role"].removeprefix(place.role_arn(""))
        (role,) = parts.take("Role", "Name", name)
        p["Role"] = role_of(role | {"Policies": parts.take("Policy", "Role", name)})
        p["EventInvokeConfig"] = next(iter(parts.take("EventInvokeConfig", "FunctionName", p["FunctionName"])), None)
    return p


def of_terraform(module: Module) -> dict:
    outputs = []
    for name, block in module.outputs.items():
        value = module.output(name)
        if value is not None:
            value = list(value.values()) if isinstance(value, dict) else value
            outputs.append((camel(name), value, "description" in block.attributes))
    return finish(Parts(module).whole(), outputs, "terraform")
