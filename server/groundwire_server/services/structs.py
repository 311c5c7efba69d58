"""JSON objects: ``google.protobuf.Struct`` <-> ``dict``.

Numbers of a Struct are doubles and stay floats, so that none changes its value on the way in
or out.
"""

from __future__ import annotations

import math

from google.protobuf.struct_pb2 import Struct, Value
from groundwire_index.errors import InvalidArgumentError
from groundwire_index.records import JsonValue, Metadata

# Beyond it, not every whole number is a double.
_LARGEST_WHOLE = 2**53


def dict_of(struct: Struct, field: str) -> dict[str, JsonValue]:
    """Read an object. Raises InvalidArgumentError for a value that JSON does not have."""
    return {key: value_of(value, f"{field}.{key}") for key, value in struct.fields.items()}


def value_of(value: Value, field: str) -> JsonValue:
    """Read any value. Raises InvalidArgumentError for NaN, infinities and a value not set."""
    match value.WhichOneof("kind"):
        case "string_value":
            return value.string_value
        case "number_value":
            return _finite(value.number_value, field)
        case "bool_value":
            return value.bool_value
        case "struct_value":
            return dict_of(value.struct_value, field)
        case "list_value":
            items = enumerate(value.list_value.values)
            return [value_of(item, f"{field}[{number}]") for number, item in items]
        case "null_value":
            return None
    raise InvalidArgumentError(field, "is not set: give a JSON value, or null")


def with_whole_numbers(value: JsonValue) -> JsonValue:
    """The same value with ``int`` for every number that is whole, for those who tell them apart."""
    match value:
        case float() if value.is_integer() and abs(value) <= _LARGEST_WHOLE:
            return int(value)
        case dict():
            return {key: with_whole_numbers(item) for key, item in value.items()}
        case list():
            return [with_whole_numbers(item) for item in value]
    return value


def fill_struct(struct: Struct, metadata: Metadata) -> None:
    """Write an object into an empty Struct."""
    fields = struct.fields
    for key, value in metadata.items():
        _fill_value(fields[key], value)


def _fill_value(target: Value, value: JsonValue) -> None:
    # A search has dozens of numbers: they are known as such at once.
    if isinstance(value, str):
        target.string_value = value
    elif isinstance(value, float):
        target.number_value = value
    elif isinstance(value, bool):
        target.bool_value = value
    elif isinstance(value, int):
        target.number_value = value
    elif value is None:
        target.null_value = 0  # type: ignore[assignment]
    elif isinstance(value, dict):
        target.struct_value.SetInParent()
        fill_struct(target.struct_value, value)
    else:
        target.list_value.SetInParent()
        for item in value:
            _fill_value(target.list_value.values.add(), item)


def _finite(number: float, field: str) -> float:
    if math.isfinite(number):
        return number
    raise InvalidArgumentError(field, f"{number} is not allowed: JSON has finite numbers only")
