"""Enqueues a job and waits for its result, standard library only.

    OJS_URL=http://127.0.0.1:8080 python3 examples/python/client.py bob@example.com
"""

import json
import os
import sys
import time
import urllib.request

URL = os.environ.get("OJS_URL", "http://127.0.0.1:8080") + "/ojs/v1"
KEY = os.environ.get("OJS_API_KEY")
ENDED = ("completed", "discarded", "cancelled")


def call(method, path, body=None):
    """A request to the API, and its answer."""
    headers = {"Content-Type": "application/json", **({"Authorization": f"Bearer {KEY}"} if KEY else {})}
    data = None if body is None else json.dumps(body).encode()
    with urllib.request.urlopen(urllib.request.Request(f"{URL}/{path}", data, headers, method=method), timeout=30) as answer:
        return json.load(answer)


def main():
    to = sys.argv[1] if len(sys.argv) > 1 else "bob@example.com"
    body = {"type": "email.send", "args": [to], "options": {"queue": "mail", "retry": {"max_attempts": 5}}}
    job = call("POST", "jobs", body)["job"]
    print(f"enqueued {job['id']}")
    while job["state"] not in ENDED:
        time.sleep(0.2)
        job = call("GET", f"jobs/{job['id']}")["job"]
    print(job["state"], json.dumps(job.get("result")))
    sys.exit(job["state"] != "completed")


if __name__ == "__main__":
    main()
