#!/usr/bin/env python3
"""Compares the table and the queues of the expanded template with those that the code makes itself, for the local stack and at a
queue's first job: shared/core/src/store/table.rs, shared/core/src/transport/queues.rs.

    check_table.py EXPANDED.json        (tools/check_template.sh makes the file, from template.yaml)
"""

import json
import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parents[1]


def of_code(text):
    """Attributes and indexes in table.rs."""
    constants = dict(re.findall(r'const (\w+): &str = "([^"]*)";', text))
    attributes = dict(re.findall(r'\("(\w+)", ScalarAttributeType::(\w)\)', text))
    indexes = {
        constants[name]: (partition, sort, sorted(re.findall(r'"(\w+)"', more)))
        for name, partition, sort, more in re.findall(r'\bindex\((\w+), "(\w+)", "(\w+)", &\[([^\]]*)\]\)', text)
    }
    ttl = re.search(r'TimeToLiveSpecification::builder\(\)\.attribute_name\("(\w+)"\)', text)[1]
    return {"attributes": attributes, "indexes": indexes, "ttl": ttl, "key": ("pk", "sk")}


def key_of(schema):
    """Partition and sort key."""
    keys = {key["KeyType"]: key["AttributeName"] for key in schema}
    return keys["HASH"], keys["RANGE"]


def of_template(table):
    """The same of the template's table."""
    indexes = {}
    for index in table["GlobalSecondaryIndexes"]:
        more = index["Projection"].get("NonKeyAttributes", [])
        kind = "INCLUDE" if more else "KEYS_ONLY"
        if index["Projection"]["ProjectionType"] != kind:
            raise ValueError(f"{index['IndexName']}: projection is not {kind}")
        indexes[index["IndexName"]] = (*key_of(index["KeySchema"]), sorted(more))
    return {
        "attributes": {a["AttributeName"]: a["AttributeType"] for a in table["AttributeDefinitions"]},
        "indexes": indexes,
        "ttl": table["TimeToLiveSpecification"]["AttributeName"],
        "key": key_of(table["KeySchema"]),
    }


def queue_problems(text, resources):
    """What differs between the template's queues and those of queues.rs."""
    retention = int(re.search(r'RETENTION_S: &str = "(\d+)"', text)[1])
    receives = int(re.search(r"MAX_RECEIVE_COUNT: u32 = ([\d_]+)", text)[1])
    for name, resource in resources.items():
        if resource["Type"] != "AWS::SQS::Queue":
            continue
        queue = resource["Properties"]
        if queue["MessageRetentionPeriod"] != retention:
            yield f"{name}: MessageRetentionPeriod is not {retention}"
        dead_letters = name.startswith("DeadLetter")
        if queue.get("RedrivePolicy", {}).get("maxReceiveCount") != (None if dead_letters else receives):
            yield f"{name}: maxReceiveCount is not that of queues.rs"
        for attribute in ("FifoQueue", "DeduplicationScope", "FifoThroughputLimit"):
            text_of = attribute in text and json.dumps(queue.get(attribute))
            if not text_of or "IsFifo" not in text_of:
                yield f"{name}: {attribute} is not set for FIFO queues, or not in queues.rs"


def main():
    resources = json.loads(pathlib.Path(sys.argv[1]).read_text(encoding="utf-8"))["Resources"]
    code = of_code((ROOT / "shared/core/src/store/table.rs").read_text(encoding="utf-8"))
    template = of_template(resources["Table"]["Properties"])
    different = [what for what in code if code[what] != template[what]]
    problems = [f"table, {what}: {template[what]}, but table.rs has {code[what]}" for what in different]
    # What was not found cannot differ.
    if len(code["attributes"]) < 2 or not code["indexes"]:
        problems.append("table.rs was not understood")
    problems += queue_problems((ROOT / "shared/core/src/transport/queues.rs").read_text(encoding="utf-8"), resources)
    print("\n".join(problems))
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
