"""Filters on the wire: checked, and turned into the index's own."""

from __future__ import annotations

from collections.abc import Callable

from google.protobuf.struct_pb2 import Value
from groundwire.v1 import filter_pb2
from groundwire_index.errors import InvalidArgumentError
from groundwire_index.filter_checks import (
    MAX_ALTERNATIVES,
    MAX_FIELD_CHARACTERS,
    MAX_LEVELS,
    MAX_NODES,
)
from groundwire_index.filters import All, Any, Condition, Filter, Not, Operator, Scalar

from groundwire_server.services.structs import value_of
from groundwire_server.services.validate import require, require_count


def filter_of(message: filter_pb2.Filter, field: str) -> Filter:
    """Read a filter. Raises InvalidArgumentError with the path of the part that is wrong."""
    return _Reader(field).read(message, field, level=1)


def constant(expression: Filter) -> bool | None:
    """What the filter says whatever the record is; None if it depends on the record."""
    match expression:
        case Condition():
            return None
        case Not(part):
            inner = constant(part)
            return None if inner is None else not inner
        case All(parts):
            found = {constant(part) for part in parts}
            return False if False in found else (None if None in found else True)
        case Any(parts):
            found = {constant(part) for part in parts}
            return True if True in found else (None if None in found else False)


class _Reader:
    """Reads one filter, counting its nodes."""

    def __init__(self, root: str) -> None:
        self._root = root
        self._nodes = 0

    def read(self, message: filter_pb2.Filter, field: str, *, level: int) -> Filter:
        require(level <= MAX_LEVELS, self._root, f"is nested deeper than {MAX_LEVELS} levels")
        self._nodes += 1
        require(self._nodes <= MAX_NODES, self._root, f"has more than {MAX_NODES} nodes")
        match message.WhichOneof("clause"):
            case "condition":
                return _condition_of(message.condition, f"{field}.condition")
            case "all":
                return All(self._parts(message.all, f"{field}.all", level))
            case "any":
                return Any(self._parts(message.any, f"{field}.any", level))
            case "not":
                return Not(self.read(getattr(message, "not"), f"{field}.not", level=level + 1))
        raise InvalidArgumentError(field, "set one of all, any, not, condition")

    def _parts(self, message: filter_pb2.FilterList, field: str, level: int) -> tuple[Filter, ...]:
        return tuple(
            self.read(part, f"{field}.filters[{number}]", level=level + 1)
            for number, part in enumerate(message.filters)
        )


def _condition_of(message: filter_pb2.FilterCondition, field: str) -> Condition:
    require(
        1 <= len(message.field) <= MAX_FIELD_CHARACTERS,
        f"{field}.field",
        f"must be 1 to {MAX_FIELD_CHARACTERS} characters long",
    )
    name = message.WhichOneof("operator")
    if name is None:
        raise InvalidArgumentError(field, f"set one of {', '.join(_OPERANDS)}")
    operand = _OPERANDS[name](getattr(message, name), f"{field}.{name}")
    return Condition(message.field, Operator(name), operand)


def _scalar(message: Value, field: str) -> Scalar:
    value = value_of(message, field)
    if isinstance(value, str | int | float | bool):
        return value
    raise InvalidArgumentError(field, "must be a string, a number or a boolean")


def _ordered(message: Value, field: str) -> Scalar:
    value = _scalar(message, field)
    require(not isinstance(value, bool), field, "must be a string or a number")
    return value


def _alternatives(message: object, field: str) -> tuple[Scalar, ...]:
    values = message.values  # type: ignore[attr-defined]
    require_count(len(values), field, low=0, high=MAX_ALTERNATIVES)
    return tuple(_scalar(value, f"{field}[{number}]") for number, value in enumerate(values))


def _as_given(value: Scalar, _: str) -> Scalar:
    return value


_OPERANDS: dict[str, Callable[..., Scalar | tuple[Scalar, ...]]] = {
    "eq": _scalar,
    "ne": _scalar,
    "lt": _ordered,
    "lte": _ordered,
    "gt": _ordered,
    "gte": _ordered,
    "in": _alternatives,
    "contains": _as_given,
    "exists": _as_given,
    "prefix": _as_given,
}
