#!/usr/bin/env python3
"""What CloudFormation makes of template.yaml: the loops unrolled, SAM's resources replaced. Runs in .venv-deploy.

    expand_template.py TEMPLATE [QUEUE...]      prints the expanded template, as JSON, for these QueueNames

For the checks, which look at what is deployed and not at what it is written with. Nothing of AWS is asked.
"""

import json
import re
import sys

import boto3
from samcli.yamlhelper import yaml_parse
from samtranslator.parser.parser import Parser
from samtranslator.translator.translator import Translator

LOOP = "Fn::ForEach::"
# Where `sam package` would have put the code.
CODE = "s3://bucket-of-sam/code"


def substitute(value, name, item):
    """The body of a loop for one item: `${name}`, `&{name}` (without what a logical id cannot have) and `Ref: name`."""
    if isinstance(value, str):
        return value.replace(f"${{{name}}}", item).replace(f"&{{{name}}}", re.sub("[^A-Za-z0-9]", "", item))
    if isinstance(value, list):
        return [substitute(part, name, item) for part in value]
    if not isinstance(value, dict):
        return value
    if value == {"Ref": name}:
        return item
    done = {substitute(key, name, item): substitute(part, name, item) for key, part in value.items()}
    # A name that was put together, as `Ref` and `Fn::GetAtt` take it with AWS::LanguageExtensions, and a text without
    # variables are plain strings from here on.
    sub = done.get("Fn::Sub")
    if len(done) == 1 and isinstance(sub, str) and "${" not in sub:
        return sub
    return done


def unroll(section, lists):
    """A section of the template with its loops over parameters unrolled."""
    done = {}
    for key, value in section.items():
        if not key.startswith(LOOP):
            done[key] = value
            continue
        name, items, body = value
        for item in lists[items["Ref"]]:
            for made, definition in substitute(body, name, item).items():
                if made in done:
                    raise ValueError(f"two items of {key} make {made}")
                done[made] = definition
    return done


def expand(template, lists):
    """The template as CloudFormation deploys it, with these values of its list parameters."""
    for section in ("Resources", "Outputs"):
        template[section] = unroll(template[section], lists)
    template["Globals"]["Function"]["CodeUri"] = CODE
    for resource in template["Resources"].values():
        # `sam build` gives each function its own.
        if "CodeUri" in resource["Properties"]:
            resource["Properties"]["CodeUri"] = CODE
    template["Transform"] = "AWS::Serverless-2016-10-31"
    # With no values of parameters given, the translator leaves every reference where it is.
    session = boto3.Session(region_name="us-east-1")
    return Translator({}, Parser(), boto_session=session).translate(template, {})


def dashboards(template):
    """The dashboards' bodies, which must be JSON when the references in them have values."""
    for name, resource in template["Resources"].items():
        if resource["Type"] == "AWS::CloudWatch::Dashboard":
            body = resource["Properties"]["DashboardBody"]
            yield name, json.loads(re.sub(r"\$\{[^}]+\}", "1", body["Fn::Sub"] if isinstance(body, dict) else body))


def main():
    path, *queues = sys.argv[1:]
    with open(path, encoding="utf-8") as file:
        expanded = expand(yaml_parse(file.read()), {"QueueNames": queues or ["default"]})
    for name, body in dashboards(expanded):
        places = [(w["x"], w["y"]) for w in body["widgets"]]
        if len(places) != len(set(places)):
            raise ValueError(f"{name}: two widgets in one place")
    json.dump(expanded, sys.stdout, indent=1)


if __name__ == "__main__":
    main()
