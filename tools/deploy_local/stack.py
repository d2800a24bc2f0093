"""The stack: the template with the functions' code in S3, created by CloudFormation."""

import json
import pathlib
import time

from samtranslator.yaml_helper import yaml_parse

from . import zips
from .aws import ACCOUNT, REGION

BUCKET = "deploy-local-code"
SECONDS = 180


def load(path):
    """The template as JSON-like data: `!Sub` and its like as `Fn::Sub`."""
    return json.loads(json.dumps(yaml_parse(pathlib.Path(path).read_text(encoding="utf-8"))))


def package(aws, template, folder):
    """What `sam package` does: each function's zip goes to S3, and its CodeUri points there."""
    aws("s3").create_bucket(Bucket=BUCKET)
    for name, resource in template["Resources"].items():
        if isinstance(resource, dict) and resource.get("Type") == "AWS::Serverless::Function":
            binary = resource["Metadata"]["BuildProperties"]["Binary"]
            aws("s3").put_object(Bucket=BUCKET, Key=f"{binary}.zip", Body=zips.read(folder, binary, name))
            resource["Properties"]["CodeUri"] = {"Bucket": BUCKET, "Key": f"{binary}.zip"}


def create(aws, name, template, parameters):
    """Creates the stack and waits for it; the events of what failed are in the error."""
    # By URL, as `sam deploy` does: CloudFormation takes 51,200 bytes in a request.
    aws("s3").put_object(Bucket=BUCKET, Key="template.json", Body=json.dumps(template).encode())
    cloudformation = aws("cloudformation")
    cloudformation.create_stack(
        StackName=name,
        TemplateURL=f"{aws.url}/{BUCKET}/template.json",
        Parameters=[{"ParameterKey": key, "ParameterValue": value} for key, value in parameters.items()],
        Capabilities=["CAPABILITY_IAM", "CAPABILITY_NAMED_IAM", "CAPABILITY_AUTO_EXPAND"],
        OnFailure="DO_NOTHING",
    )
    deadline = time.monotonic() + SECONDS
    while True:
        stack = cloudformation.describe_stacks(StackName=name)["Stacks"][0]
        if stack["StackStatus"] != "CREATE_IN_PROGRESS" or time.monotonic() > deadline:
            break
        time.sleep(0.5)
    if stack["StackStatus"] != "CREATE_COMPLETE":
        events = cloudformation.describe_stack_events(StackName=name)["StackEvents"]
        failed = [
            f"{event['LogicalResourceId']} ({event['ResourceType']}): {event.get('ResourceStatusReason')}"
            for event in events
            if event["ResourceStatus"].endswith("FAILED")
        ]
        raise RuntimeError(f"{stack['StackStatus']}: " + "; ".join(failed))
    return stack


def outputs(stack):
    """The stack's outputs by name."""
    return {output["OutputKey"]: output["OutputValue"] for output in stack.get("Outputs", [])}


def processed(aws, name):
    """The template after its transforms: loops unrolled, SAM's resources made CloudFormation's."""
    body = aws("cloudformation").get_template(StackName=name, TemplateStage="Processed")["TemplateBody"]
    return json.loads(body) if isinstance(body, str) else json.loads(json.dumps(body))


def physical_ids(aws, name):
    """Logical id → physical id."""
    resources = aws("cloudformation").describe_stack_resources(StackName=name)["StackResources"]
    return {resource["LogicalResourceId"]: resource["PhysicalResourceId"] for resource in resources}


def pseudo(stack):
    """The pseudo parameters."""
    return {
        "AWS::AccountId": ACCOUNT,
        "AWS::Partition": "aws",
        "AWS::Region": REGION,
        "AWS::StackId": stack["StackId"],
        "AWS::StackName": stack["StackName"],
        "AWS::URLSuffix": "amazonaws.com",
    }
