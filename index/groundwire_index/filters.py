"""The typed filter over metadata: its shape and its rules.

The rules hold on every backend. A comparison with a missing field, a null or a value of
another type is false, and ``Not`` inverts that. Numbers compare as numbers, strings by code
point, booleans only for equality. On a list a condition holds if any element satisfies it;
``NE`` is "present and no element equal", so it holds for a value of another type. ``EXISTS``
is about the field itself: an empty list is there, a null is not. A field is a path with "."
between keys; ``$id`` and ``$document_id`` read the record itself, and a record of no document
has no ``$document_id``.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

Scalar = str | int | float | bool

RECORD_ID = "$id"
DOCUMENT_ID = "$document_id"


class Operator(Enum):
    """How a field is compared with a value."""

    EQ = "eq"
    NE = "ne"
    LT = "lt"
    LTE = "lte"
    GT = "gt"
    GTE = "gte"
    IN = "in"
    CONTAINS = "contains"
    EXISTS = "exists"
    PREFIX = "prefix"


@dataclass(frozen=True, slots=True)
class Condition:
    """One comparison. ``value`` is a tuple for IN, a bool for EXISTS, else a scalar."""

    field: str
    operator: Operator
    value: Scalar | tuple[Scalar, ...]


@dataclass(frozen=True, slots=True)
class All:
    """True if every part is; an empty one is true."""

    parts: tuple[Filter, ...]


@dataclass(frozen=True, slots=True)
class Any:
    """True if at least one part is; an empty one is false."""

    parts: tuple[Filter, ...]


@dataclass(frozen=True, slots=True)
class Not:
    """True if the part is false."""

    part: Filter


Filter = All | Any | Not | Condition
