#!/usr/bin/env python3
"""Checks the dependencies against deny.toml where cargo-deny is not installed: licences, banned crates, sources.

It reads what `cargo tree` says of the crates that the targets of deny.toml need. Licences are taken at the crates' word; cargo-deny
also reads their texts.

    check_dependencies.py        (in the workspace's root)
"""

import re
import subprocess
import sys
import tomllib

REGISTRY = "crates.io"


def parse(expression):
    """An SPDX expression as a nested ("OR" | "AND", [...]) or a licence's name. A slash is crates.io's old OR."""
    tokens = re.findall(r"[()]|[^\s()]+", expression.replace("/", " OR "))
    # "X WITH Y" is one licence.
    joined = []
    for token in tokens:
        if joined and (token == "WITH" or joined[-1].endswith(" WITH")):
            joined[-1] += f" {token}"
        else:
            joined.append(token)
    tree, rest = parse_or(joined)
    if rest:
        raise ValueError(f"cannot read the licence {expression!r}")
    return tree


def parse_or(tokens):
    """One or more ANDs, joined by OR."""
    return parse_list(tokens, "OR", lambda tokens: parse_list(tokens, "AND", parse_one))


def parse_list(tokens, operator, parse_part):
    """Parts joined by an operator."""
    part, tokens = parse_part(tokens)
    parts = [part]
    while tokens[:1] == [operator]:
        part, tokens = parse_part(tokens[1:])
        parts.append(part)
    return (parts[0] if len(parts) == 1 else (operator, parts)), tokens


def parse_one(tokens):
    """A licence, or an expression in parentheses."""
    if not tokens or tokens[0] in (")", "OR", "AND"):
        raise ValueError("a licence is missing")
    if tokens[0] != "(":
        return tokens[0], tokens[1:]
    tree, rest = parse_or(tokens[1:])
    if rest[:1] != [")"]:
        raise ValueError("a parenthesis is missing")
    return tree, rest[1:]


def allowed(tree, allow):
    """Whether the licence can be met by what is allowed."""
    if isinstance(tree, str):
        return tree in allow
    operator, parts = tree
    return (any if operator == "OR" else all)(allowed(part, allow) for part in parts)


def problems(package, config):
    """What is wrong with a dependency."""
    found = []
    licence = package.get("license")
    try:
        if not licence or not allowed(parse(licence), set(config["licenses"]["allow"])):
            found.append(f"licence {licence!r} is not allowed")
    except ValueError as error:
        found.append(str(error))
    if package["name"] in {ban["name"] for ban in config["bans"]["deny"]}:
        found.append("is banned")
    if package["source"] != REGISTRY:
        found.append(f"comes from {package['source']}")
    return found


def dependencies(targets):
    """What our packages, their tests and build scripts need on these targets, by name and version."""
    packages = {}
    for target in targets:
        # Not `cargo metadata`, which also names what only other targets need.
        command = ["cargo", "tree", "--workspace", "--locked", "--target", target, "--edges", "normal,build,dev",
                   "--prefix", "none", "--format", "{p}\t{l}"]
        tree = subprocess.run(command, check=True, capture_output=True, text=True).stdout
        for line in tree.splitlines():
            package = read_line(line)
            if package:
                packages[package["name"], package["version"]] = package
    return packages.values()


def read_line(line):
    """A package of `cargo tree`; None for ours and for empty lines. A crate of another source than crates.io has it in parentheses."""
    match = re.match(r"(\S+) v(\S+?)((?: \([^)]*\))*)\t(.*?)(?: \(\*\))?$", line)
    if not match:
        return None
    name, version, notes, licence = match.groups()
    source = [note for note in re.findall(r"\(([^)]*)\)", notes) if note not in ("*", "proc-macro")]
    if source and source[0].startswith("/"):
        return None
    return {"name": name, "version": version, "license": licence or None, "source": source[0] if source else REGISTRY}


def main():
    """Prints what is wrong, and how many dependencies are in order."""
    with open("deny.toml", "rb") as file:
        config = tomllib.load(file)
    passed = failed = 0
    for package in sorted(dependencies(t["triple"] for t in config["graph"]["targets"]), key=lambda p: p["name"]):
        wrong = problems(package, config)
        for problem in wrong:
            print(f"FAILED  {package['name']} {package['version']}: {problem}")
        passed, failed = passed + (not wrong), failed + bool(wrong)
    print(f"{passed} passed, {failed} failed")
    return 1 if failed or not passed else 0


if __name__ == "__main__":
    sys.exit(main())
