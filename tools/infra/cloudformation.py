"""Evaluates template.yaml with given parameters. The SAM CLI's library unrolls loops and resolves parameters and conditions.

What is left is what resources are called once they are made: place.py says. Only the attributes that the template uses are
there; anything else is an error, never a guess.
"""

from __future__ import annotations

import functools
import re

from samcli.lib.cfn_language_extensions.api import process_template
from samcli.lib.cfn_language_extensions.exceptions import InvalidTemplateException
from samcli.lib.cfn_language_extensions.models import PseudoParameterValues, ResolutionMode
from samcli.yamlhelper import yaml_parse

from . import place

PSEUDO = PseudoParameterValues(
    region=place.REGION, account_id=place.ACCOUNT, partition=place.PARTITION, url_suffix=place.SUFFIX
)
PARAMETER_RULES = {
    "Type",
    "Default",
    "Description",
    "ConstraintDescription",
    "AllowedPattern",
    "AllowedValues",
    "MinValue",
    "MaxValue",
}
# What `Ref` and `Fn::GetAtt` answer, by the property that is the resource's name.
REF = {
    "AWS::ApiGatewayV2::Api": ("Name", place.api_id),
    "AWS::ApiGatewayV2::Integration": ("ApiId", place.integration_id),
    "AWS::CloudWatch::Dashboard": ("DashboardName", str),
    "AWS::DynamoDB::Table": ("TableName", str),
    "AWS::Events::Rule": ("Name", str),
    "AWS::Logs::LogGroup": ("LogGroupName", str),
    "AWS::SQS::Queue": ("QueueName", place.queue_url),
    "AWS::SecretsManager::Secret": ("Name", place.secret_arn),
    "AWS::Serverless::Function": ("FunctionName", str),
}
ATTRIBUTE = {
    ("AWS::ApiGatewayV2::Api", "ApiEndpoint"): place.api_endpoint,
    ("AWS::DynamoDB::Table", "Arn"): place.table_arn,
    ("AWS::Events::Rule", "Arn"): place.rule_arn,
    ("AWS::Logs::LogGroup", "Arn"): lambda name: place.log_group_arn(name) + ":*",
    ("AWS::SQS::Queue", "Arn"): place.queue_arn,
    ("AWS::SQS::Queue", "QueueName"): str,
    ("AWS::Serverless::Function", "Arn"): place.function_arn,
}


class TemplateError(Exception):
    pass


read = functools.lru_cache(maxsize=256)(yaml_parse)


class Template:
    def __init__(self, text, parameters=None):
        self.source = read(text)
        self.parameters = self.source["Parameters"]
        given = parameters or {}
        if unknown := given.keys() - self.parameters.keys():
            raise TemplateError(f"unknown parameters {sorted(unknown)}")
        values = {name: given.get(name, rules.get("Default")) for name, rules in self.parameters.items()}
        # The library resolves resources and not SAM's Globals, which become one for the time being.
        common = {"Type": "Globals", "Properties": self.source["Globals"]["Function"]}
        source = self.source | {"Resources": self.source["Resources"] | {"Globals": common}}
        try:
            made = process_template(source, values, PSEUDO, ResolutionMode.PARTIAL)
        except InvalidTemplateException as error:
            raise TemplateError(str(error)) from error
        self.conditions = made["Conditions"]
        self.globals = made["Resources"].pop("Globals")["Properties"]
        self.resources, self.outputs = (
            {n: part for n, part in made[s].items() if self._is_made(part)} for s in ("Resources", "Outputs")
        )

    def accepts(self, name, value):
        """Whether CloudFormation takes a value for a parameter."""
        rules = self.parameters[name]
        if unknown := rules.keys() - PARAMETER_RULES:
            raise TemplateError(f"parameter {name}: {sorted(unknown)}")
        for item in str(value).split(",") if rules["Type"] == "CommaDelimitedList" else [str(value)]:
            if rules["Type"] == "Number" and not (
                re.fullmatch(r"-?[0-9]+", item)
                and rules.get("MinValue", -(10**12)) <= int(item) <= rules.get("MaxValue", 10**12)
            ):
                return False
            if "AllowedValues" in rules and item not in map(str, rules["AllowedValues"]):
                return False
            if "AllowedPattern" in rules and not re.fullmatch(rules["AllowedPattern"], item):
                return False
        return True

    def made(self):
        """(logical id, type, properties) of the resources that a stack has."""
        for logical, resource in self.resources.items():
            properties = self._value(resource.get("Properties", {}))
            if resource["Type"] == "AWS::Serverless::Function":
                common = self._value(self.globals)
                variables = common["Environment"]["Variables"] | properties.get("Environment", {}).get("Variables", {})
                properties = common | properties | {"Environment": {"Variables": variables}}
            yield logical, resource["Type"], properties

    def made_outputs(self):
        """(name, value, description) of the outputs that a stack has."""
        for name, output in self.outputs.items():
            yield name, self._value(output["Value"]), output.get("Description")

    def _is_made(self, part):
        return "Condition" not in part or self._condition({"Condition": part["Condition"]})

    def _condition(self, node):
        ((key, argument),) = node.items()
        if key == "Condition":
            return self._condition(self.conditions[argument])
        if key == "Fn::Not":
            return not self._condition(argument[0])
        if key == "Fn::Equals":
            return str(argument[0]) == str(argument[1])
        raise TemplateError(f"cannot evaluate {key}")

    def _value(self, node):
        """A value with its references to resources resolved."""
        if isinstance(node, list):
            return [self._value(item) for item in node]
        if isinstance(node, str):
            return re.sub(r"\$\{(\w+)(?:\.(\w+))?\}", lambda match: self._resource(*match.groups()), node)
        if not isinstance(node, dict):
            return node
        if node.keys() == {"Ref"}:
            return self._resource(node["Ref"])
        if node.keys() == {"Fn::GetAtt"}:
            return self._resource(*node["Fn::GetAtt"])
        if unknown := [key for key in node if key.startswith("Fn::")]:
            raise TemplateError(f"cannot evaluate {unknown[0]}")
        return {key: self._value(value) for key, value in node.items()}

    def _resource(self, name, attribute=None):
        if name not in self.resources:
            raise TemplateError(f"{name} is referred to but not made")
        kind = self.resources[name]["Type"]
        if (kind, attribute) == ("AWS::IAM::Role", "Arn"):
            return place.role_arn(name)
        key, reference = REF[kind]
        make = ATTRIBUTE[kind, attribute] if attribute else reference
        return make(self._value(self.resources[name]["Properties"][key]))
