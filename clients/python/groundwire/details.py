"""Reading google.rpc error details without the package that ships their classes.

The messages are declared in a descriptor pool of their own, so nothing clashes when
googleapis-common-protos is installed too. Only fields that are read are declared: protobuf
skips the others. See google/rpc/status.proto and google/rpc/error_details.proto.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from google.protobuf.descriptor_pb2 import FieldDescriptorProto, FileDescriptorProto
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message import DecodeError
from google.protobuf.message_factory import GetMessageClass

TRAILER = "grpc-status-details-bin"
PACKAGE = "google.rpc"

# Message -> its fields: name, number, and scalar type or the message that it holds. The
# names ending in [] repeat. A map is, on the wire, a repeated entry of key and value.
SHAPES: Mapping[str, tuple[tuple[str, int, int | str], ...]] = {
    "Any": (
        ("type_url", 1, FieldDescriptorProto.TYPE_STRING),
        ("value", 2, FieldDescriptorProto.TYPE_BYTES),
    ),
    "Status": (("details[]", 3, "Any"),),
    "FieldViolation": (
        ("field", 1, FieldDescriptorProto.TYPE_STRING),
        ("description", 2, FieldDescriptorProto.TYPE_STRING),
    ),
    "BadRequest": (("field_violations[]", 1, "FieldViolation"),),
    "Entry": (
        ("key", 1, FieldDescriptorProto.TYPE_STRING),
        ("value", 2, FieldDescriptorProto.TYPE_STRING),
    ),
    "ErrorInfo": (
        ("reason", 1, FieldDescriptorProto.TYPE_STRING),
        ("metadata[]", 3, "Entry"),
    ),
    "Duration": (
        ("seconds", 1, FieldDescriptorProto.TYPE_INT64),
        ("nanos", 2, FieldDescriptorProto.TYPE_INT32),
    ),
    "RetryInfo": (("retry_delay", 1, "Duration"),),
}


@dataclass(frozen=True, slots=True)
class FieldViolation:
    """One field of the request that was wrong."""

    field: str
    """Path of the field, e.g. ``records[3].vector``."""
    description: str
    """What was wrong and what is allowed."""


@dataclass(frozen=True, slots=True)
class ErrorDetails:
    """What a server says about a failure beyond its status and message."""

    reason: str = ""
    metadata: Mapping[str, str] = field(default_factory=dict)
    violations: tuple[FieldViolation, ...] = ()
    retry_after: float | None = None


def decode(trailers: Iterable[Any]) -> ErrorDetails:
    """The details in a call's trailing metadata. What cannot be read is left out."""
    found = ErrorDetails()
    for key, value in trailers:
        if key == TRAILER and isinstance(value, bytes):
            for packed in _parse("Status", value).details:
                found = _with(found, packed.type_url.rpartition(".")[2], packed.value)
    return found


def _with(found: ErrorDetails, name: str, value: bytes) -> ErrorDetails:
    match name:
        case "ErrorInfo":
            info = _parse(name, value)
            metadata = {entry.key: entry.value for entry in info.metadata}
            return replace(found, reason=info.reason, metadata=metadata)
        case "BadRequest":
            wrong = _parse(name, value).field_violations
            violations = tuple(FieldViolation(one.field, one.description) for one in wrong)
            return replace(found, violations=violations)
        case "RetryInfo":
            delay = _parse(name, value).retry_delay
            return replace(found, retry_after=delay.seconds + delay.nanos / 1e9)
    return found


def _parse(name: str, data: bytes) -> Any:
    message = CLASSES[name]()
    try:
        message.ParseFromString(data)
    except DecodeError:
        # A proxy on the way mangled it: the status and the message still stand.
        return CLASSES[name]()
    return message


def _declare() -> dict[str, type[Any]]:
    file = FileDescriptorProto(name="groundwire/details.proto", package=PACKAGE, syntax="proto3")
    for name, fields in SHAPES.items():
        message = file.message_type.add(name=name)
        for label, number, kind in fields:
            declared = message.field.add(name=label.removesuffix("[]"), number=number)
            declared.label = (
                FieldDescriptorProto.LABEL_REPEATED
                if label.endswith("[]")
                else FieldDescriptorProto.LABEL_OPTIONAL
            )
            if isinstance(kind, str):
                declared.type = FieldDescriptorProto.TYPE_MESSAGE
                declared.type_name = f".{PACKAGE}.{kind}"
            else:
                declared.type = FieldDescriptorProto.Type.ValueType(kind)
    pool = DescriptorPool()
    pool.Add(file)
    return {
        name: GetMessageClass(pool.FindMessageTypeByName(f"{PACKAGE}.{name}")) for name in SHAPES
    }


CLASSES = _declare()
