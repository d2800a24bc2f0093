"""The AWS provider's schema, read from the generated JavaScript in PyPI's cdktn-provider-aws.

For each attribute that has `// name - computed: false, optional: true, required: false`, and for each class a list of
`name: { value: ..., isBlock: true, type: "list", storageClassType: "..." }`.
"""

from __future__ import annotations

import dataclasses
import functools
import pathlib
import re
import tarfile
import zipfile

CLASS = re.compile(r"^class (\w+) extends cdktn\.(\w+) \{$(.*?)^\}$", re.M | re.S)
ATTRIBUTE = re.compile(
    r"^    // (\w+) - computed: (true|false), optional: (true|false), required: (true|false)\n    (?:_\w+(?: = new (\w+)\()?)?", re.M
)
# One in a function of its own for each nested block, one in the resource's class.
FUNCTION = re.compile(r"^function (\w+)ToHclTerraform\(struct\) \{$(.*?)^\}$", re.M | re.S)
SYNTHESIZED = re.compile(r"^    synthesizeHclAttributes\(\) \{$(.*?)^    \}$", re.M | re.S)
ENTRY = re.compile(r"^ +(\w+): \{\n +value: .*\n +isBlock: (true|false),\n +type: \"(\w+)\",\n +storageClassType: \"(\w+)\",", re.M)


@dataclasses.dataclass
class Attribute:
    name: str
    computed: bool
    optional: bool
    required: bool
    is_block: bool
    # string, number, boolean, stringList, stringMap, ...; nothing for what can only be read
    type: str
    # simple, list, set, map or struct: how elements are kept
    shape: str
    # of a block
    inner: dict[str, Attribute] | None = None
    single: bool = False

    @property
    def settable(self):
        return self.optional or self.required


class Provider:
    def __init__(self, wheel: pathlib.Path):
        self.wheel = wheel
        self.version = None
        self._texts = {}

    def load(self, names):
        """Reads the folders of some resources; one pass over the archive."""
        wanted = {f"package/lib/{name}/index.js": name for name in names} | {"package/package.json": None}
        with zipfile.ZipFile(self.wheel) as wheel:
            (inner,) = (name for name in wheel.namelist() if name.endswith(".jsii.tgz"))
            with wheel.open(inner) as file, tarfile.open(fileobj=file, mode="r|gz") as archive:
                for entry in archive:
                    if entry.name not in wanted:
                        continue
                    text = archive.extractfile(entry).read().decode()
                    if wanted[entry.name] is None:
                        self.version = re.search(r'"provider": \{\s*"name": "[^"]*aws",\s*"version": "([0-9.]+)"', text)[1]
                    else:
                        self._texts[wanted[entry.name]] = text
        if self.version is None:
            raise ValueError(f"{self.wheel}: no provider version found")

    @functools.lru_cache(maxsize=None)  # noqa: B019 - lives as long as the program
    def schema(self, kind, type_):
        """A resource's attributes by name; None for one that the provider does not have."""
        text = self._texts.get(folder(kind, type_))
        if text is None:
            return None
        if f'tfResourceType = "{type_}"' not in text:
            raise ValueError(f"{folder(kind, type_)} is not {type_}")
        classes = {name: (base, body) for name, base, body in CLASS.findall(text)}
        functions = {name: _entries(body) for name, body in FUNCTION.findall(text)}
        bases = {"resource": "TerraformResource", "data": "TerraformDataSource", "ephemeral": "TerraformEphemeralResource"}
        (top,) = (name for name, (base, _) in classes.items() if base == bases[kind])
        synthesized = SYNTHESIZED.search(classes[top][1])
        found = _attributes(classes, functions, top, _entries(synthesized[1]) if synthesized else {})
        if not found:
            raise ValueError(f"{type_}: no attributes found; has the package's form changed?")
        return found


def folder(kind, type_):
    prefix = {"resource": "", "data": "data-aws-", "ephemeral": "ephemeral-aws-"}[kind]
    return prefix + type_.removeprefix("aws_").replace("_", "-")


def _entries(text):
    return {name: (is_block == "true", type_, storage) for name, is_block, type_, storage in ENTRY.findall(text)}


def _attributes(classes, functions, name, entries):
    found = {}
    for attribute, computed, optional, required, nested in ATTRIBUTE.findall(classes[name][1]):
        is_block, shape, storage = entries.get(attribute, (False, "simple", ""))
        made = Attribute(attribute, computed == "true", optional == "true", required == "true", is_block, storage, shape)
        if made.settable and attribute not in entries:
            raise ValueError(f"{name}.{attribute}: its kind is not known; has the package's form changed?")
        if is_block:
            struct = nested.removesuffix("OutputReference").removesuffix("List")
            function = struct[0].lower() + struct[1:]
            made.inner = _attributes(classes, functions, struct + "OutputReference", functions[function])
            # Where a block may come once only, the class holds one and no list.
            made.single = nested.endswith("OutputReference")
        found[attribute] = made
    return found
