"""A small OJS client and a list of checks, for the scripts that test a running API. Standard library only."""

import json
import time
import urllib.error
import urllib.request

# The servers are on this machine: whatever proxy the environment names is not asked.
OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}))


class Answer:
    """What the server said: status, headers, and the body as JSON (None when it is not JSON)."""

    def __init__(self, status, headers, text):
        self.status = status
        self.headers = headers
        self.text = text
        try:
            self.body = json.loads(text)
        except ValueError:
            self.body = None

    def get(self, *path):
        """The value at the path of keys and indices, or None."""
        value = self.body
        for step in path:
            try:
                value = value[step]
            except (KeyError, IndexError, TypeError):
                return None
        return value

    def __str__(self):
        return f"{self.status} {self.text[:300]}"


class Client:
    """Requests to one OJS server, with its key."""

    def __init__(self, url, key):
        self.url = url.rstrip("/")
        self.key = key

    def request(self, method, path, body=None, key=None):
        """One request; `key` replaces the client's own, and "" sends none."""
        key = self.key if key is None else key
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        data = None
        if body is not None:
            data = json.dumps(body).encode()
            headers["Content-Type"] = "application/openjobspec+json"
        request = urllib.request.Request(self.url + path, data, headers, method=method)
        try:
            with OPENER.open(request, timeout=40) as response:
                return Answer(response.status, response.headers, response.read().decode())
        except urllib.error.HTTPError as error:
            with error:
                return Answer(error.code, error.headers, error.read().decode())

    def enqueue(self, queue, **options):
        """A job of type `check.run` in the queue."""
        body = {"type": "check.run", "args": [{"n": 1}], "options": {"queue": queue, **options}}
        return self.request("POST", "/ojs/v1/jobs", body)

    def job(self, job_id):
        """The job as GET shows it."""
        return self.request("GET", f"/ojs/v1/jobs/{job_id}")

    def fetch(self, queue, worker="worker-1", **fields):
        """One fetch of at most one job."""
        return self.request("POST", "/ojs/v1/workers/fetch", {"queues": [queue], "worker_id": worker, **fields})

    def fetch_within(self, seconds, queue, worker="worker-1", **fields):
        """Fetches until a job comes or the time is up: a real SQS may answer empty although there is a message."""
        deadline = time.monotonic() + seconds
        while True:
            answer = self.fetch(queue, worker, **fields)
            if answer.status != 200 or answer.get("jobs", 0) or time.monotonic() > deadline:
                return answer
            time.sleep(0.1)

    def ack(self, job_id, **fields):
        """Completes the job."""
        return self.request("POST", "/ojs/v1/workers/ack", {"job_id": job_id, **fields})

    def nack(self, job_id, **fields):
        """Fails the job with a handler error."""
        error = {"code": "handler_error", "message": "made to fail"}
        return self.request("POST", "/ojs/v1/workers/nack", {"job_id": job_id, "error": error, **fields})


class Missing(Exception):
    """A check failed that the rest of its scenario needs."""


class Checks:
    """Counts checks and prints a line for each."""

    def __init__(self):
        self.passed = 0
        self.failed = 0

    def check(self, name, ok, seen=""):
        """Records one check; `seen` is shown when it failed."""
        if ok:
            self.passed += 1
            print(f"ok    {name}", flush=True)
        else:
            self.failed += 1
            print(f"FAIL  {name}: {seen}", flush=True)
        return bool(ok)

    def need(self, name, ok, seen=""):
        """As `check`, and ends the scenario when it failed."""
        if not self.check(name, ok, seen):
            raise Missing(name)

    def run(self, scenario, *args):
        """Runs one scenario; whatever happens in it, the next one still runs."""
        try:
            scenario(self, *args)
        except Missing:
            pass
        except Exception as error:  # pylint: disable=broad-exception-caught
            self.check(f"{scenario.__name__} runs to its end", False, repr(error))

    def finish(self):
        """Prints the closing line; the exit code."""
        print(f"{self.passed} passed, {self.failed} failed", flush=True)
        return 0 if self.failed == 0 and self.passed > 0 else 1
