#!/usr/bin/env python3
"""Checks the functions under `cargo lambda watch`: the sample events by `cargo lambda invoke`, ticks, plain HTTP.

    lambda_check.py --port PORT --dynamodb-port PORT --key KEY      (tools/check_lambda.sh starts everything and calls it)
"""

import argparse
import base64
import json
import pathlib
import subprocess
import sys
import time
import urllib.request
import uuid

from ojs_client import OPENER, Checks, Client

EVENTS = pathlib.Path(__file__).resolve().parents[1] / "events"

# Sample event → the status it must get. In this order: what is enqueued is fetched afterwards.
EXPECTED = (
    ("health", 200),
    ("manifest", 200),
    ("enqueue", 201),
    ("enqueue-base64", 201),
    ("fetch", 200),
    ("cron-register", 201),
    ("ack-unknown", 404),
    ("bad-json", 400),
)


def invoke(port, name, function="api"):
    """The function's answer to a sample event, or what went wrong as text."""
    command = ["cargo", "lambda", "invoke", function, "--invoke-address", "127.0.0.1", "--invoke-port", str(port)]
    command += ["--data-file", str(EVENTS / f"{name}.json")]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)
    try:
        return json.loads(done.stdout)
    except ValueError:
        return f"exit code {done.returncode}: {done.stdout}{done.stderr}"


def body_of(answer):
    """The JSON body of a Lambda answer."""
    text = answer.get("body") or ""
    if answer.get("isBase64Encoded"):
        text = base64.b64decode(text).decode()
    return json.loads(text)


def events(checks, port):
    """Every sample event gets its status; a base64 body is decoded."""
    for name, status in EXPECTED:
        answer = invoke(port, name)
        ok = isinstance(answer, dict) and answer.get("statusCode") == status
        checks.check(f"events/{name}.json answers {status}", ok, answer)
        if ok and name == "enqueue-base64":
            args = body_of(answer).get("job", {}).get("args")
            checks.check("the base64 body was decoded", args == ["user@example.com", "grüße"], args)
        if ok and name == "fetch":
            jobs = body_of(answer).get("jobs")
            checks.check("the fetch event gets a job", jobs and jobs[0]["type"] == "email.send", jobs)


IDLE = {"sent": 0, "failed": 0, "more": False, "resent": 0, "dropped": 0}


def dynamodb(port, action, **request):
    """A call to the local DynamoDB, which does not check signatures."""
    headers = {
        "X-Amz-Target": f"DynamoDB_20120810.{action}",
        "Content-Type": "application/x-amz-json-1.0",
        "Authorization": "AWS4-HMAC-SHA256 Credential=local/20261124/us-east-1/dynamodb/aws4_request, "
        "SignedHeaders=host, Signature=0",
        "X-Amz-Date": "20261124T090000Z",
    }
    body = json.dumps({"TableName": "ojs-jobs", **request}).encode()
    call = urllib.request.Request(f"http://127.0.0.1:{port}/", body, headers)
    with OPENER.open(call, timeout=30) as answer:
        return json.loads(answer.read())


def tick(port, name):
    """What a tick of the scheduler answers, less what the audit read: that depends on what is in the table."""
    answer = invoke(port, name, "scheduler")
    if isinstance(answer, dict):
        answer.pop("audit", None)
    return answer


def scheduler(checks, port, client, dynamodb_port):
    """The scheduler takes EventBridge's event, on time, late or twice, and sends what is due."""
    for name in ("scheduled-tick", "scheduled-tick-late", "scheduled-tick-duplicate"):
        answer = tick(port, name)
        checks.check(f"events/{name}.json is a tick with nothing due", answer == IDLE, answer)
    queue = f"later-{uuid.uuid4().hex[:8]}"
    answer = client.enqueue(queue, scheduled_at="+PT20M")
    checks.need("a job for later is scheduled", answer.get("job", "state") == "scheduled", answer)
    job_id = answer.get("job", "id")
    # 20 minutes are too long for a smoke test: its time is moved to a moment ago, as if they had passed.
    now = str(int(time.time() * 1000) - 1000)
    dynamodb(
        dynamodb_port,
        "UpdateItem",
        Key={"pk": {"S": f"JOB#{job_id}"}, "sk": {"S": "J"}},
        UpdateExpression="SET du = :now, dus = :now, r = r + :one",
        ExpressionAttributeValues={":now": {"N": now}, ":one": {"N": "1"}},
    )
    answer = client.fetch(queue)
    checks.check("without a tick it has no message", answer.get("jobs") == [], answer)
    answer = tick(port, "scheduled-tick-late")
    checks.check("a late tick sends it", answer == {**IDLE, "sent": 1}, answer)
    answer = tick(port, "scheduled-tick-duplicate")
    checks.check("a duplicate tick sends nothing", answer == IDLE, answer)
    answer = client.fetch_within(5, queue)
    checks.check("it can be fetched", answer.get("jobs", 0, "id") == job_id, answer)


def cron(checks, port, client):
    """The cron function fires what is due, once."""
    idle = {"fired": 0, "skipped": 0, "woken": 0, "failed": 0, "more": False}
    answer = invoke(port, "cron-tick", "cron")
    checks.check("events/cron-tick.json is a tick with nothing due", answer == idle, answer)
    queue = f"cron-{uuid.uuid4().hex[:8]}"
    body = {"name": queue, "cron": "* * * * * *", "type": "check.tick", "options": {"queue": queue}}
    answer = client.request("POST", "/ojs/v1/cron", body)
    checks.need("a cron job is registered", answer.status == 201, answer)
    time.sleep(2.1)
    answer = invoke(port, "cron-tick", "cron")
    fired = isinstance(answer, dict) and answer.get("fired") == 1 and answer.get("failed") == 0
    checks.check("a tick fires it, and skips what overlaps", fired, answer)
    answer = client.request("GET", f"/ojs/v1/cron/{queue}")
    checks.check("it has run once", answer.get("cron", "run_count") == 1, answer)
    last = answer.get("cron", "last_job_id")
    answer = client.request("DELETE", f"/ojs/v1/cron/{queue}")
    checks.check("it is deleted", answer.status == 200, answer)
    answer = client.fetch_within(5, queue)
    checks.check("its job can be fetched", answer.get("jobs", 0, "id") == last, answer)
    answer = invoke(port, "cron-tick", "cron")
    checks.check("nothing fires any more", answer == idle, answer)


def http(checks, client):
    """The router serves the API at the root: a job's life over HTTP."""
    queue = f"lambda-{uuid.uuid4().hex[:8]}"
    answer = client.request("GET", "/ojs/manifest")
    checks.check("GET /ojs/manifest answers 200", answer.status == 200, answer)
    checks.check("OJS-Version is 1.0", answer.headers.get("OJS-Version") == "1.0", answer.headers)
    answer = client.request("POST", "/ojs/v1/jobs", {"type": "check.run", "args": []}, key="")
    checks.check("no key answers 401", answer.status == 401, answer)
    answer = client.enqueue(queue)
    checks.need("enqueue answers 201", answer.status == 201, answer)
    job_id = answer.get("job", "id")
    answer = client.fetch_within(5, queue)
    checks.need("fetch answers the job", answer.get("jobs", 0, "id") == job_id, answer)
    answer = client.ack(job_id)
    checks.check("ack answers 200", answer.status == 200, answer)
    answer = client.job(job_id)
    checks.check("GET says completed", answer.get("job", "state") == "completed", answer)
    answer = client.ack(job_id)
    checks.check("a second ack answers 409", answer.status == 409, answer)
    answer = client.request("GET", "/ojs/v1/nothing-here")
    checks.check("an unknown path answers 404", answer.status == 404, answer)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--dynamodb-port", type=int, required=True)
    parser.add_argument("--key", required=True)
    args = parser.parse_args()
    checks = Checks()
    checks.run(events, args.port)
    client = Client(f"http://127.0.0.1:{args.port}", args.key)
    checks.run(scheduler, args.port, client, args.dynamodb_port)
    checks.run(cron, args.port, client)
    checks.run(http, client)
    return checks.finish()


if __name__ == "__main__":
    sys.exit(main())
