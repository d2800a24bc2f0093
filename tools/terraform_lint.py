#!/usr/bin/env python3
"""What `terraform validate` does not look at in terraform/ (tflint does, whose rules need GitHub). Runs in .venv-deploy.

    terraform_lint.py --schema FOLDER

What is declared and not used, variables without a type, variables and outputs without a description, resources without tags,
rows of the README's tables, and a provider version other than the one of the schema (FOLDER: tools/check_terraform.sh).
"""

from __future__ import annotations

import argparse
import pathlib
import re
import sys

from infra import hcl
from infra.provider import Provider, folder

ROOT = pathlib.Path(__file__).resolve().parent.parent
REQUIRED = {"variable": ("type", "description"), "output": ("value", "description")}


def text_of(block):
    """All expressions of a block and of those in it."""
    return "\n".join(
        [hcl.source_of(tree) for tree in block.attributes.values()] + [text_of(nested) for nested in block.blocks]
    )


def unused(blocks):
    """Variables, locals and data sources that no other expression names. A variable's own validation is no use of it."""
    texts = {block.address: text_of(block) for block in blocks if block.kind not in ("locals", "terraform")}
    texts |= {
        f"local.{name}": hcl.source_of(tree)
        for block in blocks
        if block.kind == "locals"
        for name, tree in block.attributes.items()
    }
    for address in texts:
        # Resources are there for themselves, outputs for others.
        if address.split(".")[0] in ("var", "local", "data", "ephemeral"):
            name = re.compile(rf"\b{re.escape(address)}\b(?!-)")
            if not any(name.search(text) for other, text in texts.items() if other != address):
                yield f"{address} is not used"


def problems(blocks, provider, readme):
    yield from unused(blocks)
    for block in blocks:
        for name in REQUIRED.get(block.kind, ()):
            if name not in block.attributes:
                yield f"{block.place}: {block.address} has no {name}"
        if (
            block.kind == "resource"
            and "tags" not in block.attributes
            and "tags" in (provider.schema("resource", block.labels[0]) or {})
        ):
            yield f"{block.place}: {block.address} has no tags"
    rows = set(re.findall(r"^\| `(\w+)` \|", readme, re.M))
    names = {block.labels[0] for block in blocks if block.kind in REQUIRED}
    yield from (f"README.md: {name} is in one of tables and files only" for name in sorted(rows ^ names))
    required = [
        text_of(nested)
        for block in blocks
        if block.kind == "terraform"
        for nested in block.nested("required_providers")
    ]
    versions = [re.search(r'\bversion\s*=\s*"\s*~> (\d+)\.(\d+)', text) for text in required]
    if len(versions) != 1 or versions[0] is None:
        yield "versions.tf: required_providers wants aws with a version such as ~> 6.69"
        return
    wanted, ours = tuple(map(int, versions[0].groups())), tuple(map(int, provider.version.split(".")))
    if ours[0] != wanted[0] or ours[1] < wanted[1]:
        yield f"versions.tf: ~> {wanted[0]}.{wanted[1]} does not allow {provider.version}, the version that this checks against"


def provider_of(schema, blocks):
    """The provider with the schemas of what the blocks use."""
    provider = Provider(next(schema.glob("cdktn_provider_aws-*.whl")))
    provider.load(
        {folder(block.kind, block.labels[0]) for block in blocks if block.kind in ("resource", "data", "ephemeral")}
    )
    return provider


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--schema", type=pathlib.Path, required=True, help="folder with the wheel of cdktn-provider-aws"
    )
    blocks = hcl.read_folder(ROOT / "terraform")
    provider = provider_of(parser.parse_args().schema, blocks)
    found = list(problems(blocks, provider, (ROOT / "terraform" / "README.md").read_text(encoding="utf-8")))
    print("".join(f"FAILED {problem}\n" for problem in found), end="")
    # One for each block, so that a file which is not read shows.
    print(f"{len(blocks)} passed, {len(found)} failed")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
