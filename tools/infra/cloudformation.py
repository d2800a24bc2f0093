"""Evaluates template.yaml with given parameters: loops unrolled, conditions decided, references resolved.

Only what the template uses of CloudFormation and SAM is there; anything else is an error, never a guess.
"""

from __future__ import annotations

import copy
import re

import yaml

from . import place

PSEUDO = {
    "AWS::AccountId": place.ACCOUNT,
    "AWS::Partition": place.PARTITION,
    "AWS::Region": place.REGION,
    "AWS::URLSuffix": place.SUFFIX,
}
NO_VALUE = object()


class TemplateError(Exception):
    pass


class _Loader(yaml.SafeLoader):
    pass


def _tag(loader, suffix, node):
    if isinstance(node, yaml.ScalarNode):
        value = loader.construct_scalar(node)
    elif isinstance(node, yaml.SequenceNode):
        value = loader.construct_sequence(node, deep=True)
    else:
        value = loader.construct_mapping(node, deep=True)
    if suffix == "GetAtt" and isinstance(value, str):
        value = value.split(".", 1)
    return {suffix if suffix in ("Ref", "Condition") else f"Fn::{suffix}": value}


_Loader.add_multi_constructor("!", _tag)


class Template:
    def __init__(self, text, parameters=None):
        self.source = _read(text)
        self.parameters = self.source["Parameters"]
        given = parameters or {}
        if unknown := given.keys() - self.parameters.keys():
            raise TemplateError(f"unknown parameters {sorted(unknown)}")
        self.values = {name: given.get(name, p.get("Default")) for name, p in self.parameters.items()}
        self.resources = self._unroll(self.source["Resources"])
        self.outputs = self._unroll(self.source["Outputs"])

    def parameter(self, name):
        value = self.values[name]
        if self.parameters[name]["Type"] == "CommaDelimitedList":
            return [part.strip() for part in str(value).split(",")]
        return value

    def condition(self, name):
        return self._value({"Condition": name})

    def accepts(self, name, value):
        """Whether CloudFormation takes a value for a parameter."""
        rules = self.parameters[name]
        known = {"Type", "Default", "Description", "ConstraintDescription", "AllowedPattern", "AllowedValues", "MinValue", "MaxValue"}
        if unknown := rules.keys() - known:
            raise TemplateError(f"parameter {name}: {sorted(unknown)}")
        items = str(value).split(",") if rules["Type"] == "CommaDelimitedList" else [value]
        for item in items:
            if rules["Type"] == "Number":
                if not re.fullmatch(r"-?[0-9]+", str(item)):
                    return False
                if not rules.get("MinValue", -(10**12)) <= int(item) <= rules.get("MaxValue", 10**12):
                    return False
            if "AllowedValues" in rules and str(item) not in map(str, rules["AllowedValues"]):
                return False
            if "AllowedPattern" in rules and not re.fullmatch(rules["AllowedPattern"], str(item)):
                return False
        return True

    def made(self):
        """(logical id, type, properties) of the resources that a stack has."""
        for logical, resource in self.resources.items():
            if "Condition" in resource and not self.condition(resource["Condition"]):
                continue
            yield logical, resource["Type"], self.properties(logical)

    def properties(self, logical):
        resource = self.resources[logical]
        found = self._value(resource.get("Properties", {}))
        if resource["Type"] == "AWS::Serverless::Function":
            for name, value in self._value(self.source["Globals"]["Function"]).items():
                if name == "Environment":
                    own = found.setdefault("Environment", {"Variables": {}})["Variables"]
                    found["Environment"]["Variables"] = value["Variables"] | own
                else:
                    found.setdefault(name, value)
        return found

    def made_outputs(self):
        for name, output in self.outputs.items():
            if "Condition" not in output or self.condition(output["Condition"]):
                yield name, self._value(output["Value"]), output.get("Description")

    # ---- Fn::ForEach

    def _unroll(self, section):
        found = {}
        for key, value in section.items():
            if not key.startswith("Fn::ForEach::"):
                found[key] = value
                continue
            name, over, body = value
            for item in self._value(over):
                found |= _substitute(body, name, item)
        return found

    # ---- Intrinsic functions

    def _value(self, node):
        if isinstance(node, list):
            return [value for value in map(self._value, node) if value is not NO_VALUE]
        if not isinstance(node, dict):
            return node
        if len(node) == 1:
            (key, argument), = node.items()
            if key == "Ref":
                return self._ref(self._value(argument))
            if key == "Condition" and isinstance(argument, str):
                return self._value(self.source["Conditions"][argument])
            if key.startswith("Fn::"):
                method = getattr(self, f"_fn_{key[4:].lower()}", None)
                if method is None:
                    raise TemplateError(f"cannot evaluate {key}")
                return method(argument)
        values = {key: self._value(value) for key, value in node.items()}
        return {key: value for key, value in values.items() if value is not NO_VALUE}

    def _ref(self, name):
        if name == "AWS::NoValue":
            return NO_VALUE
        if name in PSEUDO:
            return PSEUDO[name]
        if name in self.parameters:
            return self.parameter(name)
        type_, get = self._resource(name)
        return {
            "AWS::ApiGatewayV2::Api": lambda: place.api_id(get("Name")),
            "AWS::ApiGatewayV2::Integration": lambda: place.integration_id(get("ApiId")),
            "AWS::CloudWatch::Dashboard": lambda: get("DashboardName"),
            "AWS::DynamoDB::Table": lambda: get("TableName"),
            "AWS::Events::Rule": lambda: get("Name"),
            "AWS::Logs::LogGroup": lambda: get("LogGroupName"),
            "AWS::SQS::Queue": lambda: place.queue_url(get("QueueName")),
            "AWS::SecretsManager::Secret": lambda: place.secret_arn(get("Name")),
            "AWS::Serverless::Function": lambda: get("FunctionName"),
        }[type_]()

    def _fn_getatt(self, argument):
        name, attribute = self._value(argument)
        type_, get = self._resource(name)
        return {
            ("AWS::ApiGatewayV2::Api", "ApiEndpoint"): lambda: place.api_endpoint(get("Name")),
            ("AWS::DynamoDB::Table", "Arn"): lambda: place.table_arn(get("TableName")),
            ("AWS::Events::Rule", "Arn"): lambda: place.rule_arn(get("Name")),
            ("AWS::IAM::Role", "Arn"): lambda: place.role_arn(name),
            ("AWS::Logs::LogGroup", "Arn"): lambda: place.log_group_arn(get("LogGroupName")) + ":*",
            ("AWS::SQS::Queue", "Arn"): lambda: place.queue_arn(get("QueueName")),
            ("AWS::SQS::Queue", "QueueName"): lambda: get("QueueName"),
            ("AWS::Serverless::Function", "Arn"): lambda: place.function_arn(get("FunctionName")),
        }[type_, attribute]()

    def _resource(self, name):
        if name not in self.resources:
            raise TemplateError(f"{name} is not in the template")
        resource = self.resources[name]
        if "Condition" in resource and not self.condition(resource["Condition"]):
            raise TemplateError(f"{name} is referred to but not made")
        return resource["Type"], lambda attribute: self._value(resource["Properties"][attribute])

    def _fn_if(self, argument):
        condition, yes, no = argument
        return self._value(yes if self.condition(condition) else no)

    def _fn_equals(self, argument):
        a, b = (self._value(part) for part in argument)
        return str(a) == str(b)

    def _fn_not(self, argument):
        return not self._value(argument[0])

    def _fn_join(self, argument):
        separator, parts = argument
        return separator.join(str(part) for part in self._value(parts))

    def _fn_sub(self, text):
        def replace(match):
            name = match[1]
            if name.startswith("!"):
                return "${" + name[1:] + "}"
            if name in self.parameters or "." not in name:
                return str(self._ref(name))
            return str(self._fn_getatt(name.split(".", 1)))

        return re.sub(r"\$\{([^}]+)\}", replace, text)


def _read(text):
    return copy.deepcopy(_cached(text))


_texts: dict[str, dict] = {}


def _cached(text):
    if text not in _texts:
        _texts[text] = yaml.load(text, Loader=_Loader)  # a SafeLoader
    return _texts[text]


def _substitute(node, name, item):
    plain = re.sub(r"[^A-Za-z0-9]", "", item)
    if isinstance(node, str):
        return node.replace("${" + name + "}", item).replace("&{" + name + "}", plain)
    if isinstance(node, list):
        return [_substitute(part, name, item) for part in node]
    if isinstance(node, dict):
        return {_substitute(key, name, item): _substitute(value, name, item) for key, value in node.items()}
    return node
