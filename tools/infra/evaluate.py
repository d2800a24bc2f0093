"""Evaluates a Terraform module with given variables: what `terraform plan` would know, with made-up ids for the rest.

Only what terraform/ uses of the language is there; anything else is an error, never a guess.
"""

from __future__ import annotations

import json
import math
import re

from lark import Tree

from . import hcl, place

ESCAPES = {"n": "\n", "r": "\r", "t": "\t", '"': '"', "\\": "\\"}


class EvaluationError(Exception):
    pass


class Ephemeral(str):
    """A value that Terraform keeps nowhere."""


class Module:
    def __init__(self, blocks, folder, variables=None):
        self.folder = folder
        self.variables = {b.labels[0]: b for b in blocks if b.kind == "variable"}
        self.locals = {name: tree for b in blocks if b.kind == "locals" for name, tree in b.attributes.items()}
        self.outputs = {b.labels[0]: b for b in blocks if b.kind == "output"}
        self.resources = {b.address: Resource(self, b) for b in blocks if b.kind in ("resource", "data", "ephemeral")}
        self.given = variables or {}
        if unknown := self.given.keys() - self.variables.keys():
            raise EvaluationError(f"unknown variables {sorted(unknown)}")
        self._values, self._under_way = {}, set()

    def variable(self, name):
        if name not in self.variables:
            raise EvaluationError(f"var.{name} is not declared")
        if name in self.given:
            return self.given[name]
        block = self.variables[name]
        return convert(Scope(self).value(block.attributes["default"]), hcl_type(block.attributes["type"]))

    def refused(self, name):
        """The error messages of a variable's validations that its value does not pass."""
        scope = Scope(self)
        return [
            scope.value(block.attributes["error_message"])
            for block in self.variables[name].nested("validation")
            if not scope.value(block.attributes["condition"])
        ]

    def local(self, name):
        if name not in self.locals:
            raise EvaluationError(f"local.{name} is not declared")
        if name not in self._values:
            if name in self._under_way:
                raise EvaluationError(f"local.{name} refers to itself")
            self._under_way.add(name)
            self._values[name] = Scope(self).value(self.locals[name])
            self._under_way.discard(name)
        return self._values[name]

    def output(self, name):
        return Scope(self).value(self.outputs[name].attributes["value"])

    def instances(self):
        """(address, instance) of all managed resources."""
        for address, resource in self.resources.items():
            if resource.block.kind == "resource":
                for key, instance in resource.instances().items():
                    yield address if key is None else f"{address}[{json.dumps(key)}]", instance


class Resource:
    """A resource block: one instance, or some by `count` or `for_each`."""

    def __init__(self, module, block):
        self.module, self.block, self._instances = module, block, None

    def instances(self):
        if self._instances is None:
            attributes, scope = self.block.attributes, Scope(self.module)
            if "count" in attributes:
                keys = {i: None for i in range(scope.value(attributes["count"]))}
            elif "for_each" in attributes:
                over = scope.value(attributes["for_each"])
                if not isinstance(over, (dict, frozenset)):
                    raise EvaluationError(f"{self.block.address}: for_each must be a map or a set, not {over!r}")
                keys = over if isinstance(over, dict) else {item: item for item in over}
            else:
                keys = None
            if keys is None:
                self._instances = {None: Instance(self, Scope(self.module))}
            else:
                self._instances = {
                    key: Instance(self, Scope(self.module, {"each": {"key": key, "value": value}}))
                    for key, value in keys.items()
                }
        return self._instances

    def value(self):
        instances = self.instances()
        if None in instances:
            return instances[None]
        return list(instances.values()) if "count" in self.block.attributes else instances


class Instance:
    """One resource. Attributes are evaluated when they are asked for, since others may refer to them."""

    META = frozenset({"count", "for_each", "depends_on", "provider", "lifecycle"})

    def __init__(self, resource, scope):
        self.block, self.scope = resource.block, scope

    @property
    def type(self):
        return self.block.labels[0]

    def attribute(self, name):
        if name in self.block.attributes:
            return self.scope.value(self.block.attributes[name])
        return place.computed(self, name)

    def settings(self):
        """All that is set: attributes that are not null, and blocks as lists."""
        return self._settings(self.block, self.scope)

    def _settings(self, block, scope):
        found = {name: scope.value(tree) for name, tree in block.attributes.items() if name not in self.META}
        for nested in block.blocks:
            if nested.kind in self.META:
                continue
            if nested.kind != "dynamic":
                found.setdefault(nested.kind, []).append(self._settings(nested, scope))
                continue
            (kind,), (content,) = nested.labels, nested.nested("content")
            over = scope.value(nested.attributes["for_each"])
            pairs = over.items() if isinstance(over, dict) else [(item, item) for item in over]
            for key, value in pairs:
                inner = Scope(scope.module, scope.names | {kind: {"key": key, "value": value}})
                found.setdefault(kind, []).append(self._settings(content, inner))
        return {name: value for name, value in found.items() if value is not None}


class Scope:
    """What an expression may refer to."""

    def __init__(self, module, names=None):
        self.module, self.names = module, names or {}

    def value(self, tree):
        method = getattr(self, f"_{tree.data}", None)
        if method is None:
            raise EvaluationError(f"line {hcl.line_of(tree)}: cannot evaluate {tree.data}")
        return method(tree)

    # ---- Literals

    def _expr_term(self, tree):
        found = [part for part in hcl.parts(tree) if isinstance(part, Tree)]
        (inner,) = found
        return self.value(inner)

    def _literal_value(self, tree):
        return {"true": True, "false": False, "null": None}[hcl.text_of(tree)]

    def _int_lit(self, tree):
        return int(hcl.text_of(tree))

    def _float_lit(self, tree):
        return float(hcl.text_of(tree))

    def _string(self, tree):
        pieces, ephemeral = [], False
        for part in hcl.parts(tree):
            if not isinstance(part, Tree):
                continue  # a quote
            (inner,) = hcl.parts(part)
            if isinstance(inner, Tree):
                if inner.data != "interpolation":
                    raise EvaluationError(f"cannot evaluate {inner.data}")
                (expression,) = (p for p in hcl.parts(inner) if isinstance(p, Tree))
                value = self.value(expression)
                ephemeral |= isinstance(value, Ephemeral)
                pieces.append(to_string(value))
            elif inner.type in ("ESCAPED_INTERPOLATION", "ESCAPED_DIRECTIVE"):
                pieces.append(str(inner)[1:])
            else:
                pieces.append(unescape(str(inner)))
        return Ephemeral("".join(pieces)) if ephemeral else "".join(pieces)

    def _tuple(self, tree):
        return [self.value(part) for part in hcl.parts(tree) if isinstance(part, Tree)]

    def _object(self, tree):
        found = {}
        for element in hcl.parts(tree):
            if isinstance(element, Tree):
                key, value = (part for part in hcl.parts(element) if isinstance(part, Tree))
                bare = hcl.bare_key(key)
                found[bare if bare is not None else to_string(self.value(hcl.parts(key)[0]))] = self.value(value)
        return found

    # ---- References

    def _identifier(self, tree):
        name = hcl.text_of(tree)
        if name in self.names:
            return self.names[name]
        if name in ("var", "local", "data", "ephemeral", "path"):
            return Namespace(self.module, name)
        if any(address.split(".")[0] == name for address in self.module.resources):
            return Namespace(self.module, name)
        raise EvaluationError(f"line {hcl.line_of(tree)}: {name} is not declared")

    def _get_attr_expr_term(self, tree):
        base, step = hcl.parts(tree)
        name = hcl.text_of([part for part in hcl.parts(step) if isinstance(part, Tree)][0])
        return member(self.value(base), name)

    def _index_expr_term(self, tree):
        base, step = hcl.parts(tree)
        (key,) = (part for part in hcl.parts(step) if isinstance(part, Tree))
        return member(self.value(base), self.value(key))

    # ---- Operators

    def _conditional(self, tree):
        condition, yes, no = (part for part in hcl.parts(tree) if isinstance(part, Tree))
        return self.value(yes) if self.value(condition) else self.value(no)

    def _unary_op(self, tree):
        operator, operand = hcl.parts(tree)
        value = self.value(operand)
        return not value if str(operator) == "!" else -value

    def _binary_op(self, tree):
        left, term = hcl.parts(tree)
        operator, right = hcl.parts(term)
        operator = hcl.text_of(operator)
        a = self.value(left)
        # Terraform looks at both sides of && and ||: a null there is an error.
        b = self.value(right)
        if operator not in ("==", "!=") and (a is None or b is None):
            raise EvaluationError(f"line {hcl.line_of(tree)}: null {operator}")
        operators = {
            "==": lambda: a == b, "!=": lambda: a != b, "&&": lambda: a and b, "||": lambda: a or b,
            "<": lambda: a < b, ">": lambda: a > b, "<=": lambda: a <= b, ">=": lambda: a >= b,
            "+": lambda: a + b, "-": lambda: a - b, "*": lambda: a * b, "/": lambda: a / b, "%": lambda: a % b,
        }
        return operators[operator]()

    # ---- Loops

    def _loop(self, tree):
        """Yields a scope for each round whose condition holds."""
        intro = next(tree.find_data("for_intro"))
        trees = [part for part in hcl.parts(intro) if isinstance(part, Tree)]
        names, over = [hcl.text_of(part) for part in trees[:-1]], self.value(trees[-1])
        conditions = [part for part in hcl.parts(tree) if isinstance(part, Tree) and part.data == "for_cond"]
        if isinstance(over, dict):
            pairs = sorted(over.items())
        elif isinstance(over, frozenset):
            pairs = [(item, item) for item in sorted(over)]
        else:
            pairs = list(enumerate(over))
        for key, value in pairs:
            values = [value] if len(names) == 1 else [key, value]
            scope = Scope(self.module, self.names | dict(zip(names, values, strict=True)))
            if all(scope.value([p for p in hcl.parts(c) if isinstance(p, Tree)][-1]) for c in conditions):
                yield scope

    def _for_tuple_expr(self, tree):
        (body,) = _loop_bodies(tree)
        return [scope.value(body) for scope in self._loop(tree)]

    def _for_object_expr(self, tree):
        key, value = _loop_bodies(tree)
        found = {}
        for scope in self._loop(tree):
            name = to_string(scope.value(key))
            if name in found:
                raise EvaluationError(f"line {hcl.line_of(tree)}: two values for {name}")
            found[name] = scope.value(value)
        return found

    # ---- Functions

    def _function_call(self, tree):
        name, *rest = hcl.parts(tree)
        arguments = [part for a in rest if isinstance(a, Tree) for part in hcl.parts(a) if isinstance(part, Tree)]
        name = hcl.text_of(name)
        if name == "can":
            try:
                self.value(arguments[0])
            except EvaluationError:
                return False
            return True
        if name == "templatefile":
            return self._templatefile(*(self.value(argument) for argument in arguments))
        if name not in FUNCTIONS:
            raise EvaluationError(f"line {hcl.line_of(tree)}: unknown function {name}")
        return FUNCTIONS[name](*(self.value(argument) for argument in arguments))

    def _templatefile(self, path, names):
        text = (self.module.folder / path.removeprefix("./")).read_text(encoding="utf-8")
        used = set(re.findall(r"\$\{([^}]*)\}", text))
        if used != names.keys():
            raise EvaluationError(f"{path}: {sorted(used ^ names.keys())} only in one of file and arguments")
        return re.sub(r"\$\{([^}]*)\}", lambda match: to_string(names[match[1]]), text)


def _loop_bodies(tree):
    return [p for p in hcl.parts(tree) if isinstance(p, Tree) and p.data not in ("for_intro", "for_cond")]


class Namespace:
    """`var`, `data.aws_region` and the like: a prefix of addresses."""

    def __init__(self, module, prefix):
        self.module, self.prefix = module, prefix

    def attribute(self, name):
        if self.prefix == "var":
            return self.module.variable(name)
        if self.prefix == "local":
            return self.module.local(name)
        if self.prefix == "path":
            return {"module": "."}[name]
        address = f"{self.prefix}.{name}"
        if address in self.module.resources:
            return self.module.resources[address].value()
        if any(known.startswith(address + ".") for known in self.module.resources):
            return Namespace(self.module, address)
        raise EvaluationError(f"{address} is not declared")


def member(value, key):
    if isinstance(value, (Namespace, Instance)):
        return value.attribute(key)
    try:
        return value[key]
    except (KeyError, IndexError, TypeError) as error:
        raise EvaluationError(f"{value!r} has no {key!r}") from error


def to_string(value):
    if value is None or isinstance(value, (list, dict, frozenset, Instance, Namespace)):
        raise EvaluationError(f"{value!r} is not a text")
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)


def unescape(text):
    return re.sub(r"\\(.)", lambda match: ESCAPES[match[1]], text)


def hcl_type(tree):
    return hcl.text_of(tree).replace(" ", "")


def convert(value, type_):
    if value is None:
        return None
    if type_.startswith("set("):
        return frozenset(value)
    kinds = {"string": str, "bool": bool, "number": (int, float)}
    expected = kinds.get(type_, (list, dict))
    if not isinstance(value, expected) or (type_ == "number" and isinstance(value, bool)):
        raise EvaluationError(f"{value!r} is not a {type_}")
    return value


def _regex(pattern, text):
    # Terraform's engine has no lookaround, and can() would turn that error into a false.
    if "(?=" in pattern or "(?!" in pattern or "(?<" in pattern:
        raise ValueError(f"RE2 does not know the lookaround in {pattern}")
    # Python's $ also matches before a last line break.
    if (found := re.search(re.sub(r"\$(?=$|\|)", r"\\Z", pattern), text)) is None:
        raise EvaluationError(f"{text!r} does not match {pattern}")
    return found[0]


def _coalesce(*values):
    for value in values:
        if value not in (None, ""):
            return value
    raise EvaluationError("coalesce found nothing")


def _one(values):
    if len(values) > 1:
        raise EvaluationError("one() of several values")
    return next(iter(values), None)


def _lookup(value, key, default):
    return value.get(key, default)


def _merge(*maps):
    merged = {}
    for part in maps:
        merged |= part
    return merged


FUNCTIONS = {
    "alltrue": all,
    "coalesce": _coalesce,
    "contains": lambda values, value: value in values,
    "endswith": lambda text, suffix: text.endswith(suffix),
    "filebase64sha256": lambda path: f"sha256 of {path}",
    "floor": math.floor,
    "jsondecode": json.loads,
    "jsonencode": lambda value: json.dumps(value),
    "length": len,
    "lookup": _lookup,
    "merge": _merge,
    "one": _one,
    "regex": _regex,
    "toset": lambda values: frozenset(values),
    "tostring": to_string,
}
