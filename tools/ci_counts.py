#!/usr/bin/env python3
"""Adds up what test runners say at their end.

    ci_counts.py LOG...      prints `PASSED FAILED` for all logs together

Understands cargo-nextest, cargo test, Python's unittest and our own `N passed, N failed`.
"""

import pathlib
import re
import sys

NEXTEST = re.compile(r"^\s*Summary \[.*\]\s+(?:(\d+)/)?(\d+) tests? run: (\d+) passed")
CARGO_TEST = re.compile(r"^test result: \w+\. (\d+) passed; (\d+) failed")
OURS = re.compile(r"^(\d+) passed, (\d+) failed")
UNITTEST_RAN = re.compile(r"^Ran (\d+) tests? in ")
UNITTEST_FAILED = re.compile(r"^FAILED \((.*)\)")
ANSI = re.compile(r"\x1b\[[0-9;]*m")


def count(text):
    """(passed, failed) of everything in the text."""
    passed = failed = 0
    for line in ANSI.sub("", text).splitlines():
        if match := NEXTEST.match(line):
            # "3/10 tests run" is a run that was broken off after 3.
            ran = int(match[1] or match[2])
            passed += int(match[3])
            failed += ran - int(match[3])
        elif match := CARGO_TEST.match(line) or OURS.match(line):
            passed += int(match[1])
            failed += int(match[2])
        elif match := UNITTEST_RAN.match(line):
            passed += int(match[1])
        elif match := UNITTEST_FAILED.match(line):
            bad = sum(int(n) for n in re.findall(r"(?:failures|errors)=(\d+)", match[1]))
            passed -= bad
            failed += bad
    return passed, failed


def main():
    totals = [count(pathlib.Path(log).read_text(encoding="utf-8", errors="replace")) for log in sys.argv[1:]]
    print(sum(passed for passed, _ in totals), sum(failed for _, failed in totals))


if __name__ == "__main__":
    main()
