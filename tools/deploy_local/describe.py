"""What the services say about each resource, in CloudFormation's words: (properties, attributes of Fn::GetAtt)."""

import json


def table(aws, name):
    """AWS::DynamoDB::Table"""
    dynamodb = aws("dynamodb")
    seen = dynamodb.describe_table(TableName=name)["Table"]
    ttl = dynamodb.describe_time_to_live(TableName=name)["TimeToLiveDescription"]
    backups = dynamodb.describe_continuous_backups(TableName=name)["ContinuousBackupsDescription"]
    recovery = backups.get("PointInTimeRecoveryDescription", {}).get("PointInTimeRecoveryStatus")
    sse = seen.get("SSEDescription", {})
    properties = {
        **seen,
        "BillingMode": seen.get("BillingModeSummary", {}).get("BillingMode", "PROVISIONED"),
        "TimeToLiveSpecification": {
            "AttributeName": ttl.get("AttributeName"),
            "Enabled": ttl["TimeToLiveStatus"] == "ENABLED",
        },
        "PointInTimeRecoverySpecification": {"PointInTimeRecoveryEnabled": recovery == "ENABLED"},
        "SSESpecification": {
            "SSEEnabled": sse.get("Status") == "ENABLED",
            "SSEType": sse.get("SSEType"),
            "KMSMasterKeyId": sse.get("KMSMasterKeyArn"),
        },
        "Tags": dynamodb.list_tags_of_resource(ResourceArn=seen["TableArn"]).get("Tags", []),
    }
    return properties, {"Arn": seen["TableArn"]}


def queue(aws, url):
    """AWS::SQS::Queue"""
    attributes = aws("sqs").get_queue_attributes(QueueUrl=url, AttributeNames=["All"])["Attributes"]
    tags = aws("sqs").list_queue_tags(QueueUrl=url).get("Tags", {})
    name = attributes["QueueArn"].rsplit(":", 1)[1]
    properties = {**attributes, "QueueName": name, "Tags": tag_list(tags)}
    for policy in ("RedrivePolicy", "RedriveAllowPolicy"):
        if policy in attributes:
            properties[policy] = json.loads(attributes[policy])
    return properties, {"Arn": attributes["QueueArn"], "QueueName": name}


def function(aws, name):
    """AWS::Lambda::Function"""
    seen = aws("lambda").get_function(FunctionName=name)
    properties = {
        **seen["Configuration"],
        "Tags": tag_list(seen.get("Tags", {})),
        # Where the code came from is not kept; that it runs shows that it is there.
        "Code": None,
    }
    reserved = aws("lambda").get_function_concurrency(FunctionName=name).get("ReservedConcurrentExecutions")
    if reserved is not None:
        properties["ReservedConcurrentExecutions"] = reserved
    return properties, {"Arn": seen["Configuration"]["FunctionArn"]}


def invoke_config(aws, _, properties):
    """AWS::Lambda::EventInvokeConfig"""
    name, qualifier = properties["FunctionName"], properties["Qualifier"]
    seen = aws("lambda").get_function_event_invoke_config(FunctionName=name, Qualifier=qualifier)
    return {**seen, "FunctionName": name, "Qualifier": qualifier}, {}


def permission(aws, _, properties):
    """AWS::Lambda::Permission: the statement of the function's policy that says the same."""
    policy = json.loads(aws("lambda").get_policy(FunctionName=properties["FunctionName"])["Policy"])
    for statement in policy["Statement"]:
        condition = statement.get("Condition", {})
        source = condition.get("ArnLike", condition.get("ArnEquals", {})).get("AWS:SourceArn")
        principal = statement["Principal"]
        found = {
            "FunctionName": properties["FunctionName"],
            "Action": statement["Action"],
            "Principal": principal.get("Service") if isinstance(principal, dict) else principal,
            "SourceArn": source,
        }
        if statement["Effect"] == "Allow" and all(found.get(k) == v for k, v in properties.items() if k in found):
            return {**properties, **found}, {}
    return {"Statement": policy["Statement"]}, {}


def rule(aws, name):
    """AWS::Events::Rule"""
    name = name.rsplit("/", 1)[-1].rsplit("|", 1)[-1]
    seen = aws("events").describe_rule(Name=name)
    targets = aws("events").list_targets_by_rule(Rule=name)["Targets"]
    return {**seen, "Targets": targets}, {"Arn": seen["Arn"]}


def role(aws, name):
    """AWS::IAM::Role"""
    iam = aws("iam")
    seen = iam.get_role(RoleName=name)["Role"]
    names = iam.list_role_policies(RoleName=name)["PolicyNames"]
    inline = [iam.get_role_policy(RoleName=name, PolicyName=policy) for policy in names]
    managed = iam.list_attached_role_policies(RoleName=name)["AttachedPolicies"]
    properties = {
        **seen,
        "Policies": [{"PolicyName": p["PolicyName"], "PolicyDocument": p["PolicyDocument"]} for p in inline],
        "ManagedPolicyArns": [policy["PolicyArn"] for policy in managed],
        "Tags": iam.list_role_tags(RoleName=name).get("Tags", []),
    }
    return properties, {"Arn": seen["Arn"], "RoleId": seen["RoleId"]}


def log_group(aws, name):
    """AWS::Logs::LogGroup"""
    groups = aws("logs").describe_log_groups(logGroupNamePrefix=name)["logGroups"]
    seen = next(group for group in groups if group["logGroupName"] == name)
    properties = {
        "LogGroupName": name,
        "RetentionInDays": seen.get("retentionInDays"),
        "KmsKeyId": seen.get("kmsKeyId"),
        "LogGroupClass": seen.get("logGroupClass"),
        "Tags": tag_list(aws("logs").list_tags_log_group(logGroupName=name).get("tags", {})),
    }
    # The attribute ends in `:*`, as on AWS.
    return properties, {"Arn": seen["arn"] if seen["arn"].endswith(":*") else seen["arn"] + ":*"}


def api(aws, api_id):
    """AWS::ApiGatewayV2::Api"""
    seen = aws("apigatewayv2").get_api(ApiId=api_id)
    return {**seen, "Tags": seen.get("Tags", {})}, {"ApiId": api_id, "ApiEndpoint": seen["ApiEndpoint"]}


def stage(aws, name, properties):
    """AWS::ApiGatewayV2::Stage"""
    seen = aws("apigatewayv2").get_stage(ApiId=properties["ApiId"], StageName=properties["StageName"])
    return {**seen, "ApiId": properties["ApiId"]}, {"StageName": name}


def integration(aws, physical_id, properties):
    """AWS::ApiGatewayV2::Integration"""
    integration_id = physical_id.rsplit("/", 1)[-1].rsplit("|", 1)[-1]
    seen = aws("apigatewayv2").get_integration(ApiId=properties["ApiId"], IntegrationId=integration_id)
    return {**seen, "ApiId": properties["ApiId"]}, {"IntegrationId": integration_id}


def route(aws, physical_id, properties):
    """AWS::ApiGatewayV2::Route"""
    route_id = physical_id.rsplit("/", 1)[-1].rsplit("|", 1)[-1]
    seen = aws("apigatewayv2").get_route(ApiId=properties["ApiId"], RouteId=route_id)
    return {**seen, "ApiId": properties["ApiId"]}, {"RouteId": route_id}


def secret(aws, arn):
    """AWS::SecretsManager::Secret"""
    seen = aws("secretsmanager").describe_secret(SecretId=arn)
    return {**seen, "GenerateSecretString": None}, {"Id": seen["ARN"]}


def alarm(aws, name):
    """AWS::CloudWatch::Alarm"""
    seen = aws("cloudwatch").describe_alarms(AlarmNames=[name])["MetricAlarms"][0]
    return seen, {"Arn": seen["AlarmArn"]}


def dashboard(aws, name):
    """AWS::CloudWatch::Dashboard"""
    seen = aws("cloudwatch").get_dashboard(DashboardName=name)
    return {"DashboardName": name, "DashboardBody": seen["DashboardBody"]}, {}


# Described by their physical id alone. In this order: what refers to others comes after them.
BY_ID = {
    "AWS::DynamoDB::Table": table,
    "AWS::SQS::Queue": queue,
    "AWS::SecretsManager::Secret": secret,
    "AWS::Logs::LogGroup": log_group,
    "AWS::IAM::Role": role,
    "AWS::Lambda::Function": function,
    "AWS::ApiGatewayV2::Api": api,
    "AWS::Events::Rule": rule,
    "AWS::CloudWatch::Alarm": alarm,
    "AWS::CloudWatch::Dashboard": dashboard,
}
# Described by properties of theirs too.
BY_PROPERTIES = {
    "AWS::ApiGatewayV2::Stage": stage,
    "AWS::ApiGatewayV2::Integration": integration,
    "AWS::ApiGatewayV2::Route": route,
    "AWS::Lambda::EventInvokeConfig": invoke_config,
    "AWS::Lambda::Permission": permission,
}


def tag_list(tags):
    """Tags as CloudFormation writes them, without those it adds itself."""
    return [{"Key": key, "Value": value} for key, value in tags.items() if not key.startswith("aws:")]
