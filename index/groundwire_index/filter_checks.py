"""What a filter may be: its limits, and which values go with which operator."""

from __future__ import annotations

import math

from groundwire_index.errors import InvalidArgumentError
from groundwire_index.filters import All, Any, Condition, Filter, Not, Operator, Scalar

MAX_LEVELS = 16
MAX_NODES = 256
MAX_FIELD_CHARACTERS = 256
MAX_ALTERNATIVES = 10_000
_MAX_INTEGER = 2**63

_ORDERED = frozenset({Operator.LT, Operator.LTE, Operator.GT, Operator.GTE})
_TEXTUAL = frozenset({Operator.CONTAINS, Operator.PREFIX})


def check_filter(where: Filter, field: str = "filter") -> None:
    """Raise InvalidArgumentError, naming the part that is wrong by a path below ``field``."""
    _Check(field).visit(where, field, level=1)


def require_condition(where: Filter) -> None:
    """Refuse to delete by a filter that compares nothing."""
    _require(
        has_condition(where),
        "filter",
        "has no condition: to remove everything, delete the collection",
    )


def has_condition(where: Filter) -> bool:
    """Whether anything is compared at all: a filter without a condition is all or nothing."""
    match where:
        case Condition():
            return True
        case Not(part):
            return has_condition(part)
        case All(parts) | Any(parts):
            return any(has_condition(part) for part in parts)


class _Check:
    def __init__(self, root: str) -> None:
        self._root = root
        self._nodes = 0

    def visit(self, where: Filter, field: str, *, level: int) -> None:
        if level > MAX_LEVELS:
            raise InvalidArgumentError(self._root, f"is nested deeper than {MAX_LEVELS} levels")
        self._nodes += 1
        if self._nodes > MAX_NODES:
            raise InvalidArgumentError(self._root, f"has more than {MAX_NODES} nodes")
        match where:
            case All(parts) | Any(parts):
                for number, part in enumerate(parts):
                    self.visit(part, f"{field}.parts[{number}]", level=level + 1)
            case Not(part):
                self.visit(part, f"{field}.part", level=level + 1)
            case Condition():
                _check_condition(where, field)


def _check_condition(condition: Condition, field: str) -> None:
    if not 1 <= len(condition.field) <= MAX_FIELD_CHARACTERS:
        raise InvalidArgumentError(
            f"{field}.field", f"must be 1 to {MAX_FIELD_CHARACTERS} characters long"
        )
    _check_text(condition.field, f"{field}.field")
    operator, value = condition.operator, condition.value
    if operator is Operator.IN:
        _check_alternatives(value, f"{field}.value")
    elif isinstance(value, tuple):
        raise InvalidArgumentError(f"{field}.value", "must be one value: only IN takes several")
    elif operator is Operator.EXISTS:
        _require(isinstance(value, bool), f"{field}.value", "must be a boolean for EXISTS")
    elif operator in _TEXTUAL:
        _require(isinstance(value, str), f"{field}.value", "must be a string")
        _check_scalar(value, f"{field}.value")
    else:
        plain = operator not in _ORDERED or not isinstance(value, bool)
        _require(plain, f"{field}.value", "must be a string or a number: booleans have no order")
        _check_scalar(value, f"{field}.value")


def _check_alternatives(value: Scalar | tuple[Scalar, ...], field: str) -> None:
    if not isinstance(value, tuple):
        raise InvalidArgumentError(field, "must be a tuple of values for IN")
    if len(value) > MAX_ALTERNATIVES:
        raise InvalidArgumentError(
            field, f"has {len(value):,} items; at most {MAX_ALTERNATIVES:,} are allowed"
        )
    for number, one in enumerate(value):
        _check_scalar(one, f"{field}[{number}]")


def _check_scalar(value: Scalar, field: str) -> None:
    match value:
        case bool():
            return
        case str():
            _check_text(value, field)
        case int():
            _require(-_MAX_INTEGER <= value < _MAX_INTEGER, field, "must be an integer of 64 bits")
        case float():
            _require(math.isfinite(value), field, f"{value} is not allowed: must be finite")
        case _:
            raise InvalidArgumentError(field, "must be a string, a number or a boolean")


def _check_text(text: str, field: str) -> None:
    try:
        text.encode()
    except UnicodeEncodeError:
        raise InvalidArgumentError(field, "is not valid Unicode: it has a lone surrogate") from None


def _require(condition: bool, field: str, description: str) -> None:
    if not condition:
        raise InvalidArgumentError(field, description)
