#!/usr/bin/env python3
"""Checks the API under `cargo lambda watch`: the sample events by `cargo lambda invoke`, then plain HTTP requests.

    lambda_check.py --port PORT --key KEY      (tools/check_lambda.sh starts everything and calls it)
"""

import argparse
import base64
import json
import pathlib
import subprocess
import sys
import uuid

from ojs_client import Checks, Client

EVENTS = pathlib.Path(__file__).resolve().parents[1] / "events"

# Sample event → the status it must get. In this order: what is enqueued is fetched afterwards.
EXPECTED = (
    ("health", 200),
    ("manifest", 200),
    ("enqueue", 201),
    ("enqueue-base64", 201),
    ("fetch", 200),
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


def tick(checks, port):
    """The scheduler takes EventBridge's event; nothing is due."""
    answer = invoke(port, "scheduled-tick", "scheduler")
    checks.check("events/scheduled-tick.json is a tick", answer == {"sent": 0, "failed": 0, "more": False}, answer)


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
    parser.add_argument("--key", required=True)
    args = parser.parse_args()
    checks = Checks()
    checks.run(events, args.port)
    checks.run(tick, args.port)
    checks.run(http, Client(f"http://127.0.0.1:{args.port}", args.key))
    return checks.finish()


if __name__ == "__main__":
    sys.exit(main())
