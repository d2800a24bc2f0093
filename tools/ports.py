#!/usr/bin/env python3
"""Free ports, and waiting until something answers.

    ports.py free COUNT                              prints COUNT free loopback ports, one a line
    ports.py wait --pid PID --seconds N ADDRESS      waits until ADDRESS, a port or an http URL, answers
"""

import argparse
import http.client
import os
import socket
import sys
import time
import urllib.error
import urllib.request

# Loopback only: whatever proxy the environment names is not asked.
OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def free_ports(count):
    """Ports that nobody listens on; all are held until the last is found, so that they differ."""
    held = []
    for _ in range(count):
        sock = socket.socket()
        sock.bind(("127.0.0.1", 0))
        held.append(sock)
    ports = [sock.getsockname()[1] for sock in held]
    for sock in held:
        sock.close()
    return ports


def answers(address):
    """Whether the port accepts a connection, or the URL answers with a status below 500."""
    try:
        if address.isdigit():
            socket.create_connection(("127.0.0.1", int(address)), timeout=1).close()
            return True
        with OPENER.open(address, timeout=5) as response:
            return response.status < 500
    except urllib.error.HTTPError as error:
        return error.code < 500
    except (OSError, http.client.HTTPException):
        return False


def alive(pid):
    """Whether the process exists and is not a zombie that nobody has waited for yet."""
    try:
        os.kill(pid, 0)
        with open(f"/proc/{pid}/stat", encoding="utf-8") as stat:
            return stat.read().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return True  # no /proc here (macOS): os.kill has found it
    except OSError:
        return False


def wait(address, pid, seconds):
    """True once the address answers; False when the process is gone or the time is up."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        # Asked first: when the process is gone, whoever answers is somebody else.
        if not alive(pid):
            print(f"process {pid} has ended", file=sys.stderr)
            return False
        if answers(address):
            return True
        time.sleep(0.1)
    print(f"no answer from {address} within {seconds} s", file=sys.stderr)
    return False


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    free = commands.add_parser("free")
    free.add_argument("count", type=int)
    waiting = commands.add_parser("wait")
    waiting.add_argument("--pid", type=int, required=True)
    waiting.add_argument("--seconds", type=float, default=60)
    waiting.add_argument("address")
    args = parser.parse_args()
    if args.command == "free":
        print(*free_ports(args.count), sep="\n")
        return 0
    return 0 if wait(args.address, args.pid, args.seconds) else 1


if __name__ == "__main__":
    sys.exit(main())
