"""A worker for ojs-serverless in Python, standard library only.

    OJS_URL=http://127.0.0.1:8080 python3 examples/python/worker.py

It fetches jobs of the queue `mail`, one at a time, keeps their leases while it works, and reports how they ended.
With OJS_MAX_JOBS=N it ends after N jobs; SIGINT and SIGTERM end it after the job at hand.
"""

import json
import os
import signal
import threading
import time
import urllib.error
import urllib.request

URL = os.environ.get("OJS_URL", "http://127.0.0.1:8080") + "/ojs/v1"
KEY = os.environ.get("OJS_API_KEY")
WORKER = f"python-{os.getpid()}"
HEARTBEAT_SECONDS = 60
stopping = threading.Event()


def send_email(to):
    """The work: its return value is the job's result, an exception its error."""
    print(f"email to {to}", flush=True)
    return {"sent": True}


HANDLERS = {"email.send": send_email}


def post(path, body):
    """A POST to the API, repeated while it cannot be reached or asks to come back later. A 409 is None: the job is lost."""
    headers = {"Content-Type": "application/json", **({"Authorization": f"Bearer {KEY}"} if KEY else {})}
    request = urllib.request.Request(f"{URL}/{path}", json.dumps(body).encode(), headers)
    while True:
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:
                return json.load(answer)
        except urllib.error.HTTPError as error:
            if error.code == 409:
                return None
            if error.code not in (429, 503):
                raise
            time.sleep(float(error.headers.get("Retry-After", 1)))
        except urllib.error.URLError:
            time.sleep(1)


def keep_lease(job, done):
    """Extends the lease until the work is done."""
    tokens = {job["id"]: job["lease_token"]}
    while not done.wait(HEARTBEAT_SECONDS):
        post("workers/heartbeat", {"worker_id": WORKER, "active_jobs": [job["id"]], "lease_tokens": tokens})


def work(job):
    """Runs a job and reports its end. The lease token makes a repeated report harmless, and a late one ineffective."""
    lease = {"job_id": job["id"], "lease_token": job["lease_token"]}
    done = threading.Event()
    threading.Thread(target=keep_lease, args=(job, done), daemon=True).start()
    try:
        result = HANDLERS[job["type"]](*job["args"])
    except Exception as error:  # whatever a handler raises is the job's error
        post("workers/nack", {**lease, "error": {"code": type(error).__name__, "message": str(error)}})
    else:
        post("workers/ack", {**lease, "result": result})
    finally:
        done.set()


def main():
    for signum in (signal.SIGINT, signal.SIGTERM):
        signal.signal(signum, lambda *_: stopping.set())
    left = int(os.environ.get("OJS_MAX_JOBS", "0")) or float("inf")
    while left > 0 and not stopping.is_set():
        jobs = post("workers/fetch", {"queues": ["mail"], "count": 1, "worker_id": WORKER})["jobs"]
        for job in jobs:
            work(job)
            left -= 1
        if not jobs:
            stopping.wait(0.5)


if __name__ == "__main__":
    main()
