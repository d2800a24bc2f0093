"""What the functions need of the deployment, written down here a second time.

The comparison with the template shows that the template was carried out; this shows that it is the right template. Its
sources are shared/core/src/store/table.rs, shared/core/src/transport/queues.rs and shared/core/src/settings.rs.
"""

import json

from . import describe

INDEXES = {
    "due": ("dup", "dus", {"gr", "p", "q", "ty", "wk"}),
    "dead": ("dlp", "dls", None),
    "dead-in-queue": ("dlq", "dls", None),
    "listing": ("lp", "lo", None),
}
KINDS = {"dus": "N", "lo": "B"}
# Differ from queue to queue, and are not settings.
OF_ONE_QUEUE = ("Arn", "Timestamp", "ApproximateNumber", "RedrivePolicy", "QueueName", "Tags", "Policy")


def keys(schema):
    """(hash, range) of a key schema."""
    names = {key["KeyType"]: key["AttributeName"] for key in schema}
    return names["HASH"], names.get("RANGE")


def table(checks, aws, name):
    """Keys, indexes, TTL and what protects the data."""
    seen, _ = describe.table(aws, name)
    checks.check("the table's keys are pk and sk", keys(seen["KeySchema"]) == ("pk", "sk"), seen["KeySchema"])
    indexes = {}
    for index in seen.get("GlobalSecondaryIndexes", []):
        projection = index["Projection"]
        more = set(projection["NonKeyAttributes"]) if projection["ProjectionType"] == "INCLUDE" else None
        indexes[index["IndexName"]] = (*keys(index["KeySchema"]), more)
    checks.check("its four indexes have the right keys and attributes", indexes == INDEXES, indexes)
    kinds = {item["AttributeName"]: item["AttributeType"] for item in seen["AttributeDefinitions"]}
    wanted = {name: KINDS.get(name, "S") for name in ("pk", "sk", "dup", "dus", "dlp", "dlq", "dls", "lp", "lo")}
    checks.check("its key attributes have the right types", kinds == wanted, kinds)
    ttl = seen["TimeToLiveSpecification"]
    checks.check("items expire by `ttl`", ttl == {"AttributeName": "ttl", "Enabled": True}, ttl)
    checks.check("it is on demand", seen["BillingMode"] == "PAY_PER_REQUEST", seen["BillingMode"])
    recovery = seen["PointInTimeRecoverySpecification"]["PointInTimeRecoveryEnabled"]
    checks.check("point-in-time recovery is on", recovery, recovery)
    protected = seen.get("DeletionProtectionEnabled")
    checks.check("deletion protection is on", protected, protected)


def queues(checks, aws, prefix, names, fifo):
    """Each queue with its dead-letter queue, with the attributes that the API itself gives to a new one."""
    suffix = ".fifo" if fifo else ""
    for name in names:
        main, _ = describe.queue(aws, queue_url(aws, f"{prefix}-{name}{suffix}"))
        dead, dead_attributes = describe.queue(aws, queue_url(aws, f"{prefix}-{name}-dlq{suffix}"))
        redrive = main.get("RedrivePolicy", {})
        right = (redrive.get("deadLetterTargetArn"), str(redrive.get("maxReceiveCount")))
        checks.check(f"queue {name} redrives to its -dlq after 1000", right == (dead_attributes["Arn"], "1000"), right)
        kept = (main["MessageRetentionPeriod"], dead["MessageRetentionPeriod"])
        checks.check(f"queue {name} and its -dlq keep messages for 14 days", kept == ("1209600", "1209600"), kept)
        encrypted = [queue.get("SqsManagedSseEnabled") for queue in (main, dead)]
        keyed = [bool(queue.get("KmsMasterKeyId")) for queue in (main, dead)]
        checks.check(f"queue {name} and its -dlq are encrypted", encrypted == ["true", "true"] or all(keyed), encrypted)


def queue_url(aws, name):
    """The URL of an SQS queue."""
    return aws("sqs").get_queue_url(QueueName=name)["QueueUrl"]


def settings_of(aws, name):
    """A queue's settings without what is its own."""
    seen, _ = describe.queue(aws, queue_url(aws, name))
    return {key: value for key, value in seen.items() if not any(part in key for part in OF_ONE_QUEUE)}


def same_queues(checks, aws, deployed, made):
    """A queue that the API has made has the settings of the one that the template has made."""
    for suffix in ("", "-dlq"):
        stem = (deployed + suffix, made + suffix)
        if deployed.endswith(".fifo"):
            stem = tuple(f"{name.removesuffix('.fifo')}{suffix}.fifo" for name in (deployed, made))
        left, right = (settings_of(aws, name) for name in stem)
        # Encryption is the template's own choice. A new queue has SQS's own key on AWS, and none in ministack.
        different = {key for key in left if left[key] != right.get(key) and not key.startswith(("Kms", "SqsManagedSse"))}
        label = "dead-letter queue" if suffix else "queue"
        checks.check(f"a {label} that the API makes is like the template's", not different, different)


ENVIRONMENT = {
    "api": {"OJS_API_KEY_SECRET", "OJS_FETCH_WAIT_SECONDS"},
    "scheduler": set(),
    "cron": set(),
}
ALL = {
    "DYNAMODB_TABLE",
    "SQS_QUEUE_PREFIX",
    "SQS_USE_FIFO",
    "OJS_VISIBILITY_TIMEOUT_SECONDS",
    "OJS_RETENTION_COMPLETED_DAYS",
    "OJS_RETENTION_DISCARDED_DAYS",
    "OJS_LISTING_INDEX",
    "OJS_INDEX_SHARDS",
    "RUST_LOG",
}


def functions(checks, aws, name, table_name):
    """Runtime, time-outs, roles of their own, and the environment that the binaries read."""
    roles = set()
    for binary, more in ENVIRONMENT.items():
        seen, _ = describe.function(aws, f"{name}-{binary}")
        roles.add(seen["Role"])
        runtime = (seen["Runtime"], seen["Handler"], seen["Architectures"])
        checks.check(f"{binary} is a custom runtime", runtime == ("provided.al2023", "bootstrap", ["x86_64"]), runtime)
        limit = 29 if binary == "api" else 60
        checks.check(f"{binary} has {limit} s", seen["Timeout"] == limit, seen["Timeout"])
        variables = seen["Environment"]["Variables"]
        missing = (ALL | more) - set(variables)
        checks.check(f"{binary} has its settings", not missing, f"missing: {sorted(missing)}")
        where = (variables.get("DYNAMODB_TABLE"), variables.get("SQS_QUEUE_PREFIX"))
        checks.check(f"{binary} works on this stack's table and queues", where == (table_name, name), where)
        secrets = [key for key, value in variables.items() if key == "OJS_API_KEY" and value]
        checks.check(f"{binary} has no key in its environment", not secrets, secrets)
    checks.check("each function has a role of its own", len(roles) == 3, roles)


def secret(checks, aws, arn):
    """The generated key: one, long, of letters and digits."""
    text = aws("secretsmanager").get_secret_value(SecretId=arn)["SecretString"]
    checks.check("the generated key is 48 letters and digits", len(text) == 48 and text.isalnum(), len(text))
    return text


def roles(checks, template_resources):
    """No statement of any role is about everything."""
    wide = []
    for name, kind, properties in template_resources:
        if kind != "AWS::IAM::Role":
            continue
        for policy in properties.get("Policies", []):
            statements = policy["PolicyDocument"]["Statement"]
            for statement in statements if isinstance(statements, list) else [statements]:
                resources = statement.get("Resource")
                if resources == "*" or "*" in (resources if isinstance(resources, list) else []):
                    wide.append(f"{name}: {json.dumps(statement)}")
    checks.check("no role is about all resources", not wide, wide)
