"""The deployed functions at work: HTTP through the gateway, ticks by Invoke and by their rules, roles, logs."""

import json
import pathlib
import sys
import time
import uuid

import botocore.exceptions

from . import contract, describe
from .aws import ACCOUNT, REGION

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "dev" / "ministack"))
import check as operations  # noqa: E402

EVENTS = ROOT / "events"
IDLE_SCHEDULER = {"sent": 0, "failed": 0, "more": False, "resent": 0, "dropped": 0}
IDLE_CRON = {"fired": 0, "skipped": 0, "woken": 0, "failed": 0, "more": False}
DELIVERY_SECONDS = 5


class Deployment:
    """What the scenarios need to know of the stack."""

    def __init__(self, aws, client, name, table, secret, fifo=False):
        self.aws = aws
        self.client = client
        self.name = name
        self.table = table
        self.secret = secret
        self.fifo = fifo

    def function(self, binary):
        """The name of a function."""
        return f"{self.name}-{binary}"

    def invoke(self, binary, event):
        """A function's answer to a sample event, or what went wrong as text."""
        payload = (EVENTS / f"{event}.json").read_bytes()
        answer = self.aws("lambda").invoke(FunctionName=self.function(binary), Payload=payload)
        text = answer["Payload"].read().decode()
        return f"{answer['FunctionError']}: {text}" if "FunctionError" in answer else json.loads(text)

    def item(self, job_id):
        """A job's item in the table."""
        key = {"pk": {"S": f"JOB#{job_id}"}, "sk": {"S": "J"}}
        return self.aws("dynamodb").get_item(TableName=self.table, Key=key, ConsistentRead=True).get("Item", {})

    def make_due(self, job_id):
        """Moves a job's time to a moment ago, as if its wait were over. It keeps its place in the due index."""
        self.aws("dynamodb").update_item(
            TableName=self.table,
            Key={"pk": {"S": f"JOB#{job_id}"}, "sk": {"S": "J"}},
            UpdateExpression="SET du = :now, dus = :now, r = r + :one",
            ExpressionAttributeValues={":now": {"N": str(int(time.time() * 1000) - 1000)}, ":one": {"N": "1"}},
        )

    def rules(self, enabled):
        """Switches the ticks on or off."""
        events = self.aws("events")
        for rule in self.tick_rules():
            (events.enable_rule if enabled else events.disable_rule)(Name=rule)

    def tick_rules(self):
        """The rules whose target is one of the functions."""
        events, found = self.aws("events"), []
        for binary in ("scheduler", "cron"):
            arn = f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:{self.function(binary)}"
            found += events.list_rule_names_by_target(TargetArn=arn)["RuleNames"]
        return found


def new_queue(name):
    """A queue of its own for every scenario."""
    return f"{name}-{uuid.uuid4().hex[:8]}"


def front_door(checks, deployment):
    """The HTTP API lets in who has the key, and passes paths, queries and headers on."""
    client = deployment.client
    answer = client.request("GET", "/ojs/v1/health")
    checks.need("health answers 200, ok", answer.status == 200 and answer.get("status") == "ok", answer)
    for label, key in (("no key", ""), ("a wrong key", "wrong")):
        answer = client.request("GET", "/ojs/v1/health", key=key)
        checks.check(f"{label} answers 401", answer.status == 401, answer)
    answer = client.request("GET", "/ojs/manifest")
    checks.check("GET /ojs/manifest answers 200", answer.status == 200, answer)
    checks.check("OJS-Version is 1.0", answer.headers.get("OJS-Version") == "1.0", answer.headers)
    answer = client.request("GET", "/ojs/v1/nothing-here")
    checks.check("an unknown path answers 404 by the API", answer.status == 404 and answer.get("error"), answer)
    queue = new_queue("door")
    answer = client.request("GET", f"/ojs/v1/dead-letter?queue={queue}&limit=nonsense")
    checks.check("the query reaches the function", answer.status == 400 and "limit" in answer.text, answer)
    answer = client.request("POST", "/ojs/v1/jobs", {"type": "check.run", "args": ["grüße"], "options": {"queue": queue}})
    checks.check("the body reaches it as UTF-8", answer.get("job", "args") == ["grüße"], answer)


def sizes(checks, deployment):
    """A large body gets through, and one that is too large is refused by name."""
    body = {"type": "check.run", "args": ["x" * 200_000], "options": {"queue": new_queue("large")}}
    answer = deployment.client.request("POST", "/ojs/v1/jobs", body)
    checks.check("a job of 200 kB is taken", answer.status == 201, answer)
    body["args"] = ["x" * 400_000]
    answer = deployment.client.request("POST", "/ojs/v1/jobs", body)
    checks.check("a job of 400 kB is refused by the API", 400 <= answer.status < 500 and answer.get("error"), answer)


def core_operations(checks, deployment):
    """What dev/ministack/check.py asks of the plain server: retries, dead letters, leases, cancellation, heartbeats."""
    for scenario in operations.SCENARIOS:
        # With FIFO queues a delayed job waits for the tick, which is off here.
        if not (deployment.fifo and scenario is operations.scheduled):
            checks.run(scenario, deployment.client)


def queues_made_by_the_api(checks, deployment):
    """A queue that nobody has deployed is made at its first use, like the deployed ones."""
    queue = new_queue("made")
    answer = deployment.client.enqueue(queue)
    checks.need("enqueue into a new queue answers 201", answer.status == 201, answer)
    suffix = ".fifo" if deployment.fifo else ""
    deployed, made = (f"{deployment.name}-{name}{suffix}" for name in ("default", queue))
    contract.same_queues(checks, deployment.aws, deployed, made)


def priority(checks, deployment):
    """The more urgent job is fetched first, though enqueued last."""
    client, queue = deployment.client, new_queue("urgent")
    jobs = {level: client.enqueue(queue, priority=level).get("job", "id") for level in (0, 10)}
    for level in (10, 0):
        answer = client.fetch_within(DELIVERY_SECONDS, queue)
        seen = answer.get("jobs", 0, "id")
        checks.check(f"priority {level} comes {'first' if level else 'second'}", seen and seen == jobs[level], answer)


def workflow(checks, deployment):
    """A chain of two steps: the second starts when the first is done, with its result."""
    client, queue = deployment.client, new_queue("chain")
    steps = [{"type": f"check.step-{n}", "args": [n], "options": {"queue": queue}} for n in (1, 2)]
    answer = client.request("POST", "/ojs/v1/workflows", {"type": "chain", "name": "check", "steps": steps})
    checks.need("a chain is created", answer.status == 201, answer)
    workflow_id = answer.get("workflow", "id")
    for step in (1, 2):
        answer = client.fetch_within(DELIVERY_SECONDS, queue)
        job = answer.get("jobs", 0) or {}
        checks.need(f"step {step} is fetched", job.get("type") == f"check.step-{step}", answer)
        if step == 1:
            answer = client.fetch(queue)
            checks.check("step 2 waits for step 1", answer.get("jobs") == [], answer)
        answer = client.ack(job["id"], result={"step": step})
        checks.need(f"step {step} is acknowledged", answer.status == 200, answer)
    answer = client.request("GET", f"/ojs/v1/workflows/{workflow_id}")
    checks.check("the workflow is completed", answer.get("workflow", "state") == "completed", answer)


def tick(deployment, name):
    """What a tick of the scheduler answers, without the audit, unless the audit repaired something."""
    answer = deployment.invoke("scheduler", name)
    audit = answer.pop("audit", {}) if isinstance(answer, dict) else {}
    repaired = {key: value for key, value in audit.items() if value and key not in ("items", "passed")}
    return {**answer, **repaired} if repaired else answer


def scheduler(checks, deployment):
    """Beyond SQS's 900 s a job waits in the due index; the scheduler's tick sends it."""
    client, queue = deployment.client, new_queue("later")
    answer = tick(deployment, "scheduled-tick")
    checks.check("events/scheduled-tick.json is a tick with nothing due", answer == IDLE_SCHEDULER, answer)
    answer = client.enqueue(queue, scheduled_at="+PT20M")
    checks.need("a job for in 20 minutes is scheduled", answer.get("job", "state") == "scheduled", answer)
    job_id = answer.get("job", "id")
    item = deployment.item(job_id)
    checks.check("it is in the due index", "dup" in item and "dus" in item, sorted(item))
    answer = tick(deployment, "scheduled-tick")
    checks.check("a tick before its time sends nothing", answer == IDLE_SCHEDULER, answer)
    deployment.make_due(job_id)
    answer = client.fetch(queue)
    checks.check("without a tick it has no message", answer.get("jobs") == [], answer)
    answer = tick(deployment, "scheduled-tick-late")
    checks.check("a late tick sends it", answer == {**IDLE_SCHEDULER, "sent": 1}, answer)
    checks.check("it has left the due index", "dup" not in deployment.item(job_id), deployment.item(job_id))
    answer = tick(deployment, "scheduled-tick-duplicate")
    checks.check("a duplicate tick sends nothing", answer == IDLE_SCHEDULER, answer)
    answer = client.fetch_within(DELIVERY_SECONDS, queue)
    checks.need("it can be fetched", answer.get("jobs", 0, "id") == job_id, answer)
    checks.check("it is acknowledged", client.ack(job_id).status == 200)


def cron(checks, deployment):
    """The cron function fires what is due, once."""
    client, queue = deployment.client, new_queue("cron")
    answer = deployment.invoke("cron", "cron-tick")
    checks.check("events/cron-tick.json is a tick with nothing due", answer == IDLE_CRON, answer)
    body = {"name": queue, "cron": "* * * * * *", "type": "check.tick", "options": {"queue": queue}}
    answer = client.request("POST", "/ojs/v1/cron", body)
    checks.need("a cron job is registered", answer.status == 201, answer)
    time.sleep(2.1)
    answer = deployment.invoke("cron", "cron-tick")
    checks.check("a tick fires it", isinstance(answer, dict) and (answer["fired"], answer["failed"]) == (1, 0), answer)
    answer = client.request("GET", f"/ojs/v1/cron/{queue}")
    last = answer.get("cron", "last_job_id")
    checks.check("it has run once", answer.get("cron", "run_count") == 1, answer)
    checks.check("it is deleted", client.request("DELETE", f"/ojs/v1/cron/{queue}").status == 200)
    answer = client.fetch_within(DELIVERY_SECONDS, queue)
    checks.check("its job can be fetched", answer.get("jobs", 0, "id") == last, answer)
    answer = deployment.invoke("cron", "cron-tick")
    checks.check("nothing fires any more", answer == IDLE_CRON, answer)


def ticks_by_rule(checks, deployment):
    """EventBridge's rules call the functions; nobody else does here."""
    client, queue = deployment.client, new_queue("rule")
    job_id = client.enqueue(queue, scheduled_at="+PT20M").get("job", "id")
    checks.need("a job for in 20 minutes is scheduled", job_id)
    deployment.make_due(job_id)
    # Every day at midnight does not come: only the tick's log line shows that the cron function was called.
    since = time.time()
    deployment.rules(enabled=True)
    # ministack looks at its rules every 10 s, and at each at most once a minute.
    answer = client.fetch_within(80, queue)
    checks.check("the scheduler's rule has its job sent", answer.get("jobs", 0, "id") == job_id, answer)
    deadline = time.monotonic() + 80
    while not (lines := log_lines(deployment, "cron", since, "tick")) and time.monotonic() < deadline:
        time.sleep(1)
    checks.check("the cron function's rule calls it", lines, "no line `tick` in its log")
    deployment.rules(enabled=False)


def log_lines(deployment, binary, since, message=None):
    """The function's own lines since a time, parsed; only those with this message."""
    group = describe.function(deployment.aws, deployment.function(binary))[0]["LoggingConfig"]["LogGroup"]
    pages = deployment.aws("logs").get_paginator("filter_log_events").paginate(
        logGroupName=group, startTime=int(since * 1000)
    )
    found = []
    for page in pages:
        for event in page["events"]:
            try:
                line = json.loads(event["message"])
            except ValueError:
                continue
            fields = line.get("fields", {})
            if message is None or message in (line.get("message"), fields.get("message")):
                found.append(line)
    return found


def logs(checks, deployment):
    """The functions' JSON lines are in the log groups of the template; nothing secret is."""
    # A moment for what is under way.
    time.sleep(0.5)
    for binary, message in (("api", "job enqueued"), ("scheduler", "tick"), ("cron", "tick")):
        lines = log_lines(deployment, binary, 0, message)
        checks.check(f"the {binary} function's log has lines `{message}`", lines, "none")
    everything = json.dumps([log_lines(deployment, binary, 0) for binary in ("api", "scheduler", "cron")])
    checks.check("the key is not in the logs", deployment.client.key not in everything)


def metrics(checks, deployment):
    """With OJS_METRICS=emf the functions write CloudWatch's embedded metrics; ministack keeps them as log lines."""
    variables = describe.function(deployment.aws, deployment.function("api"))[0]["Environment"]["Variables"]
    lines = [line for line in log_lines(deployment, "api", 0) if "_aws" in line]
    if variables.get("OJS_METRICS") != "emf":
        checks.check("no metrics are written where they are off", not lines, lines[:1])
        return
    names = {
        metric["Name"]
        for line in lines
        for group in line["_aws"]["CloudWatchMetrics"]
        if group["Namespace"] == "OJS"
        for metric in group["Metrics"]
    }
    for name in ("JobsEnqueued", "JobsCompleted", "RequestLatency", "AwsCalls"):
        checks.check(f"metric {name} is written", name in names, sorted(names))


def session(deployment, binary):
    """Clients with a function's role."""
    role = describe.function(deployment.aws, deployment.function(binary))[0]["Role"]
    credentials = deployment.aws("sts").assume_role(RoleArn=role, RoleSessionName="check")["Credentials"]
    return deployment.aws.with_credentials(credentials)


def refused(call, **arguments):
    """Whether IAM refuses the call; what came instead."""
    try:
        call(**arguments)
    except botocore.exceptions.ClientError as error:
        return "Denied" in error.response["Error"]["Code"], error
    return False, "allowed"


def roles(checks, deployment):
    """The functions have worked under their roles up to here; now what the roles must not allow."""
    for binary in ("api", "scheduler", "cron"):
        clients = session(deployment, binary)
        key = {"pk": {"S": "x"}, "sk": {"S": "x"}}
        dynamodb, sqs = clients("dynamodb"), clients("sqs")
        dynamodb.get_item(TableName=deployment.table, Key=key)
        forbidden = {
            "read another table": (dynamodb.get_item, {"TableName": "other", "Key": key}),
            "delete its table": (dynamodb.delete_table, {"TableName": deployment.table}),
            "make another's queue": (sqs.create_queue, {"QueueName": "other-queue"}),
            "read another's secret": (clients("secretsmanager").get_secret_value, {"SecretId": "other"}),
            "list buckets": (clients("s3").list_buckets, {}),
        }
        for act, (call, arguments) in forbidden.items():
            ok, seen = refused(call, **arguments)
            checks.check(f"the role of {binary} cannot {act}", ok, seen)
    for binary in ("scheduler", "cron"):
        secret = deployment.secret
        ok, seen = refused(session(deployment, binary)("secretsmanager").get_secret_value, SecretId=secret)
        checks.check(f"the role of {binary} cannot read the API key", ok, seen)


def key_rotation(checks, deployment):
    """A key that is added to the secret opens the API without a deployment, and the old one goes on."""
    client, new = deployment.client, "rotated-" + uuid.uuid4().hex
    value = f"{client.key},{new}"
    deployment.aws("secretsmanager").put_secret_value(SecretId=deployment.secret, SecretString=value)
    # The function looks again when a key is unknown, at most every 30 s.
    deadline = time.monotonic() + 40
    while (answer := client.request("GET", "/ojs/v1/health", key=new)).status == 401 and time.monotonic() < deadline:
        time.sleep(1)
    checks.check("a new key of the secret is let in", answer.status == 200, answer)
    answer = client.request("GET", "/ojs/v1/health")
    checks.check("so is the old one", answer.status == 200, answer)


# The ticks' rules are off until ticks_by_rule.
SCENARIOS = (
    front_door,
    sizes,
    core_operations,
    queues_made_by_the_api,
    priority,
    workflow,
    scheduler,
    cron,
    ticks_by_rule,
    logs,
    metrics,
    roles,
    key_rotation,
)

