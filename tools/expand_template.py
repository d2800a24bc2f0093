#!/usr/bin/env python3
"""What CloudFormation makes of template.yaml: the loops unrolled, SAM's resources replaced. Runs in .venv-deploy.

    expand_template.py TEMPLATE [QUEUE...]      prints the expanded template, as JSON, for these QueueNames

For cfn-lint and checkov, which look at what is deployed and not at what it is written with. Nothing of AWS is asked, and
conditions stay: both of their branches are looked at.
"""

import json
import sys

import boto3
from samcli.lib.cfn_language_extensions.api import create_default_intrinsic_resolver
from samcli.lib.cfn_language_extensions.models import TemplateProcessingContext
from samcli.lib.cfn_language_extensions.pipeline import ProcessingPipeline
from samcli.lib.cfn_language_extensions.processors import ForEachProcessor, TemplateParsingProcessor
from samcli.yamlhelper import yaml_parse
from samtranslator.parser.parser import Parser
from samtranslator.translator.translator import Translator

# Where `sam package` would have put the code.
CODE = "s3://bucket-of-sam/code"


def plain(value):
    """The value with texts for what `Fn::Sub` has nothing left to fill in: the translator wants names as they are."""
    if isinstance(value, list):
        return [plain(part) for part in value]
    if not isinstance(value, dict):
        return value
    if value.keys() == {"Fn::Sub"} and "${" not in value["Fn::Sub"]:
        return value["Fn::Sub"]
    return {key: plain(part) for key, part in value.items()}


def expand(template, queues):
    """The template as CloudFormation deploys it, for these queues."""
    context = TemplateProcessingContext(fragment=template, parameter_values={"QueueNames": queues})
    loops = ForEachProcessor(create_default_intrinsic_resolver(context))
    template = plain(ProcessingPipeline([TemplateParsingProcessor(), loops]).process_template(context))
    template["Globals"]["Function"]["CodeUri"] = CODE
    template["Transform"] = "AWS::Serverless-2016-10-31"
    # With no values of parameters given, the translator leaves every reference where it is.
    session = boto3.Session(region_name="us-east-1")
    return Translator({}, Parser(), boto_session=session).translate(template, {})


def main():
    path, *queues = sys.argv[1:]
    with open(path, encoding="utf-8") as file:
        json.dump(expand(yaml_parse(file.read()), queues or ["default"]), sys.stdout, indent=1)


if __name__ == "__main__":
    main()
