"""Terraform's files as blocks whose attributes are syntax trees (python-hcl2's)."""

from __future__ import annotations

import dataclasses
import functools
import pathlib
import re

import hcl2
from lark import Token, Tree


@dataclasses.dataclass
class Block:
    kind: str
    labels: list[str]
    attributes: dict[str, Tree]
    blocks: list[Block]
    file: str
    line: int

    def nested(self, kind: str) -> list[Block]:
        return [block for block in self.blocks if block.kind == kind]

    @property
    def address(self) -> str:
        """How Terraform names it: `aws_sqs_queue.jobs`, `data.aws_region.current`, `var.name`."""
        labels = ".".join(self.labels)
        return {"resource": labels, "variable": f"var.{labels}"}.get(self.kind, f"{self.kind}.{labels}".rstrip("."))

    @property
    def place(self) -> str:
        return f"{self.file}:{self.line}"


def read_folder(folder: pathlib.Path, changed: dict[str, str] | None = None) -> list[Block]:
    """All blocks of a module; `changed` are texts that take the place of files."""
    changed = changed or {}
    blocks = []
    for path in sorted(folder.glob("*.tf")):
        text = changed.get(path.name)
        blocks += _read_text(path.read_text(encoding="utf-8") if text is None else text, path.name)
    return blocks


@functools.lru_cache(maxsize=256)
def _read_text(text: str, file: str) -> tuple[Block, ...]:
    try:
        tree = hcl2.parses_to_tree(text)
    except Exception as error:
        raise SyntaxError(f"{file}: {error}") from error
    (body,) = (child for child in tree.children if isinstance(child, Tree) and child.data == "body")
    return tuple(_body(body, file)[1])


def _body(body: Tree, file: str) -> tuple[dict[str, Tree], list[Block]]:
    attributes, blocks = {}, []
    for child in body.children:
        if not isinstance(child, Tree) or child.data == "new_line_or_comment":
            continue
        name, *rest = child.children
        if child.data == "attribute":
            if (key := text_of(name)) in attributes:
                raise SyntaxError(f"{file}:{line_of(child)}: {key} is there twice")
            attributes[key] = _value(child)
        elif child.data == "block":
            labels = [text_of(part) for part in rest if isinstance(part, Tree) and part.data in ("string", "identifier")]
            (inner,) = (part for part in rest if isinstance(part, Tree) and part.data == "body")
            found, nested = _body(inner, file)
            blocks.append(Block(text_of(name), labels, found, nested, file, line_of(child)))
        else:
            raise SyntaxError(f"{file}: {child.data} is not expected here")
    return attributes, blocks


def _value(attribute: Tree) -> Tree:
    return parts(attribute)[-1]


def parts(tree: Tree) -> list:
    """A tree's children without new lines and comments."""
    return [c for c in tree.children if not (isinstance(c, Tree) and c.data == "new_line_or_comment") and c is not None]


def text_of(tree: Tree) -> str:
    """An identifier's or a plain string's text."""
    tokens = [str(token) for token in tree.scan_values(lambda token: token.type != "DBLQUOTE")]
    return "".join(tokens)


def line_of(tree: Tree) -> int:
    return next((token.line for token in tree.scan_values(lambda token: isinstance(token, Token))), 0)


def source_of(tree: Tree) -> str:
    """A tree's text without comments, to search in: a space between any two words, none around dots."""
    text = " ".join(source_of(part) if isinstance(part, Tree) else str(part) for part in parts(tree))
    return re.sub(r" ?\. ?", ".", text)


def bare_key(key: Tree) -> str | None:
    """`a` of `{ a = 1 }`, which is a text and not a reference."""
    inner = parts(key)[0]
    if isinstance(inner, Tree) and inner.data == "expr_term" and len(parts(inner)) == 1:
        inner = parts(inner)[0]
    return text_of(inner) if isinstance(inner, Tree) and inner.data in ("identifier", "keyword") else None
