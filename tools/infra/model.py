"""Both descriptions in one vocabulary: {what it is: {setting: value}}.

Everything that a resource says must be taken by a rule here; what is left over is an error, so that a new setting cannot
go uncompared.
"""

from __future__ import annotations

import json

from . import place
from .cloudformation import Template
from .evaluate import Module


class Settings:
    """Settings that must all be taken."""

    def __init__(self, what, values):
        self.what, self.values = what, dict(values)

    def take(self, name, default=None):
        return self.values.pop(name, default)

    def block(self, name):
        """A nested block or object, or nothing. Terraform has lists of them."""
        value = self.values.pop(name, None)
        if isinstance(value, list):
            if len(value) > 1:
                raise ValueError(f"{self.what}: more than one {name}")
            value = value[0] if value else None
        return Settings(f"{self.what}.{name}", value or {})

    def done(self):
        if self.values:
            raise ValueError(f"{self.what}: {', '.join(sorted(self.values))} is compared by no rule in tools/infra/model.py")


def flag(value):
    """CloudFormation takes 'true' for true."""
    return {"true": True, "false": False}.get(value, value)


def number(value):
    return float(value) if value is not None else None


def statements(document):
    """A policy's statements by Sid."""
    document = Settings("policy", json.loads(document) if isinstance(document, str) else document)
    document.take("Version")
    found = {}
    for statement in document.take("Statement"):
        s = Settings("statement", statement)
        sid = s.take("Sid", "-")
        if sid in found:
            raise ValueError(f"two statements {sid}")
        found[sid] = {
            "effect": s.take("Effect"),
            "actions": as_set(s.take("Action")),
            "resources": as_set(s.take("Resource")),
            "principals": {kind: as_set(who) for kind, who in s.take("Principal", {}).items()},
            "conditions": {
                test: {variable: as_set(values) for variable, values in pairs.items()}
                for test, pairs in s.take("Condition", {}).items()
            },
        }
        s.done()
    document.done()
    return found


def as_set(value):
    return sorted(set(value)) if isinstance(value, (list, frozenset)) else [] if value is None else [value]


# ---- template.yaml ----------------------------------------------------------------------------------------------------


def of_template(template: Template) -> dict:
    model = {}
    roles = {place.role_arn(name): p for name, kind, p in template.made() if kind == "AWS::IAM::Role"}
    for logical, kind, properties in template.made():
        if kind == "AWS::IAM::Role":
            continue  # with its function
        p = Settings(logical, properties)
        for what, settings in FROM_TEMPLATE[kind](p, roles):
            add(model, what, settings)
        p.done()
    outputs = {}
    for name, value, description in template.made_outputs():
        if name.startswith("QueueUrl"):
            outputs.setdefault("QueueUrls", []).append(value)
        else:
            outputs[name] = value
        if not description:
            raise ValueError(f"output {name} has no description")
    for name, value in outputs.items():
        add(model, f"output {name}", {"value": as_set(value) if name == "QueueUrls" else value})
    return model


def add(model, what, settings):
    if what in model:
        raise ValueError(f"{what} is there twice")
    model[what] = settings


def _table(p, _):
    def keys(schema):
        return {part["KeyType"]: part["AttributeName"] for part in schema}

    indexes = {}
    for index in p.take("GlobalSecondaryIndexes"):
        i = Settings("index", index)
        projection = i.block("Projection")
        indexes[i.take("IndexName")] = {
            "keys": keys(i.take("KeySchema")),
            "projection": projection.take("ProjectionType"),
            "attributes": as_set(projection.take("NonKeyAttributes")),
        }
        projection.done()
        i.done()
    ttl, pitr, sse = p.block("TimeToLiveSpecification"), p.block("PointInTimeRecoverySpecification"), p.block("SSESpecification")
    yield f"table {p.take('TableName')}", {
        "billing": p.take("BillingMode"),
        "attributes": {a["AttributeName"]: a["AttributeType"] for a in p.take("AttributeDefinitions")},
        "keys": keys(p.take("KeySchema")),
        "indexes": indexes,
        "ttl": [ttl.take("AttributeName"), flag(ttl.take("Enabled"))],
        "point in time recovery": flag(pitr.take("PointInTimeRecoveryEnabled")),
        "deletion protection": flag(p.take("DeletionProtectionEnabled")),
        "key": [flag(sse.take("SSEEnabled", False)), sse.take("KMSMasterKeyId")],
    }
    if sse.take("SSEType", "KMS") != "KMS":
        raise ValueError("the table's SSEType")
    for block in (ttl, pitr, sse):
        block.done()


def _queue(p, _):
    redrive = p.block("RedrivePolicy")
    yield f"queue {p.take('QueueName')}", {
        "retention": number(p.take("MessageRetentionPeriod", 345_600)),
        "largest message": number(p.take("MaximumMessageSize", 1_048_576)),
        "fifo": flag(p.take("FifoQueue", False)),
        "deduplication": p.take("DeduplicationScope"),
        "throughput": p.take("FifoThroughputLimit"),
        "own key": flag(p.take("SqsManagedSseEnabled")),
        "key": p.take("KmsMasterKeyId"),
        "redrive": [redrive.take("deadLetterTargetArn"), redrive.take("maxReceiveCount")],
    }
    redrive.done()


def _alarm(p, _):
    yield f"alarm {p.take('AlarmName')}", {
        # The one parameter that a description names is a variable in Terraform.
        "description": p.take("AlarmDescription").replace("IndexShards", "index_shards"),
        "metric": [p.take("Namespace"), p.take("MetricName")],
        "dimensions": {d["Name"]: d["Value"] for d in p.take("Dimensions")},
        "statistic": p.take("Statistic"),
        "period": number(p.take("Period")),
        "periods": number(p.take("EvaluationPeriods")),
        "threshold": number(p.take("Threshold")),
        "comparison": p.take("ComparisonOperator"),
        "missing data": p.take("TreatMissingData"),
        "actions": as_set(p.take("AlarmActions")),
        "ok actions": as_set(p.take("OKActions")),
    }


def _secret(p, _):
    generate = p.block("GenerateSecretString")
    yield f"secret {p.take('Name')}", {
        "description": p.take("Description"),
        "length": generate.take("PasswordLength"),
        "no punctuation": generate.take("ExcludePunctuation"),
    }
    generate.done()


def _log_group(p, _):
    yield f"log group {p.take('LogGroupName')}", {"retention": number(p.take("RetentionInDays"))}


def _function(p, roles):
    name = p.take("FunctionName")
    role = Settings(f"{name}'s role", roles[p.take("Role")])
    logging, environment, invoke = p.block("LoggingConfig"), p.block("Environment"), p.block("EventInvokeConfig")
    reserved = p.take("ReservedConcurrentExecutions")
    p.take("CodeUri")  # what is built: Terraform is given zips
    yield f"function {name}", {
        "description": p.take("Description"),
        "runtime": [p.take("Runtime"), p.take("Handler"), p.take("Architectures")],
        "memory": number(p.take("MemorySize")),
        "time-out": number(p.take("Timeout")),
        "reserved concurrency": number(reserved),
        "environment": {key: str(value) for key, value in environment.take("Variables").items()},
        "logs": [logging.take("LogFormat"), logging.take("LogGroup")],
    }
    if invoke.values:
        yield f"asynchronous calls of {name}", {
            "retries": invoke.take("MaximumRetryAttempts"), "age": invoke.take("MaximumEventAgeInSeconds")
        }
    allowed = {}
    for policy in role.take("Policies"):
        for sid, statement in statements(policy["PolicyDocument"]).items():
            add(allowed, sid, statement)
    yield f"rights of {name}", {
        "description": role.take("Description"),
        "who": statements(role.take("AssumeRolePolicyDocument")),
        "statements": allowed,
    }
    for block in (role, logging, environment, invoke):
        block.done()


def _api(p, _):
    cors = p.block("CorsConfiguration")
    yield f"HTTP API {p.take('Name')}", {
        "description": p.take("Description"),
        "protocol": p.take("ProtocolType"),
        "cors": {
            "origins": as_set(cors.take("AllowOrigins")),
            "methods": as_set(cors.take("AllowMethods")),
            "headers": as_set(cors.take("AllowHeaders")),
            "exposed": as_set(cors.take("ExposeHeaders")),
            "age": cors.take("MaxAge"),
        },
    }
    cors.done()


def _integration(p, _):
    yield f"integration of {p.take('ApiId')}", {
        "type": p.take("IntegrationType"),
        "function": p.take("IntegrationUri"),
        "payload": p.take("PayloadFormatVersion"),
        "time-out": p.take("TimeoutInMillis"),
    }


def _route(p, _):
    yield f"route {p.take('RouteKey')}", {"api": p.take("ApiId"), "target": p.take("Target")}


def _stage(p, _):
    route, log = p.block("DefaultRouteSettings"), p.block("AccessLogSettings")
    yield f"stage {p.take('StageName')}", {
        "api": p.take("ApiId"),
        "auto deploy": p.take("AutoDeploy"),
        "rate": number(route.take("ThrottlingRateLimit")),
        "burst": number(route.take("ThrottlingBurstLimit")),
        # API Gateway takes the ARN with and without it.
        "log": log.take("DestinationArn").removesuffix(":*"),
        "log format": json.loads(log.take("Format")),
    }
    for block in (route, log):
        block.done()


def _permission(p, _):
    yield f"permission of {p.take('Principal')} on {p.take('FunctionName')}", {
        "action": p.take("Action"), "source": p.take("SourceArn")
    }


def _rule(p, _):
    targets = {}
    for target in p.take("Targets"):
        t = Settings("target", target)
        retry = t.block("RetryPolicy")
        targets[t.take("Id")] = {
            "arn": t.take("Arn"),
            "retries": retry.take("MaximumRetryAttempts"),
            "age": retry.take("MaximumEventAgeInSeconds"),
        }
        retry.done()
        t.done()
    yield f"rule {p.take('Name')}", {
        "description": p.take("Description"),
        "schedule": p.take("ScheduleExpression"),
        "state": p.take("State"),
        "targets": targets,
    }


def _dashboard(p, _):
    yield f"dashboard {p.take('DashboardName')}", json.loads(p.take("DashboardBody"))


FROM_TEMPLATE = {
    "AWS::ApiGatewayV2::Api": _api,
    "AWS::ApiGatewayV2::Integration": _integration,
    "AWS::ApiGatewayV2::Route": _route,
    "AWS::ApiGatewayV2::Stage": _stage,
    "AWS::CloudWatch::Alarm": _alarm,
    "AWS::CloudWatch::Dashboard": _dashboard,
    "AWS::DynamoDB::Table": _table,
    "AWS::Events::Rule": _rule,
    "AWS::Lambda::Permission": _permission,
    "AWS::Logs::LogGroup": _log_group,
    "AWS::SQS::Queue": _queue,
    "AWS::SecretsManager::Secret": _secret,
    "AWS::Serverless::Function": _function,
}


# ---- terraform/ -------------------------------------------------------------------------------------------------------

OUTPUTS = {
    "api_url": "ApiUrl",
    "api_key_secret_arn": "ApiKeySecretArn",
    "table_name": "TableName",
    "queue_urls": "QueueUrls",
    "api_function_name": "ApiFunctionName",
    "scheduler_function_name": "SchedulerFunctionName",
    "cron_function_name": "CronFunctionName",
    "dashboard_url": "DashboardUrl",
}


def of_terraform(module: Module) -> dict:
    model, found = {}, {}
    for address, instance in module.instances():
        settings = Settings(address, instance.settings())
        settings.take("tags")  # of the stack, in CloudFormation
        found.setdefault(instance.type, []).append(settings)
    if unknown := found.keys() - FROM_TERRAFORM.keys() - set(JOINED):
        raise ValueError(f"no rule in tools/infra/model.py compares {', '.join(sorted(unknown))}")
    for kind, rule in FROM_TERRAFORM.items():
        for settings in found.get(kind, []):
            for what, values in rule(settings, found):
                add(model, what, values)
    for settings in (settings for group in found.values() for settings in group):
        settings.done()
    for name, block in module.outputs.items():
        if "description" not in block.attributes:
            raise ValueError(f"output {name} has no description")
        value = module.output(name)
        if isinstance(value, dict):
            value = sorted(value.values())
        if value is not None:
            add(model, f"output {OUTPUTS.get(name, name)}", {"value": value})
    return model


def _tf_table(p, _):
    indexes = {}
    for index in p.take("global_secondary_index"):
        i = Settings("index", index)
        indexes[i.take("name")] = {
            "keys": {key["key_type"]: key["attribute_name"] for key in i.take("key_schema")},
            "projection": i.take("projection_type"),
            "attributes": as_set(i.take("non_key_attributes")),
        }
        i.done()
    ttl, pitr, sse = p.block("ttl"), p.block("point_in_time_recovery"), p.block("server_side_encryption")
    yield f"table {p.take('name')}", {
        "billing": p.take("billing_mode"),
        "attributes": {a["name"]: a["type"] for a in p.take("attribute")},
        "keys": {"HASH": p.take("hash_key"), "RANGE": p.take("range_key")},
        "indexes": indexes,
        "ttl": [ttl.take("attribute_name"), ttl.take("enabled")],
        "point in time recovery": pitr.take("enabled"),
        "deletion protection": p.take("deletion_protection_enabled"),
        "key": [sse.take("enabled", False), sse.take("kms_key_arn")],
    }
    for block in (ttl, pitr, sse):
        block.done()


def _tf_queue(p, _):
    redrive = Settings("redrive", json.loads(p.take("redrive_policy", "{}")))
    yield f"queue {p.take('name')}", {
        "retention": number(p.take("message_retention_seconds", 345_600)),
        # The provider's default.
        "largest message": number(p.take("max_message_size", 262_144)),
        "fifo": p.take("fifo_queue", False),
        "deduplication": p.take("deduplication_scope"),
        "throughput": p.take("fifo_throughput_limit"),
        "own key": p.take("sqs_managed_sse_enabled"),
        "key": p.take("kms_master_key_id"),
        "redrive": [redrive.take("deadLetterTargetArn"), redrive.take("maxReceiveCount")],
    }
    redrive.done()


def _tf_alarm(p, _):
    yield f"alarm {p.take('alarm_name')}", {
        "description": p.take("alarm_description"),
        "metric": [p.take("namespace"), p.take("metric_name")],
        "dimensions": p.take("dimensions"),
        "statistic": p.take("statistic"),
        "period": number(p.take("period")),
        "periods": number(p.take("evaluation_periods")),
        "threshold": number(p.take("threshold")),
        "comparison": p.take("comparison_operator"),
        "missing data": p.take("treat_missing_data"),
        "actions": as_set(p.take("alarm_actions")),
        "ok actions": as_set(p.take("ok_actions")),
    }


def _tf_secret(p, found):
    name = p.take("name")
    p.take("recovery_window_in_days")  # CloudFormation has none
    (version,) = (v for v in found["aws_secretsmanager_secret_version"] if v.take("secret_id") == place.secret_arn(name))
    version.take("secret_string_wo_version")
    generate = Settings("random password", json.loads(version.take("secret_string_wo")))
    yield f"secret {name}", {
        "description": p.take("description"),
        "length": generate.take("password_length"),
        "no punctuation": generate.take("exclude_punctuation"),
    }
    generate.done()


def _tf_log_group(p, _):
    yield f"log group {p.take('name')}", {"retention": number(p.take("retention_in_days"))}


def _tf_function(p, found):
    name, role_arn = p.take("function_name"), p.take("role")
    p.take("filename")
    p.take("source_code_hash")
    logging, environment = p.block("logging_config"), p.block("environment")
    yield f"function {name}", {
        "description": p.take("description"),
        "runtime": [p.take("runtime"), p.take("handler"), p.take("architectures")],
        "memory": number(p.take("memory_size")),
        "time-out": number(p.take("timeout")),
        "reserved concurrency": number(p.take("reserved_concurrent_executions")),
        "environment": environment.take("variables"),
        "logs": [logging.take("log_format"), logging.take("log_group")],
    }
    (role,) = (r for r in found["aws_iam_role"] if place.role_arn(r.values.get("name")) == role_arn)
    allowed = {}
    for policy in found["aws_iam_role_policy"]:
        if policy.values.get("role") == role.values["name"]:
            policy.take("role")
            policy.take("name")
            for sid, statement in statements(policy.take("policy")).items():
                add(allowed, sid, statement)
    role.take("name")
    yield f"rights of {name}", {
        "description": role.take("description"),
        "who": statements(role.take("assume_role_policy")),
        "statements": allowed,
    }
    for block in (logging, environment):
        block.done()


def _tf_invoke(p, _):
    yield f"asynchronous calls of {p.take('function_name')}", {
        "retries": p.take("maximum_retry_attempts"), "age": p.take("maximum_event_age_in_seconds")
    }


def _tf_api(p, _):
    cors = p.block("cors_configuration")
    yield f"HTTP API {p.take('name')}", {
        "description": p.take("description"),
        "protocol": p.take("protocol_type"),
        "cors": {
            "origins": as_set(cors.take("allow_origins")),
            "methods": as_set(cors.take("allow_methods")),
            "headers": as_set(cors.take("allow_headers")),
            "exposed": as_set(cors.take("expose_headers")),
            "age": cors.take("max_age"),
        },
    }
    cors.done()


def _tf_integration(p, _):
    yield f"integration of {p.take('api_id')}", {
        "type": p.take("integration_type"),
        "function": p.take("integration_uri"),
        "payload": p.take("payload_format_version"),
        "time-out": p.take("timeout_milliseconds"),
    }


def _tf_route(p, _):
    yield f"route {p.take('route_key')}", {"api": p.take("api_id"), "target": p.take("target")}


def _tf_stage(p, _):
    route, log = p.block("default_route_settings"), p.block("access_log_settings")
    yield f"stage {p.take('name')}", {
        "api": p.take("api_id"),
        "auto deploy": p.take("auto_deploy"),
        "rate": number(route.take("throttling_rate_limit")),
        "burst": number(route.take("throttling_burst_limit")),
        "log": log.take("destination_arn").removesuffix(":*"),
        "log format": json.loads(log.take("format")),
    }
    for block in (route, log):
        block.done()


def _tf_permission(p, _):
    p.take("statement_id")
    yield f"permission of {p.take('principal')} on {p.take('function_name')}", {
        "action": p.take("action"), "source": p.take("source_arn")
    }


def _tf_rule(p, found):
    name, targets = p.take("name"), {}
    for t in found["aws_cloudwatch_event_target"]:
        if t.values.get("rule") == name:
            t.take("rule")
            retry = t.block("retry_policy")
            targets[t.take("target_id")] = {
                "arn": t.take("arn"),
                "retries": retry.take("maximum_retry_attempts"),
                "age": retry.take("maximum_event_age_in_seconds"),
            }
            retry.done()
    yield f"rule {name}", {
        "description": p.take("description"),
        "schedule": p.take("schedule_expression"),
        "state": p.take("state"),
        "targets": targets,
    }


def _tf_dashboard(p, _):
    yield f"dashboard {p.take('dashboard_name')}", json.loads(p.take("dashboard_body"))


FROM_TERRAFORM = {
    "aws_apigatewayv2_api": _tf_api,
    "aws_apigatewayv2_integration": _tf_integration,
    "aws_apigatewayv2_route": _tf_route,
    "aws_apigatewayv2_stage": _tf_stage,
    "aws_cloudwatch_dashboard": _tf_dashboard,
    "aws_cloudwatch_event_rule": _tf_rule,
    "aws_cloudwatch_log_group": _tf_log_group,
    "aws_cloudwatch_metric_alarm": _tf_alarm,
    "aws_dynamodb_table": _tf_table,
    "aws_lambda_function": _tf_function,
    "aws_lambda_function_event_invoke_config": _tf_invoke,
    "aws_lambda_permission": _tf_permission,
    "aws_secretsmanager_secret": _tf_secret,
    "aws_sqs_queue": _tf_queue,
}
# These are taken together with another resource.
JOINED = ("aws_cloudwatch_event_target", "aws_iam_role", "aws_iam_role_policy", "aws_secretsmanager_secret_version")
