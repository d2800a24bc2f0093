"""Whether the resources are what the template says, property by property."""

from . import describe
from .resolve import differences

# (type, property) → why it is not compared.
IGNORED = {
    ("AWS::Lambda::Function", "Code"): "Lambda does not keep where the code came from; that it runs shows that it is there",
    ("AWS::SecretsManager::Secret", "GenerateSecretString"): "not kept; the value itself is checked",
}


def look(aws, template, ids):
    """Describes every resource that has a physical id: logical id → (properties, attributes)."""
    seen = {}
    for name, resource in template["Resources"].items():
        look_at = describe.BY_ID.get(resource["Type"])
        if look_at and name in ids:
            seen[name] = look_at(aws, ids[name])
    return seen


def run(checks, aws, resources, ids, seen):
    """One check per resource. `resources` are (logical id, type, resolved properties)."""
    ignored = set()
    for name, kind, properties in resources:
        if name not in ids:
            checks.check(f"{kind} {name} exists", False, "the stack does not have it")
            continue
        if kind in describe.BY_PROPERTIES:
            try:
                actual, _ = describe.BY_PROPERTIES[kind](aws, ids[name], properties)
            except Exception as error:  # pylint: disable=broad-exception-caught
                checks.check(f"{kind} {name} exists", False, repr(error))
                continue
        elif name in seen:
            actual, _ = seen[name]
        else:
            checks.check(f"{kind} {name} can be described", False, "deploy_local/describe.py does not know this type")
            continue
        ignored |= {(kind, key) for key in properties if (kind, key) in IGNORED}
        wanted = {key: value for key, value in properties.items() if (kind, key) not in IGNORED}
        found = differences(wanted, actual)
        checks.check(f"{kind} {name} is as the template says", not found, "; ".join(found))
    for kind, key in sorted(ignored):
        print(f"note  {kind}.{key} is not compared: {IGNORED[kind, key]}", flush=True)
