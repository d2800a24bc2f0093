"""What the Rust sources read, write and make, for check_contract.py; table and queues in the model's words (model.py)."""

import pathlib
import re
import tomllib

ROOT = pathlib.Path(__file__).resolve().parents[2]
# An attribute of the table in the sources: "dup", PK, or job::DUE_PARTITION.
NAME = r'("\w+"|[\w:]+)'


class Code:
    def __init__(self, root=ROOT):
        self.root = root
        emf = self._text("shared/telemetry/src/emf.rs").partition("#[cfg(test)]")[0]
        self.namespace = re.search(r'NAMESPACE: &str = "(\w+)"', emf)[1]
        self.metrics = set(re.findall(r'\((?:names::\w+|"\w+"), "([A-Z]\w+)"', emf))
        manifests = [tomllib.loads(file.read_text(encoding="utf-8")) for file in root.glob("functions/*/Cargo.toml")]
        self.programs = {program["name"] for manifest in manifests for program in manifest.get("bin", [])}
        shared = self._capitals("shared/*/src")
        self.variables = {program: shared | self._capitals(f"functions/{program}/src") for program in self.programs}
        self.table, self.queue = self._table(), self._queue()
        if not self.metrics or not self.programs or not self.table["GlobalSecondaryIndexes"]:
            raise ValueError("the Rust sources were not understood")

    def _text(self, path):
        return (self.root / path).read_text(encoding="utf-8")

    def _capitals(self, folders):
        """Texts in capitals outside tests: names of environment variables are among them."""
        files = [file for folder in self.root.glob(folders) for file in folder.rglob("*.rs")]
        text = "".join(file.read_text(encoding="utf-8").partition("#[cfg(test)]")[0] for file in files)
        # That one is read by a library.
        return set(re.findall(r'"([A-Z][A-Z0-9_]+)"', text)) | ({"RUST_LOG"} if "try_from_default_env" in text else set())

    def _attributes(self):
        """Constant → the attribute that it names; those of an item kind are written with their module (job::STATE)."""
        found = {}
        for file in self.root.glob("shared/core/src/store/*/attributes.rs"):
            for name, value in re.findall(r'\b([A-Z_]+)(?:: Attribute)? = (?:Attribute\()?"(\w+)"', file.read_text(encoding="utf-8")):
                found[f"{file.parent.name}::{name}"] = found[name] = value
        return found

    def _table(self):
        """Keys, indexes and TTL in table.rs."""
        text = self._text("shared/core/src/store/table.rs")
        constants = self._attributes() | dict(re.findall(r'const (\w+): &str = "([^"]*)";', text))
        aliases = dict(re.findall(r"const (\w+): Attribute = ([\w:]+);", text))
        lists = dict(re.findall(r"const (\w+): \[Attribute; \d+\] = \[([^\]]*)\]", text))

        def name(word):
            return word.strip('"') if word.startswith('"') else constants[aliases.get(word, word)]

        def keys(partition, sort):
            return {kind: {"AttributeName": name(word), "KeyType": kind} for kind, word in (("HASH", partition), ("RANGE", sort))}

        def projection(more):
            names = sorted(name(word) for word in re.findall(NAME, lists.get(more, more)))
            return {"ProjectionType": "INCLUDE", "NonKeyAttributes": names} if names else {"ProjectionType": "KEYS_ONLY"}

        types = {name(word): kind for word, kind in re.findall(rf"\({NAME}, ScalarAttributeType::(\w)\)", text)}
        indexes = {
            constants[index]: {"IndexName": constants[index], "KeySchema": keys(*words), "Projection": projection(more)}
            for index, *words, more in re.findall(rf"\bindex\((\w+), {NAME}, {NAME}, &(\w+|\[[^\]]*\])\)", text)
        }
        ttl = re.search(rf"TimeToLiveSpecification::builder\(\)\.attribute_name\({NAME}", text)[1]
        return {
            "AttributeDefinitions": {attribute: {"AttributeName": attribute, "AttributeType": kind} for attribute, kind in types.items()},
            "KeySchema": keys(*re.search(rf"Some\(key_schema\({NAME}, {NAME}\)", text).groups()),
            "GlobalSecondaryIndexes": indexes,
            "TimeToLiveSpecification": {"AttributeName": name(ttl), "Enabled": True},
        }

    def _queue(self):
        """What queues.rs gives to a queue that it makes."""
        text = self._text("shared/core/src/transport/queues.rs")
        fifo = {"DeduplicationScope": "messageGroup", "FifoThroughputLimit": "perMessageGroupId"}
        if missing := [word for pair in fifo.items() for word in pair if word not in text]:
            raise ValueError(f"queues.rs does not have {missing}")
        retention = re.search(r'RETENTION_S: &str = "(\d+)"', text)[1]
        receives = re.search(r"MAX_RECEIVE_COUNT: u32 = ([\d_]+)", text)[1]
        return {"retention": int(retention), "receives": int(receives), "fifo": fifo}
