"""Terraform's files as blocks whose attributes are syntax trees (python-hcl2's)."""

from __future__ import annotations

import dataclasses
import functools
import pathlib

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


def references(tree: Tree, bound: frozenset[str] = frozenset()):
    """Yields (root, path, line) of everything that an expression refers to: ("var", ["name"], 7)."""
    if not isinstance(tree, Tree):
        return
    if tree.data == "expr_term" and len(parts(tree)) == 1 and isinstance(parts(tree)[0], Tree):
        term = parts(tree)[0]
        if term.data in ("identifier", "get_attr_expr_term", "index_expr_term", "full_splat_expr_term", "attr_splat_expr_term"):
            yield from _traversal(tree, bound)
            return
    if tree.data in ("for_tuple_expr", "for_object_expr"):
        intro = next(tree.find_data("for_intro"))
        names = frozenset(text_of(part) for part in parts(intro) if isinstance(part, Tree) and part.data == "identifier")
        # What is looped over does not see the loop's names.
        yield from references([p for p in parts(intro) if isinstance(p, Tree)][-1], bound)
        for part in parts(tree):
            if isinstance(part, Tree) and part.data != "for_intro":
                yield from references(part, bound | names)
        return
    if tree.data == "object_elem":
        key, *rest = [part for part in parts(tree) if isinstance(part, Tree)]
        if bare_key(key) is None:
            yield from references(key, bound)
        for part in rest:
            yield from references(part, bound)
        return
    if tree.data == "function_call":
        yield "()", [text_of(parts(tree)[0])], line_of(tree)
        for part in parts(tree)[1:]:
            yield from references(part, bound)
        return
    for part in parts(tree):
        yield from references(part, bound)


def bare_key(key: Tree) -> str | None:
    """`a` of `{ a = 1 }`, which is a text and not a reference."""
    inner = parts(key)[0]
    if isinstance(inner, Tree) and inner.data == "expr_term" and len(parts(inner)) == 1:
        inner = parts(inner)[0]
    return text_of(inner) if isinstance(inner, Tree) and inner.data in ("identifier", "keyword") else None


def _traversal(tree: Tree, bound):
    path, node = [], tree
    line = line_of(tree)
    while True:
        inner = parts(node)[0] if node.data == "expr_term" else node
        if isinstance(inner, Token):  # a parenthesis
            yield from references(parts(node)[1], bound)
            return
        if inner.data == "identifier":
            root = text_of(inner)
            if root not in bound:
                yield root, path, line
            return
        if inner.data not in ("get_attr_expr_term", "index_expr_term", "full_splat_expr_term", "attr_splat_expr_term"):
            yield from references(inner, bound)
            return
        base, step = parts(inner)
        if inner.data == "get_attr_expr_term":
            path.insert(0, text_of([p for p in parts(step) if isinstance(p, Tree)][0]))
        else:
            path.insert(0, "[]")
            yield from references(step, bound)
        node = base
