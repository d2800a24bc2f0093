"""CloudFormation's intrinsic functions, as far as the template uses them. Standard library only.

The rehearsal compares what the emulator made with what the template says, and so has to know the template's values
itself: asking the emulator for them would only show that it agrees with itself.
"""

import re

NO_VALUE = object()
PLACEHOLDER = re.compile(r"\$\{([^!][^}]*)\}")


class Unknown(Exception):
    """A value that is not known here, such as an attribute of a resource that nobody has described."""


class Resolver:
    """Resolves values of one template against its parameters and what the resources turned out to be."""

    def __init__(self, template, parameters, pseudo, physical_ids, attributes):
        self.parameters = {}
        for name, definition in template.get("Parameters", {}).items():
            value = parameters.get(name, definition.get("Default", ""))
            if definition.get("Type") in ("CommaDelimitedList", "List<String>") and isinstance(value, str):
                value = [item.strip() for item in value.split(",")]
            self.parameters[name] = value
        self.conditions = template.get("Conditions", {})
        self.mappings = template.get("Mappings", {})
        self.pseudo = pseudo
        self.physical_ids = physical_ids
        self.attributes = attributes

    def ref(self, name):
        """What `Ref` answers."""
        if name == "AWS::NoValue":
            return NO_VALUE
        for known in (self.pseudo, self.parameters, self.physical_ids):
            if name in known:
                return known[name]
        raise Unknown(f"Ref {name}")

    def attribute(self, name, attribute):
        """What `Fn::GetAtt` answers."""
        try:
            return self.attributes[name][attribute]
        except KeyError:
            raise Unknown(f"{name}.{attribute}") from None

    def condition(self, value):
        """Whether a condition, by name or written out, holds."""
        if isinstance(value, str):
            return self.condition(self.conditions[value])
        (function, argument), = value.items()
        if function == "Condition":
            return self.condition(argument)
        if function == "Fn::Equals":
            left, right = (self.value(item) for item in argument)
            return str(left) == str(right)
        if function == "Fn::Not":
            return not self.condition(argument[0])
        if function == "Fn::And":
            return all(self.condition(item) for item in argument)
        if function == "Fn::Or":
            return any(self.condition(item) for item in argument)
        raise Unknown(function)

    def substitute(self, argument):
        """What `Fn::Sub` answers."""
        text, names = argument if isinstance(argument, list) else (argument, {})

        def fill(match):
            name = match[1].strip()
            if name in names:
                return str(self.value(names[name]))
            resource, dot, attribute = name.partition(".")
            return str(self.attribute(resource, attribute) if dot else self.ref(name))

        return PLACEHOLDER.sub(fill, text).replace("${!", "${")

    def function(self, function, argument):
        """The value of one intrinsic function."""
        if function == "Ref":
            return self.ref(argument)
        if function == "Fn::GetAtt":
            path = argument if isinstance(argument, list) else argument.split(".", 1)
            return self.attribute(path[0], ".".join(path[1:]))
        if function == "Fn::Sub":
            return self.substitute(argument)
        if function == "Fn::If":
            return self.value(argument[1] if self.condition(argument[0]) else argument[2])
        if function == "Fn::Join":
            return argument[0].join(str(item) for item in self.value(argument[1]))
        if function == "Fn::Split":
            return self.value(argument[1]).split(argument[0])
        if function == "Fn::Select":
            return self.value(argument[1])[int(self.value(argument[0]))]
        if function == "Fn::FindInMap":
            table, first, second = (self.value(item) for item in argument[:3])
            return self.value(self.mappings[table][first][second])
        raise Unknown(function)

    def value(self, value):
        """The value with everything in it resolved; members that resolve to nothing are left out."""
        if isinstance(value, dict):
            if len(value) == 1:
                (function, argument), = value.items()
                if function == "Ref" or function.startswith("Fn::"):
                    return self.function(function, argument)
            members = ((key, self.value(item)) for key, item in value.items())
            return {key: item for key, item in members if item is not NO_VALUE}
        if isinstance(value, list):
            return [item for item in map(self.value, value) if item is not NO_VALUE]
        return value

    def resources(self, template):
        """(logical id, type, properties) of the resources whose condition holds."""
        for name, resource in template["Resources"].items():
            if "Condition" not in resource or self.condition(resource["Condition"]):
                yield name, resource["Type"], resource.get("Properties", {})


def differences(expected, actual, path=""):
    """Where `actual` does not have what `expected` has, as texts; what it has beyond that does not matter.

    CloudFormation takes numbers and booleans as texts too; the order of lists is kept by no service that is used here.
    """
    if isinstance(expected, dict):
        if not isinstance(actual, dict):
            return [f"{path}: {expected!r} expected, got {actual!r}"]
        found = []
        for key, value in expected.items():
            where = f"{path}.{key}" if path else key
            found += differences(value, actual[key], where) if key in actual else [f"{where}: missing ({value!r})"]
        return found
    if isinstance(expected, list):
        if not isinstance(actual, list) or len(actual) != len(expected):
            return [f"{path}: {expected!r} expected, got {actual!r}"]
        left, found = list(actual), []
        for value in expected:
            match = next((item for item in left if not differences(value, item, path)), None)
            if match is None:
                found.append(f"{path}: {value!r} expected among {actual!r}")
            else:
                left.remove(match)
        return found
    if text(expected) != text(actual):
        return [f"{path}: {expected!r} expected, got {actual!r}"]
    return []


def text(value):
    """A scalar as CloudFormation compares it."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value)
