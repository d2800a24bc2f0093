"""The account and region that both descriptions are evaluated in, and the ids that AWS would make."""

import json

ACCOUNT = "123456789012"
PARTITION = "aws"
REGION = "eu-test-1"
SUFFIX = "amazonaws.com"


def arn(service, resource, *, region=REGION, account=ACCOUNT):
    return f"arn:{PARTITION}:{service}:{region}:{account}:{resource}"


def table_arn(name):
    return arn("dynamodb", f"table/{name}")


def queue_arn(name):
    return arn("sqs", name)


def queue_url(name):
    return f"https://sqs.{REGION}.{SUFFIX}/{ACCOUNT}/{name}"


def function_arn(name):
    return arn("lambda", f"function:{name}")


def log_group_arn(name):
    return arn("logs", f"log-group:{name}")


def role_arn(name):
    return arn("iam", f"role/{name}", region="")


def rule_arn(name):
    return arn("events", f"rule/{name}")


def secret_arn(name):
    return arn("secretsmanager", f"secret:{name}-AbCdEf")


def api_id(name):
    return f"id-of-{name}"


def api_endpoint(name):
    return f"https://{api_id(name)}.execute-api.{REGION}.{SUFFIX}"


def integration_id(api):
    return f"integration-of-{api}"


def statement(settings):
    """A statement block of aws_iam_policy_document as the JSON that the data source makes."""
    made = {"Effect": settings.pop("effect", "Allow")}
    for attribute, key in (("sid", "Sid"), ("actions", "Action"), ("resources", "Resource")):
        if attribute in settings:
            made[key] = settings.pop(attribute)
    for principal in settings.pop("principals", []):
        made.setdefault("Principal", {})[principal["type"]] = principal["identifiers"]
    for condition in settings.pop("condition", []):
        made.setdefault("Condition", {}).setdefault(condition["test"], {})[condition["variable"]] = condition["values"]
    if settings:
        raise ValueError(f"statement with {sorted(settings)}")
    return made


def computed(instance, name):
    """An attribute of a Terraform resource that AWS or the provider makes."""
    get = instance.attribute
    known = {
        "aws_apigatewayv2_api": {
            "id": lambda: api_id(get("name")),
            "api_endpoint": lambda: api_endpoint(get("name")),
            "execution_arn": lambda: arn("execute-api", api_id(get("name"))),
        },
        "aws_apigatewayv2_integration": {"id": lambda: integration_id(get("api_id"))},
        "aws_caller_identity": {"account_id": lambda: ACCOUNT},
        "aws_cloudwatch_event_rule": {"arn": lambda: rule_arn(get("name"))},
        "aws_cloudwatch_log_group": {"arn": lambda: log_group_arn(get("name"))},
        "aws_dynamodb_table": {"arn": lambda: table_arn(get("name"))},
        "aws_iam_policy_document": {"json": lambda: _document(instance)},
        "aws_iam_role": {"arn": lambda: role_arn(get("name")), "id": lambda: get("name")},
        "aws_lambda_function": {"arn": lambda: function_arn(get("function_name"))},
        "aws_partition": {"partition": lambda: PARTITION, "dns_suffix": lambda: SUFFIX},
        "aws_region": {"region": lambda: REGION},
        "aws_secretsmanager_random_password": {"random_password": lambda: _password(instance)},
        "aws_secretsmanager_secret": {"arn": lambda: secret_arn(get("name")), "id": lambda: secret_arn(get("name"))},
        "aws_sqs_queue": {"arn": lambda: queue_arn(get("name")), "url": lambda: queue_url(get("name"))},
    }
    try:
        return known[instance.type][name]()
    except KeyError:
        raise LookupError(f"{instance.block.address} has no {name} that is known here") from None


def _document(instance):
    statements = [statement(dict(block)) for block in instance.settings()["statement"]]
    return json.dumps({"Version": "2012-10-17", "Statement": statements})


def _password(instance):
    from .evaluate import Ephemeral

    return Ephemeral(json.dumps(instance.settings(), sort_keys=True))
