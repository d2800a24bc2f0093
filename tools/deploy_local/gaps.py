"""Where ministack's CloudFormation does less than AWS's: made good here, and each case is told to the user.

What is only less and needed by nobody here stays as it is, and is listed in compare.IGNORED.
"""

import re
import secrets
import string


def of_type(template, kind):
    """Logical ids of the resources of one type."""
    return {
        name
        for name, resource in template["Resources"].items()
        if isinstance(resource, dict) and resource.get("Type") == kind
    }


def secrets_by_arn(template):
    """`Ref` of a secret is its ARN on AWS and its name in ministack: the ARN is asked for. Template, notes."""
    names = of_type(template, "AWS::SecretsManager::Secret")
    count = 0

    def rewrite(value):
        nonlocal count
        if isinstance(value, list):
            return [rewrite(item) for item in value]
        if not isinstance(value, dict):
            return value
        if isinstance(value.get("Ref"), str) and value["Ref"] in names:
            count += 1
            return {"Fn::GetAtt": [value["Ref"], "Id"]}
        if "Fn::Sub" in value:
            argument = value["Fn::Sub"]
            text, *rest = argument if isinstance(argument, list) else [argument]
            for name in names:
                text, found = re.subn(r"\$\{" + name + r"\}", "${" + name + ".Id}", text)
                count += found
            return {"Fn::Sub": [text, *rewrite(rest)] if rest else text}
        return {key: rewrite(item) for key, item in value.items()}

    rewritten = rewrite(template)
    notes = [f"Ref of a secret is its name in ministack: {count} asked for its ARN instead"] if count else []
    return rewritten, notes


SINGLE = ("sqs:SendMessage", "sqs:DeleteMessage", "sqs:ChangeMessageVisibility")


def batch_actions(template):
    """SQS's batch calls need what the single ones need; ministack asks for an action of their name. Template, notes."""
    added = set()

    def rewrite(value):
        if isinstance(value, list):
            return [rewrite(item) for item in value]
        if not isinstance(value, dict):
            return value
        value = {key: rewrite(item) for key, item in value.items()}
        actions = value.get("Action")
        if isinstance(actions, (str, list)) and value.get("Effect") == "Allow":
            actions = [actions] if isinstance(actions, str) else actions
            more = [f"{action}Batch" for action in actions if action in SINGLE]
            added.update(more)
            value["Action"] = actions + more if more else value["Action"]
        return value

    rewritten = rewrite(template)
    notes = [f"ministack's IAM knows batch calls as actions: {sorted(added)} added to the roles"] if added else []
    return rewritten, notes


def generated_secrets(aws, resources, ids):
    """ministack knows neither ExcludePunctuation nor its like: the value is generated here. Notes."""
    notes = []
    for name, kind, properties in resources:
        wanted = properties.get("GenerateSecretString") if kind == "AWS::SecretsManager::Secret" else None
        if not wanted or not wanted.get("ExcludePunctuation") or "SecretStringTemplate" in wanted:
            continue
        letters = string.ascii_letters + string.digits
        value = "".join(secrets.choice(letters) for _ in range(int(wanted.get("PasswordLength", 32))))
        aws("secretsmanager").put_secret_value(SecretId=ids[name], SecretString=value)
        notes.append(f"{name}: ministack ignores ExcludePunctuation: PutSecretValue with a generated value")
    return notes


def settings(aws, resources, ids):
    """Settings that ministack's CloudFormation drops, or keeps where the service's own API does not find them. Notes."""
    notes = []
    for name, kind, properties in resources:
        if act := SETTINGS.get(kind):
            notes += [f"{name}: ministack drops {what}" for what in act(aws, ids[name], properties)]
    return notes


def table(aws, name, properties):
    """TTL, point-in-time recovery and encryption of a table."""
    dynamodb = aws("dynamodb")
    if ttl := properties.get("TimeToLiveSpecification"):
        dynamodb.update_time_to_live(TableName=name, TimeToLiveSpecification=ttl)
        yield "TimeToLiveSpecification: UpdateTimeToLive"
    recovery = properties.get("PointInTimeRecoverySpecification", {}).get("PointInTimeRecoveryEnabled")
    if str(recovery).lower() == "true":
        wanted = {"PointInTimeRecoveryEnabled": True}
        dynamodb.update_continuous_backups(TableName=name, PointInTimeRecoverySpecification=wanted)
        yield "PointInTimeRecoverySpecification: UpdateContinuousBackups"
    if sse := properties.get("SSESpecification"):
        wanted = {"Enabled" if key == "SSEEnabled" else key: value for key, value in sse.items()}
        dynamodb.update_table(TableName=name, SSESpecification=wanted)
        yield "SSESpecification: UpdateTable"


def stage(aws, name, properties):
    """Throttling of an HTTP API."""
    if wanted := properties.get("DefaultRouteSettings"):
        types = {"ThrottlingRateLimit": float, "ThrottlingBurstLimit": int}
        wanted = {key: types[key](value) if key in types else value for key, value in wanted.items()}
        aws("apigatewayv2").update_stage(ApiId=properties["ApiId"], StageName=name, DefaultRouteSettings=wanted)
        yield "DefaultRouteSettings: UpdateStage"


def api(aws, name, properties):
    """CORS of an HTTP API."""
    if wanted := properties.get("CorsConfiguration"):
        aws("apigatewayv2").update_api(ApiId=name, CorsConfiguration=wanted)
        yield "CorsConfiguration: UpdateApi"


def function(aws, name, properties):
    """Reserved concurrency of a function."""
    if wanted := properties.get("ReservedConcurrentExecutions"):
        aws("lambda").put_function_concurrency(FunctionName=name, ReservedConcurrentExecutions=int(wanted))
        yield "ReservedConcurrentExecutions: PutFunctionConcurrency"


SETTINGS = {
    "AWS::DynamoDB::Table": table,
    "AWS::ApiGatewayV2::Stage": stage,
    "AWS::ApiGatewayV2::Api": api,
    "AWS::Lambda::Function": function,
}
