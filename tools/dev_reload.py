#!/usr/bin/env python3
"""Hot reload: runs the local stack, and builds and restarts it when a source file changes.

    dev_reload.py [arguments of ojs-local]

The running process stays up while the new one is built, and when the build fails. An in-memory stack forgets its jobs
at a restart; `--db target/dev.db` keeps them.
"""

import json
import pathlib
import signal
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parents[1]
SOURCES = ("shared", "functions", "dev")
POLL_SECONDS = 0.5
STOP_SECONDS = 10


def snapshot():
    """Path → modification time of every file that the build depends on."""
    paths = [ROOT / "Cargo.toml", ROOT / "Cargo.lock"]
    for folder in SOURCES:
        paths += (ROOT / folder).rglob("*.rs")
        paths += (ROOT / folder).rglob("Cargo.toml")
    times = {}
    for path in paths:
        try:
            times[path] = path.stat().st_mtime_ns
        except FileNotFoundError:
            pass  # deleted or renamed since it was listed
    return times


def target_directory():
    """Where cargo puts what it builds."""
    command = ["cargo", "metadata", "--no-deps", "--format-version", "1"]
    return pathlib.Path(json.loads(subprocess.check_output(command, cwd=ROOT))["target_directory"])


def build():
    """Builds the local stack; whether it worked. The compiler's messages go to the terminal."""
    return subprocess.run(["cargo", "build", "--bin", "ojs-local"], cwd=ROOT, check=False).returncode == 0


def stop(process):
    """Ends the process: politely, then by force."""
    if process is None or process.poll() is not None:
        return
    process.terminate()
    try:
        process.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


class Reloader:
    """The running process and what it was built from."""

    def __init__(self, binary, arguments):
        self.command = [str(binary), *arguments]
        self.process = None
        self.exit_reported = False

    def restart(self):
        """Builds and, when that worked, replaces the running process."""
        if not build():
            print("dev: the build failed, waiting for a change", flush=True)
            return
        stop(self.process)
        self.process = subprocess.Popen(self.command, cwd=ROOT)
        self.exit_reported = False

    def report_exit(self):
        """Says once when the process has ended by itself."""
        if self.process is not None and self.process.poll() is not None and not self.exit_reported:
            print(f"dev: ojs-local ended with {self.process.returncode}, waiting for a change", flush=True)
            self.exit_reported = True

    def run(self):
        """Until Ctrl-C."""
        # Taken before each build, so that a change made during the build leads to another one.
        seen = snapshot()
        self.restart()
        while True:
            time.sleep(POLL_SECONDS)
            self.report_exit()
            now = snapshot()
            if now == seen:
                continue
            changed = [str(path.relative_to(ROOT)) for path in now.keys() | seen.keys() if now.get(path) != seen.get(path)]
            print(f"dev: {', '.join(sorted(changed)[:3])} changed", flush=True)
            seen = now
            self.restart()


def main():
    # A plain kill must end the child as Ctrl-C does.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    binary = target_directory() / "debug" / "ojs-local"
    reloader = Reloader(binary, sys.argv[1:])
    try:
        reloader.run()
    except KeyboardInterrupt:
        print("dev: stopping", flush=True)
    finally:
        stop(reloader.process)


if __name__ == "__main__":
    main()
