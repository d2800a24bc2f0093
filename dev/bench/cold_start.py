#!/usr/bin/env python3
"""Cold start of the functions as Lambda would see it, measured without AWS (dev/bench/cold_start.sh builds and calls it).

Each start is a new process with this script as its Lambda Runtime API and as Secrets Manager, and the local stack as
DynamoDB and SQS. Table and queue are there, as on AWS. The programs are measured in turns, so that whatever else the
machine does falls on all alike. Linux only (/proc).

What is missing: Lambda's own part (fetching the zip, starting the sandbox) and the network. TLS is in the row "TLS".
"""

import argparse
import http.client
import json
import math
import os
import pathlib
import platform
import queue
import select
import shutil
import signal
import socket
import socketserver
import ssl
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import zlib

from ojs_client import Client
from ports import free_ports, wait

EVENTS = pathlib.Path(__file__).resolve().parents[2] / "events"
# Program → the event that it gets. Whatever has another name is taken for the API.
TICKS = {"scheduler": "scheduled-tick", "cron": "cron-tick"}
REQUESTS = 10
PATIENCE = 60  # seconds, for anything that is waited for
TABLE, PREFIX, KEY = "ojs-jobs", "ojs", "local-dev-key"  # the key is that of the events
MB = 1_000_000

# Measure → label. The order is that of the table.
MEASURES = {
    "ready_ms": "exec to first poll, ms",
    "ready_cpu_ms": "  CPU time of it, ms",
    "first_ms": "first request, ms",
    "first_cpu_ms": "  CPU time of it, ms",
    "first_after_ms": "  answer to next poll, ms",
    "second_ms": "second request, ms",
    "tenth_ms": "tenth request, ms",
    "rss_ready_mb": "RSS when ready, MB",
    "rss_requests_mb": f"RSS after {REQUESTS} requests, MB",
    "rss_highest_mb": "highest RSS until then, MB",
    "load_per_s": "warm requests per s, one by one",
    "load_cpu_ms": "  CPU time of one, ms",
    "rss_load_mb": "RSS after these, MB",
    "rie_first_ms": "AWS's emulator: start and first, ms",
    "rie_second_ms": "  second request, ms",
}
# Measure → the most that it should be, and how that reads. Goals of the API; missing one is no failure.
GOALS = {
    "ready_ms": (10, "ready in 10 ms"),
    "first_ms": (100, "first request in 100 ms"),
    "rss_requests_mb": (25, "RSS below 25 MB"),
    "zip_mb": (8, "zip below 8 MB"),
}


class Failed(Exception):
    """A function did not do what it was asked."""


# ---- Lambda's side ---------------------------------------------------------------------------------------------------


class Sandbox:
    """What one process exchanges with its Lambda: times are read where the bytes come and go."""

    def __init__(self):
        self.events = queue.Queue()
        self.polls = queue.Queue()
        self.answers = queue.Queue()
        self.handed = 0.0

    def failed(self, text):
        """Wakes whoever waits."""
        self.polls.put(Failed(text))
        self.answers.put(Failed(text))


class Stub(socketserver.StreamRequestHandler):
    """One connection: the Lambda Runtime API, and Secrets Manager's GetSecretValue."""

    # http.server takes 0.2 ms for a request, which is a good part of what is measured.
    disable_nagle_algorithm = True

    def handle(self):
        while line := self.rfile.readline():
            method, path, _ = line.decode().split()
            headers = {}
            while (line := self.rfile.readline().decode().strip()) != "":
                name, _, value = line.partition(":")
                headers[name.lower()] = value.strip()
            body = self.body(headers)
            now = time.perf_counter()
            sandbox = self.server.sandbox
            if method == "GET" and path.endswith("/invocation/next"):
                if not self.next(sandbox, now):
                    return
                continue
            if path.endswith("/response"):
                sandbox.answers.put((now, body))
            elif path.endswith("/error"):
                sandbox.failed(body.decode(errors="replace"))
            elif headers.get("x-amz-target") == "secretsmanager.GetSecretValue":
                secret = {"ARN": "arn", "Name": "key", "VersionId": "1", "SecretString": KEY}
                self.answer(200, json.dumps(secret).encode(), "application/x-amz-json-1.1")
                continue
            self.answer(202, b"{}")

    def body(self, headers):
        """The request's body, of known length or in chunks."""
        if headers.get("transfer-encoding") != "chunked":
            return self.rfile.read(int(headers.get("content-length", 0)))
        body = b""
        while size := int(self.rfile.readline().split(b";")[0], 16):
            body += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        return body

    def next(self, sandbox, now):
        """Hands out an event when there is one; false when there will be none."""
        sandbox.polls.put(now)
        event = sandbox.events.get()
        if event is None:
            return False
        number, body = event
        extra = (
            f"Lambda-Runtime-Aws-Request-Id: 00000000-0000-4000-8000-{number:012}\r\n"
            f"Lambda-Runtime-Deadline-Ms: {int(time.time() * 1000) + 29_000}\r\n"
            "Lambda-Runtime-Invoked-Function-Arn: arn:aws:lambda:us-east-1:000000000000:function:ojs\r\n"
            f"Lambda-Runtime-Trace-Id: Root=1-00000000-{number:024x};Parent={number:016x};Sampled=0\r\n"
        )
        sandbox.handed = time.perf_counter()
        self.answer(200, body, extra=extra)
        return True

    def answer(self, status, body, kind="application/json", extra=""):
        """Head and body in one write."""
        head = f"HTTP/1.1 {status} X\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\n{extra}\r\n"
        self.wfile.write(head.encode() + body)


class Relay(socketserver.BaseRequestHandler):
    """One TLS connection, passed on in clear."""

    def handle(self):
        try:
            tls = self.server.context.wrap_socket(self.request, server_side=True)
            plain = socket.create_connection(("127.0.0.1", self.server.target))
            plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            tls.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            other = {tls: plain, plain: tls}
            with tls, plain:
                while True:
                    # What TLS has read ahead is not seen by select.
                    ready = [tls] if tls.pending() else select.select([tls, plain], [], [])[0]
                    for end in ready:
                        data = end.recv(65_536)
                        if not data:
                            return
                        other[end].sendall(data)
        except OSError:
            pass  # the process was ended


class Server(socketserver.ThreadingTCPServer):
    """A loopback server in threads of this process."""

    daemon_threads = True
    block_on_close = False

    def __init__(self, handler, **attributes):
        super().__init__(("127.0.0.1", 0), handler)
        for name, value in attributes.items():
            setattr(self, name, value)
        self.port = self.server_address[1]
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def handle_error(self, request, client_address):
        # A process that is ended in the middle of something is no news.
        if not isinstance(sys.exc_info()[1], OSError):
            super().handle_error(request, client_address)


# ---- The function's side ---------------------------------------------------------------------------------------------


class Function:
    """What is started: a program, its environment, and the event that it gets."""

    def __init__(self, label, program, env):
        self.label = label
        self.program = pathlib.Path(program).resolve()
        self.env = env
        self.is_api = self.program.name not in TICKS
        self.event = (EVENTS / f"{TICKS.get(self.program.name, 'enqueue')}.json").read_bytes()
        self.runs = []

    def check(self, body):
        """The answer must be a job, or a tick without failures."""
        answer = json.loads(body)
        if not (answer.get("statusCode") == 201 if self.is_api else answer.get("failed") == 0):
            raise Failed(f"{self.label}: {body[:500]}")


def environment(stub, dynamodb_port, sqs_port):
    """What Lambda and template.yaml set, with the endpoints of this machine. Nothing of the caller's."""
    # Amazon Linux has its root certificates in one file. Debian has them in 150 more, which would cost 3 ms.
    roots = ssl.get_default_verify_paths().cafile
    return {
        **({"SSL_CERT_FILE": roots} if roots else {}),
        "PATH": "/usr/local/bin:/usr/bin:/bin",
        "LANG": "en_US.UTF-8",
        "TZ": ":UTC",
        "AWS_LAMBDA_RUNTIME_API": f"127.0.0.1:{stub}",
        "AWS_LAMBDA_FUNCTION_NAME": "ojs",
        "AWS_LAMBDA_FUNCTION_VERSION": "$LATEST",
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "1769",  # with so much a function has one vCPU
        "AWS_LAMBDA_INITIALIZATION_TYPE": "on-demand",
        "AWS_LAMBDA_LOG_GROUP_NAME": "/aws/lambda/ojs",
        "AWS_LAMBDA_LOG_STREAM_NAME": "local",
        "AWS_REGION": "us-east-1",
        "AWS_ACCESS_KEY_ID": "local",
        "AWS_SECRET_ACCESS_KEY": "local",
        "AWS_SESSION_TOKEN": "local",
        "AWS_ENDPOINT_URL_DYNAMODB": f"http://127.0.0.1:{dynamodb_port}",
        "AWS_ENDPOINT_URL_SQS": f"http://127.0.0.1:{sqs_port}",
        "AWS_ENDPOINT_URL_SECRETS_MANAGER": f"http://127.0.0.1:{stub}",
        "DYNAMODB_TABLE": TABLE,
        "SQS_QUEUE_PREFIX": PREFIX,
        "OJS_API_KEY_SECRET": "key",
        "OJS_METRICS": "emf",
        "RUST_LOG": "info",
    }


def over_tls(env, folder):
    """The same with TLS in front of the three services; `None` without openssl, which makes the certificate."""
    if shutil.which("openssl") is None:
        return None
    cert, key, bundle = folder / "cert.pem", folder / "key.pem", folder / "bundle.pem"
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=127.0.0.1"]
    command += ["-addext", "subjectAltName=IP:127.0.0.1", "-addext", "basicConstraints=critical,CA:FALSE"]
    subprocess.run([*command, "-keyout", key, "-out", cert], check=True, capture_output=True)
    roots = env.get("SSL_CERT_FILE")
    bundle.write_text(cert.read_text() + (pathlib.Path(roots).read_text(encoding="utf-8") if roots else ""))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(cert, key)
    env = {**env, "SSL_CERT_FILE": str(bundle)}
    for name in [name for name in env if name.startswith("AWS_ENDPOINT_URL_")]:
        port = int(env[name].rpartition(":")[2])
        env[name] = f"https://127.0.0.1:{Server(Relay, context=context, target=port).port}"
    return env


def spawn(command, env, log, cpu):
    """Starts a process on this CPU; when it was asked for, and the process."""
    here = os.sched_getaffinity(0)
    if cpu is not None:
        os.sched_setaffinity(0, {cpu})  # of this thread, and inherited
    try:
        started = time.perf_counter()
        process = subprocess.Popen(command, env=env, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
    finally:
        os.sched_setaffinity(0, here)
    return started, process


def rss(pid, name="VmRSS"):
    """Memory of the process, MB."""
    for line in pathlib.Path(f"/proc/{pid}/status").read_text(encoding="utf-8").splitlines():
        if line.startswith(f"{name}:"):
            return int(line.split()[1]) * 1024 / MB
    raise Failed(f"no {name} of process {pid}")


def cpu_ms(pid):
    """CPU time of the process's threads so far, ms. On a busy machine it says more than the clock."""
    stats = pathlib.Path(f"/proc/{pid}/task").glob("*/schedstat")
    return sum(int(stat.read_text(encoding="utf-8").split()[0]) for stat in stats) / 1e6


def received(source):
    """What comes next, or the failure that came in its place."""
    value = source.get(timeout=PATIENCE)
    if isinstance(value, Failed):
        raise value
    return value


def one_start(function, server, log, cpu, load):
    """Starts the function, sends it requests and ends it; what was measured."""
    sandbox = server.sandbox = Sandbox()
    started, process = spawn([function.program], function.env, log, cpu)

    def ended():
        sandbox.failed(f"{function.label}: ended with {process.wait()}")

    threading.Thread(target=ended, daemon=True).start()
    try:
        return measure(function, sandbox, started, process.pid, load)
    except queue.Empty:
        raise Failed(f"{function.label}: nothing within {PATIENCE} s") from None
    finally:
        sandbox.events.put(None)
        process.kill()
        process.wait()


def measure(function, sandbox, started, pid, load):
    """The measures of one start."""
    ready = received(sandbox.polls)
    run = {"ready_ms": (ready - started) * 1000, "ready_cpu_ms": cpu_ms(pid), "rss_ready_mb": rss(pid)}

    def request(number):
        sandbox.events.put((number, function.event))
        answered, body = received(sandbox.answers)
        polled = received(sandbox.polls)
        function.check(body)
        return (answered - sandbox.handed) * 1000, (polled - answered) * 1000

    for number in range(1, REQUESTS + 1):
        took, after = request(number)
        if number == 1:
            run.update(first_ms=took, first_after_ms=after, first_cpu_ms=cpu_ms(pid) - run["ready_cpu_ms"])
        elif number == 2:
            run["second_ms"] = took
        elif number == REQUESTS:
            run["tenth_ms"] = took
    run["rss_requests_mb"], run["rss_highest_mb"] = rss(pid), rss(pid, "VmHWM")
    if load:
        begun, begun_cpu_ms = time.perf_counter(), cpu_ms(pid)
        for number in range(load):
            request(REQUESTS + 1 + number)
        run["load_per_s"] = load / (time.perf_counter() - begun)
        run["load_cpu_ms"] = (cpu_ms(pid) - begun_cpu_ms) / load
        run["rss_load_mb"] = rss(pid)
    return run


# ---- AWS's Runtime Interface Emulator --------------------------------------------------------------------------------


def under_rie(rie, function, log, cpu):
    """First (with the start of the process in it) and second request through AWS's own emulator, ms."""
    port, runtime_port = free_ports(2)
    command = [str(pathlib.Path(rie).resolve()), "--log-level", "error"]
    command += ["--runtime-interface-emulator-address", f"127.0.0.1:{port}"]
    command += ["--runtime-api-address", f"127.0.0.1:{runtime_port}", str(function.program)]
    # It tells the function where its Runtime API is.
    env = {name: value for name, value in function.env.items() if name != "AWS_LAMBDA_RUNTIME_API"}
    _, process = spawn(command, env, log, cpu)
    try:
        if not wait(str(port), process.pid, PATIENCE):
            raise Failed("the Runtime Interface Emulator does not start")
        times = []
        for _ in range(2):
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE)
            begun = time.perf_counter()
            connection.request("POST", "/2015-03-31/functions/function/invocations", function.event)
            body = connection.getresponse().read()
            times.append((time.perf_counter() - begun) * 1000)
            function.check(body)
            connection.close()
        return {"rie_first_ms": times[0], "rie_second_ms": times[1]}
    finally:
        # On SIGTERM it ends its function too.
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


# ---- Results ---------------------------------------------------------------------------------------------------------


def summary(runs):
    """Measure → median and p95 (nearest rank) of the runs that have it. On a busy machine the minimum tells more."""
    found = {}
    for name in dict.fromkeys(name for run in runs for name in run):
        values = sorted(run[name] for run in runs if name in run)
        p95 = values[math.ceil(len(values) * 0.95) - 1]
        seen = {"median": statistics.median(values), "p95": p95, "min": values[0]}
        found[name] = {key: round(value, 3) for key, value in seen.items()} | {"runs": len(values)}
    return found


def sizes(program):
    """Size of the program, and of the zip with it alone, MB."""
    code = program.read_bytes()
    # Deflate is what cargo-lambda and the SAM CLI write; a zip adds some 130 bytes.
    return {"binary_mb": round(len(code) / MB, 2), "zip_mb": round(len(zlib.compress(code)) / MB, 2)}


def machine(cpu):
    """What this ran on."""
    info = pathlib.Path("/proc/cpuinfo").read_text(encoding="utf-8")
    models = [line.partition(":")[2].strip() for line in info.splitlines() if line.startswith("model name")]
    return {
        "cpu": models[0] if models else platform.machine(),
        "cores": len(os.sched_getaffinity(0)),
        "kernel": platform.release(),
        "pinned_to_cpu": cpu,
        "load_average": os.getloadavg()[0],
    }


def table(results):
    """Prints median and p95 of each measure, a column for each function."""
    width = max(20, *(len(result["function"]) + 2 for result in results))
    label = max(map(len, MEASURES.values()))
    print(f"{'median / p95':<{label}}" + "".join(f"{result['function']:>{width}}" for result in results))
    for name, text in MEASURES.items():
        cells = [result["measures"].get(name) for result in results]
        if any(cells):
            shown = [f"{cell['median']:.4g} / {cell['p95']:.4g}" if cell else "" for cell in cells]
            print(f"{text:<{label}}" + "".join(f"{cell:>{width}}" for cell in shown))
    for name, text in (("binary_mb", "program, MB"), ("zip_mb", "zip, MB")):
        print(f"{text:<{label}}" + "".join(f"{result[name]:>{width}g}" for result in results))


def compare(result):
    """Prints which goals are met."""
    print(f"\nGoals ({result['function']}, medians):")
    for name, (most, text) in GOALS.items():
        seen = result[name] if name in result else result["measures"][name]["median"]
        print(f"  {text}: {'met' if seen <= most else 'not met'} ({seen:g})")


# ---- The whole -------------------------------------------------------------------------------------------------------


def local_stack(program, log):
    """Starts DynamoDB and SQS, with the table and the queue of the event; the process and the two ports."""
    api_port, dynamodb_port, sqs_port = free_ports(3)
    command = [program, "--no-ticks", "--port", str(api_port)]
    command += ["--dynamodb-port", str(dynamodb_port), "--sqs-port", str(sqs_port)]
    env = {"PATH": os.environ.get("PATH", ""), "DYNAMODB_TABLE": TABLE, "SQS_QUEUE_PREFIX": PREFIX, "RUST_LOG": "warn"}
    process = subprocess.Popen(command, env=env, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
    if not wait(f"http://127.0.0.1:{api_port}/ojs/v1/health", process.pid, PATIENCE):
        process.kill()
        raise Failed("the local stack does not start")
    answer = Client(f"http://127.0.0.1:{api_port}", "").enqueue("default")
    if answer.status != 201:
        process.kill()
        raise Failed(f"no queue: {answer}")
    return process, dynamodb_port, sqs_port


def functions(args, env, folder):
    """Each program as it is; the first API also with traces for a collector that is away, and over TLS."""
    several = len({pathlib.Path(path).name for path in args.binary}) < len(args.binary)
    for path in args.binary:
        path = pathlib.Path(path)
        yield Function(str(pathlib.Path(path.parent.name, path.name)) if several else path.name, path, env)
    first = next((path for path in args.binary if pathlib.Path(path).name not in TICKS), None)
    if first and not args.plain_only:
        # Nobody listens there: the port is free and stays so.
        closed = free_ports(1)[0]
        yield Function("collector away", first, {**env, "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{closed}"})
        tls = over_tls(env, folder)
        if tls:
            yield Function("TLS", first, tls)
        else:
            print("no openssl: not measured over TLS")


def bench(args, log, folder):
    """Measures everything; one result for each function."""
    stack, dynamodb_port, sqs_port = local_stack(args.local, log)
    try:
        server = Server(Stub, sandbox=None)
        rows = list(functions(args, environment(server.port, dynamodb_port, sqs_port), folder))
        for run in range(args.runs + 1):
            for row in rows:
                load = args.load if row.is_api and 0 < run <= args.load_runs else 0
                measured = one_start(row, server, log, args.cpu, load)
                if run > 0:  # the first start reads the program from the disk
                    row.runs.append(measured)
        if args.rie_program:
            for run in range(args.runs):
                rows[0].runs[run].update(under_rie(args.rie_program, rows[0], log, args.cpu))
    finally:
        stack.terminate()
        stack.wait()
    return [
        {"function": row.label, **sizes(row.program), "measures": summary(row.runs), "starts": row.runs} for row in rows
    ]


def main():
    """Measures, prints and writes."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--binary", action="append", required=True, help="a function's program; may be repeated")
    parser.add_argument("--local", required=True, help="the program ojs-local")
    parser.add_argument("--out", type=pathlib.Path, default=pathlib.Path("target/bench"), help="folder of the result")
    parser.add_argument("--runs", type=int, default=20, help="starts of each function (20)")
    parser.add_argument("--cpu", default="last", help="the function's CPU: a number, last (default) or all")
    parser.add_argument("--load", type=int, default=2_000, help="warm requests after the others (2000)")
    parser.add_argument("--load-runs", type=int, default=3, help="in how many of the starts (3)")
    parser.add_argument("--plain-only", action="store_true", help="neither with a collector nor over TLS")
    parser.add_argument("--rie-program", help="AWS's Runtime Interface Emulator")
    args = parser.parse_args()
    cpus = os.sched_getaffinity(0)
    args.cpu = None if args.cpu == "all" else max(cpus) if args.cpu == "last" else int(args.cpu)
    report = {"machine": machine(args.cpu), "date_unchecked_seconds": int(time.time())}
    if args.cpu is not None and cpus != {args.cpu}:
        # This script and what it starts as AWS, on the others.
        os.sched_setaffinity(0, cpus - {args.cpu})
    # A plain kill must end the children as Ctrl-C does.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    args.out.mkdir(parents=True, exist_ok=True)
    logs = args.out / "cold_start.log"
    with open(logs, "wb") as log, tempfile.TemporaryDirectory() as folder:
        try:
            results = bench(args, log, pathlib.Path(folder))
        except Failed as problem:
            print(f"{problem}\nlogs: {logs}", file=sys.stderr)
            return 1
        except KeyboardInterrupt:
            return 130
    pinned = "not pinned" if args.cpu is None else f"pinned to CPU {args.cpu}"
    about = report["machine"]
    print(f"{about['cpu']}, {about['cores']} cores, {pinned}, load {about['load_average']:.1f}, {args.runs} starts\n")
    table(results)
    for result in results:
        if pathlib.Path(result["function"]).name not in TICKS:
            compare(result)
            break
    path = args.out / "cold_start.json"
    path.write_text(json.dumps({**report, "functions": results}, indent=2) + "\n", encoding="utf-8")
    print(f"\nwritten: {path}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
