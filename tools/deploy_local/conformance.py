"""The official conformance suites against the deployed functions, over HTTP."""

import functools
import os
import pathlib
import re
import subprocess

from . import reset

ROOT = pathlib.Path(__file__).resolve().parents[2]
LEVELS = ("0", "1", "2", "3", "4")
SUMMARY = re.compile(r"(\d+) passed, (\d+) failed")
NOT_PASSED = re.compile(r"\s(FAIL|KNOWN)\s")


def run(checks, args, deployment):
    """All levels, with the one setting that the suites need and that a deployment does not have."""
    name, client = deployment.function("api"), deployment.aws("lambda")
    variables = client.get_function_configuration(FunctionName=name)["Environment"]["Variables"]
    print("note  OJS_TEST_DIRECTIVES is switched on for the conformance suites")
    with_directives = {**variables, "OJS_TEST_DIRECTIVES": "true"}
    client.update_function_configuration(FunctionName=name, Environment={"Variables": with_directives})
    levels(checks, args, deployment)
    client.update_function_configuration(FunctionName=name, Environment={"Variables": variables})


def levels(checks, args, deployment):
    """One level after the other; their cases count as checks."""
    functions = [deployment.function(binary) for binary in ("api", "scheduler", "cron")]
    empty = functools.partial(reset.empty, deployment.aws, deployment.table, deployment.name, functions)
    with reset.Server(args.reset_port, empty) as server:
        for level in args.level or LEVELS:
            log = args.logs / f"conformance-{level}.log"
            print(f"-- conformance level {level} (log: {log})", flush=True)
            command = ["cargo", "run", "--quiet", *os.environ.get("LOCKED", "").split()]
            command += ["--bin", "ojs-conformance", "--"]
            command += ["--suites", args.conformance, "--level", level, "--json", str(log.with_suffix(".json"))]
            command += ["--url", deployment.client.url, "--reset-url", server.url]
            command += ["--header", f"Authorization: Bearer {deployment.client.key}"]
            command += ["--filter", args.filter] if args.filter else []
            with log.open("w", encoding="utf-8") as output:
                done = subprocess.run(command, cwd=ROOT, stdout=output, stderr=subprocess.STDOUT, check=False)
            count(checks, level, log.read_text(encoding="utf-8"), done.returncode)


def count(checks, level, text, code):
    """Takes a level's cases into the sum, and shows those that did not pass."""
    summary, shown = None, False
    for line in text.splitlines():
        summary = SUMMARY.search(line) or summary
        # What is indented below a case is about it.
        shown = bool(NOT_PASSED.search(line)) or (shown and line.startswith(" "))
        if shown:
            print(line, flush=True)
    if summary is None:
        checks.check(f"conformance level {level} runs", False, f"exit code {code}: {text[-500:]}")
        return
    print(f"conformance level {level}: {summary[0]}", flush=True)
    checks.passed += int(summary[1])
    checks.failed += int(summary[2])
    if code != 0 and int(summary[2]) == 0:
        checks.check(f"conformance level {level} ends well", False, f"exit code {code}")
