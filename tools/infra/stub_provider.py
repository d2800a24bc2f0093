"""A Terraform provider with the AWS provider's schema and no AWS behind it: what is asked for is there at once, with made-up ids.

Terraform itself then checks types and references, evaluates everything, and plans and applies. What only the real provider
and AWS check (values of arguments, arguments that exclude each other, rights, quotas) is not checked.
"""

from __future__ import annotations

import concurrent.futures
import json
import os
import pathlib
import re
import sys

import grpc
import msgpack

from . import place
from .provider import Provider

UNKNOWN = msgpack.ExtType(0, b"\0")
SIMPLE = {"string": "string", "number": "number", "boolean": "bool", "any": "string", "": "string"}
ADDRESS = "registry.terraform.io/hashicorp/aws"


def messages():
    """The protocol's modules, compiled from plugin.proto."""
    sys.path.insert(0, str(pathlib.Path(__file__).parent))
    return grpc.protos_and_services("plugin.proto")


class Stub:
    """Answers Terraform's calls. `used` are (kind, type) of the resources that there are."""

    def __init__(self, provider: Provider, used):
        self.pb, self.services = messages()
        self.schemas = {(kind, type_): provider.schema(kind, type_) for kind, type_ in used}

    def start(self, socket: pathlib.Path):
        """Serves; answers the value of TF_REATTACH_PROVIDERS."""
        server = grpc.server(concurrent.futures.ThreadPoolExecutor(8))
        self.services.add_ProviderServicer_to_server(self, server)
        server.add_insecure_port(f"unix:{socket}")
        server.start()
        address = {"Network": "unix", "String": str(socket)}
        return server, json.dumps({ADDRESS: {"Protocol": "grpc", "ProtocolVersion": 6, "Pid": os.getpid(), "Test": True, "Addr": address}})

    # ---- Schema

    def GetProviderSchema(self, _request, _context):
        answer = self.pb.Schemas()
        answer.provider.block.attributes.add(name="region", type=b'"string"', optional=True)
        for (kind, type_), attributes in self.schemas.items():
            getattr(answer, kind)[type_].block.CopyFrom(self._block(attributes))
        return answer

    def _block(self, attributes):
        block = self.pb.Schema.Block()
        for a in attributes.values():
            if not a.is_block:
                block.attributes.add(
                    name=a.name,
                    type=json.dumps(cty(a)).encode(),
                    required=a.required,
                    optional=a.optional,
                    computed=a.computed,
                    write_only=is_write_only(a),
                )
                continue
            nesting = {"struct": 1 if a.name == "timeouts" else 2, "list": 2, "set": 3}[a.shape]
            block.block_types.add(
                type_name=a.name,
                block=self._block(a.inner),
                nesting=nesting,
                min_items=int(a.required and nesting != 1),
                max_items=int(a.single and nesting != 1),
            )
        return block

    # ---- What Terraform asks on the way

    def _nothing(self, _request, _context):
        return self.pb.Empty()

    ValidateProviderConfig = ConfigureProvider = ValidateDataResourceConfig = _nothing
    ValidateEphemeralResourceConfig = CloseEphemeralResource = StopProvider = _nothing

    def ValidateResourceConfig(self, request, _context):
        """Terraform leaves to the provider that what it makes is not set."""
        found = set_and_read_only(self.schemas["resource", request.type_name], read(request.config))
        return self.pb.Validated(diagnostics=[self.pb.Diagnostic(severity=1, summary=f"{name} can only be read") for name in found])

    def UpgradeResourceState(self, request, _context):
        return self.pb.State(state=self.pb.DynamicValue(json=request.raw_state.json))

    def ReadResource(self, request, _context):
        return self.pb.State(state=request.current_state)

    def PlanResourceChange(self, request, _context):
        value = read(request.proposed_new_state)
        if value is not None:
            new = read(request.prior_state) is None
            value = fill(self.schemas["resource", request.type_name], value, lambda _: UNKNOWN if new else None)
        return self.pb.Planned(planned_state=self._write(value), legacy_type_system=True)

    def ApplyResourceChange(self, request, _context):
        value = read(request.planned_state)
        if value is not None:
            value = self._made("resource", request.type_name, value)
        return self.pb.Applied(new_state=self._write(value), legacy_type_system=True)

    def ReadDataSource(self, request, _context):
        return self.pb.State(state=self._write(self._made("data", request.type_name, read(request.config))))

    def OpenEphemeralResource(self, request, _context):
        return self.pb.Opened(result=self._write(self._made("ephemeral", request.type_name, read(request.config))))

    def _made(self, kind, type_, value):
        """With ids: those of place.py, and nothing for what nobody may refer to."""
        shown = Shown(type_, value)

        def make(attribute):
            try:
                return place.computed(shown, attribute.name)
            except LookupError:
                return None

        return fill(self.schemas[kind, type_], value, make)

    def _write(self, value):
        return self.pb.DynamicValue(msgpack=msgpack.packb(value, default=str))


class Shown:
    """What place.computed wants of a resource."""

    def __init__(self, type_, value):
        self.type, self.value, self.block = type_, value, self
        self.address = type_

    def attribute(self, name):
        return self.value[name]

    def settings(self):
        return strip(self.value)


def strip(value):
    """Without what is not set."""
    if isinstance(value, dict):
        return {k: strip(v) for k, v in value.items() if v is not None and v != [] and not isinstance(v, msgpack.ExtType)}
    return [strip(v) for v in value] if isinstance(value, list) else value


def cty(attribute):
    """The type as Terraform writes it."""
    if attribute.type in SIMPLE:
        return SIMPLE[attribute.type]
    match = re.fullmatch(r"(string|number|boolean|any)(List|Map)", attribute.type)
    if not match:
        raise ValueError(f"{attribute.name}: unknown type {attribute.type}")
    return ["map" if match[2] == "Map" else attribute.shape, SIMPLE[match[1]]]


def set_and_read_only(attributes, value):
    """Names of what is set and only the provider may set."""
    for a in attributes.values():
        given = value.get(a.name)
        if a.is_block:
            for block in given if isinstance(given, list) else []:
                yield from set_and_read_only(a.inner, block)
        elif given is not None and not a.settable:
            yield a.name


def is_write_only(attribute):
    return attribute.name.endswith("_wo") and attribute.settable


def fill(attributes, value, make):
    """`value` with what the provider computes: where nothing, or nothing known, is there."""
    for a in attributes.values():
        given = value.get(a.name)
        if a.is_block:
            if isinstance(given, list):
                value[a.name] = [fill(a.inner, block, make) for block in given]
        elif is_write_only(a):
            value[a.name] = None
        elif isinstance(given, msgpack.ExtType) or (given is None and a.computed):
            value[a.name] = make(a)
    return value


def read(dynamic):
    return msgpack.unpackb(dynamic.msgpack, strict_map_key=False) if dynamic.msgpack else None
