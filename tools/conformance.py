#!/usr/bin/env python3
"""Runs ojs-conformance and tells the known defects of the official suites from failures of ours.

    conformance.py RUNNER [ARGUMENTS...]      RUNNER: the command that starts ojs-conformance

The closing line is the runner's `N passed, N failed`; failures listed in conformance-known-failures.txt are counted
apart, as `, N known`. The exit code is 0 when nothing else failed.
"""

import pathlib
import re
import subprocess
import sys

KNOWN = pathlib.Path(__file__).resolve().with_name("conformance-known-failures.txt")
CLOSING = re.compile(r"^(\d+) passed, (\d+) failed(.*)$")
FAILURE = re.compile(r"\b(?:FAIL|FAILED|not ok)\b")
TEST_ID = re.compile(r"\bL\d-[A-Z]+-\d+\b")


def known_ids(text):
    """The ids in the list, without comments."""
    return {line.split()[0] for line in text.splitlines() if line.strip() and not line.startswith("#")}


class Result:
    """What the runner printed, line by line."""

    def __init__(self):
        self.closing = None
        self.failed_ids = []

    def read(self, line):
        """Takes in one line; whether it is the closing line, which is printed later."""
        match = CLOSING.match(line)
        if match:
            self.closing = match
            return True
        if FAILURE.search(line):
            self.failed_ids += TEST_ID.findall(line)[:1]
        return False

    def verdict(self, known, exit_code):
        """The closing line to print and the exit code."""
        if self.closing is None:
            return "0 passed, 1 failed (the runner printed no result)", exit_code or 1
        passed, failed = int(self.closing[1]), int(self.closing[2])
        rest = self.closing[3]
        # Every failure must be named and known: an unnamed one is not excused.
        excused = failed > 0 and set(self.failed_ids) <= known and failed <= len(self.failed_ids)
        if excused:
            names = ", ".join(sorted(set(self.failed_ids)))
            return f"{passed} passed, 0 failed{rest}, {failed} known ({names})", 0
        if passed == 0 and failed == 0:
            return self.closing[0], exit_code or 1  # nothing was run
        return self.closing[0], exit_code or (1 if failed else 0)


def main():
    if len(sys.argv) < 2:
        print(__doc__, file=sys.stderr)
        return 2
    result = Result()
    with subprocess.Popen(sys.argv[1:], stdout=subprocess.PIPE, text=True) as runner:
        for line in runner.stdout:
            if not result.read(line.rstrip("\n")):
                print(line, end="", flush=True)
    closing, exit_code = result.verdict(known_ids(KNOWN.read_text(encoding="utf-8")), runner.returncode)
    print(closing, flush=True)
    return exit_code


if __name__ == "__main__":
    sys.exit(main())
