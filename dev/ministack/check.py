#!/usr/bin/env python3
"""The core operations of the API against ministack, an emulator of AWS that is not ours.

Our own emulators and our own code could share a misunderstanding of AWS; this one was written by others. It is more
lenient than AWS about requests, and stricter about receipt handles: an old one is refused, and so is a second delete.

    check.py --url http://127.0.0.1:PORT --key KEY      (tools/check_ministack.sh starts everything and calls it)
"""

import argparse
import pathlib
import sys
import time
import uuid

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "tools"))
from ojs_client import Checks, Client  # noqa: E402

# How long a job that is ready may take to reach a worker.
DELIVERY_SECONDS = 5
# What clocks and rounding may take from a measured delay.
SLACK_SECONDS = 0.1


def new_queue(name):
    """A queue of its own for every scenario, so that none sees another's jobs."""
    return f"{name}-{uuid.uuid4().hex[:8]}"


def enqueue(checks, client, queue, **options):
    """Enqueues a job and returns its id."""
    answer = client.enqueue(queue, **options)
    checks.need("enqueue answers 201", answer.status == 201 and answer.get("job", "id"), answer)
    return answer.get("job", "id")


def take(checks, client, queue, job_id, attempt, worker="worker-1", **fields):
    """Fetches the job, and checks that it is the expected one in the expected attempt."""
    answer = client.fetch_within(DELIVERY_SECONDS, queue, worker, **fields)
    job = answer.get("jobs", 0) or {}
    seen = (job.get("id"), job.get("state"), job.get("attempt"))
    checks.need(f"{worker} fetches the job, active, attempt {attempt}", seen == (job_id, "active", attempt), answer)


def none_to_fetch(checks, client, queue, why):
    """Checks that a fetch finds nothing."""
    answer = client.fetch(queue, "worker-idle")
    checks.check(f"nothing to fetch {why}", answer.status == 200 and answer.get("jobs") == [], answer)


def state_is(checks, client, job_id, state):
    """Checks the state that GET shows."""
    answer = client.job(job_id)
    checks.check(f"GET says {state}", answer.status == 200 and answer.get("job", "state") == state, answer)


def complete(checks, client, job_id, **fields):
    """Acknowledges the job, and checks that it is completed."""
    answer = client.ack(job_id, **fields)
    checks.check("ack answers 200, completed", answer.status == 200 and answer.get("state") == "completed", answer)
    state_is(checks, client, job_id, "completed")


def authentication(checks, client):
    """Without the key nothing is let in."""
    body = {"type": "check.run", "args": [], "options": {"queue": "default"}}
    for name, key in (("no key", ""), ("a wrong key", "wrong")):
        answer = client.request("POST", "/ojs/v1/jobs", body, key=key)
        checks.check(f"{name} answers 401", answer.status == 401, answer)


def refusals(checks, client):
    """What is not there or not valid is named, and is not a server error."""
    answer = client.ack("019539a4-0000-7000-8000-000000000000")
    checks.check("ack of an unknown job answers 404", answer.status == 404, answer)
    answer = client.request("POST", "/ojs/v1/jobs", {"args": []})
    checks.check("a job without a type answers 400", answer.status == 400, answer)
    none_to_fetch(checks, client, new_queue("unknown"), "in a queue that nobody has used")


def happy_path(checks, client):
    """enqueue, fetch, ack."""
    queue = new_queue("happy")
    job_id = enqueue(checks, client, queue)
    state_is(checks, client, job_id, "available")
    take(checks, client, queue, job_id, 1)
    none_to_fetch(checks, client, queue, "while the job is active")
    complete(checks, client, job_id, result={"ok": True}, worker_id="worker-1")
    answer = client.ack(job_id)
    checks.check("a second ack answers 409", answer.status == 409, answer)


def retry(checks, client):
    """A failed attempt comes back after its backoff."""
    queue = new_queue("retry")
    job_id = enqueue(checks, client, queue, retry={"max_attempts": 3, "initial_interval": "PT1S", "jitter": False})
    take(checks, client, queue, job_id, 1)
    failed_at = time.monotonic()
    answer = client.nack(job_id)
    seen = (answer.status, answer.get("state"), answer.get("retry_delay_ms"))
    checks.need("nack answers 200, retryable, 1000 ms", seen == (200, "retryable", 1000), answer)
    take(checks, client, queue, job_id, 2)
    waited = time.monotonic() - failed_at
    checks.check("the retry waited for its second", waited >= 1 - SLACK_SECONDS, f"{waited:.2f} s")
    complete(checks, client, job_id)


def is_dead(client, queue, job_id):
    """Whether the dead-letter list shows the job, and the answer that says so."""
    answer = client.request("GET", f"/ojs/v1/dead-letter?queue={queue}")
    return any(job.get("id") == job_id for job in answer.get("jobs") or []), answer


def kill(checks, client, queue):
    """Makes a dead letter and returns its id."""
    job_id = enqueue(checks, client, queue, retry={"max_attempts": 1, "on_exhaustion": "dead_letter"})
    take(checks, client, queue, job_id, 1)
    answer = client.nack(job_id)
    seen = (answer.status, answer.get("state"))
    checks.need("nack of the last attempt answers 200, discarded", seen == (200, "discarded"), answer)
    listed, answer = is_dead(client, queue, job_id)
    checks.need("the dead-letter list shows the job", listed, answer)
    return job_id


def dead_letter_retry(checks, client):
    """A dead letter that is retried starts over."""
    queue = new_queue("dead")
    job_id = kill(checks, client, queue)
    answer = client.request("POST", f"/ojs/v1/dead-letter/{job_id}/retry", {})
    seen = (answer.status, answer.get("job", "state"), answer.get("job", "attempt"))
    checks.need("retry answers 200, available, attempt 0", seen == (200, "available", 0), answer)
    listed, answer = is_dead(client, queue, job_id)
    checks.check("the dead-letter list no longer shows the job", not listed, answer)
    take(checks, client, queue, job_id, 1)
    complete(checks, client, job_id)


def dead_letter_delete(checks, client):
    """A dead letter that is deleted is gone from the list."""
    queue = new_queue("dead")
    job_id = kill(checks, client, queue)
    answer = client.request("DELETE", f"/ojs/v1/dead-letter/{job_id}")
    checks.need("delete answers 200, deleted", answer.status == 200 and answer.get("deleted") is True, answer)
    listed, answer = is_dead(client, queue, job_id)
    checks.check("the dead-letter list no longer shows the job", not listed, answer)


def scheduled(checks, client):
    """A job with a delay waits for it, and not longer."""
    queue = new_queue("later")
    started_at = time.monotonic()
    job_id = enqueue(checks, client, queue, delay_until="+PT2S")
    state_is(checks, client, job_id, "scheduled")
    none_to_fetch(checks, client, queue, "before the time has come")
    take(checks, client, queue, job_id, 1)
    waited = time.monotonic() - started_at
    checks.check("the job waited for its two seconds", waited >= 2 - SLACK_SECONDS, f"{waited:.2f} s")
    complete(checks, client, job_id)


def lapsed_lease(checks, client):
    """A worker that goes silent loses the job to another, and cannot take it back."""
    queue = new_queue("lapse")
    job_id = enqueue(checks, client, queue)
    take(checks, client, queue, job_id, 1, "worker-a", visibility_timeout_ms=2000)
    time.sleep(3)
    state_is(checks, client, job_id, "available")
    take(checks, client, queue, job_id, 2, "worker-b")
    answer = client.ack(job_id, worker_id="worker-a")
    checks.check("the first worker's late ack answers 409", answer.status == 409, answer)
    state_is(checks, client, job_id, "active")
    complete(checks, client, job_id, worker_id="worker-b")


def cancel(checks, client):
    """A cancelled job is never handed out, and stays cancelled."""
    queue = new_queue("cancel")
    job_id = enqueue(checks, client, queue)
    answer = client.request("DELETE", f"/ojs/v1/jobs/{job_id}")
    seen = (answer.status, answer.get("job", "state"))
    checks.need("cancel answers 200, cancelled", seen == (200, "cancelled"), answer)
    none_to_fetch(checks, client, queue, "after the cancel")
    state_is(checks, client, job_id, "cancelled")
    answer = client.request("DELETE", f"/ojs/v1/jobs/{job_id}")
    checks.check("a second cancel answers 409", answer.status == 409, answer)


def heartbeat(checks, client):
    """A heartbeat keeps the lease beyond its first end, for the API and for SQS."""
    queue = new_queue("beat")
    job_id = enqueue(checks, client, queue)
    take(checks, client, queue, job_id, 1, "worker-a", visibility_timeout_ms=2000)
    time.sleep(1)
    body = {"worker_id": "worker-a", "active_jobs": [job_id], "visibility_timeout_ms": 5000}
    answer = client.request("POST", "/ojs/v1/workers/heartbeat", body)
    seen = (answer.status, answer.get("state"), answer.get("jobs_extended"))
    checks.need("heartbeat answers 200, running, one job extended", seen == (200, "running", [job_id]), answer)
    time.sleep(2)
    state_is(checks, client, job_id, "active")
    none_to_fetch(checks, client, queue, "while the lease is extended")
    complete(checks, client, job_id, worker_id="worker-a")


SCENARIOS = (
    authentication,
    refusals,
    happy_path,
    retry,
    dead_letter_retry,
    dead_letter_delete,
    scheduled,
    lapsed_lease,
    cancel,
    heartbeat,
)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--url", required=True)
    parser.add_argument("--key", required=True)
    args = parser.parse_args()
    client = Client(args.url, args.key)
    checks = Checks()
    for scenario in SCENARIOS:
        print(f"-- {scenario.__name__}: {scenario.__doc__}", flush=True)
        checks.run(scenario, client)
    return checks.finish()


if __name__ == "__main__":
    sys.exit(main())
