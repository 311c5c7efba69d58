"""A record as a row of names and values: what files hold.

``id``, ``text``, ``vector``, ``metadata``, ``document_id`` and ``position``, of which all but the
id may be missing or null. Writing a record and reading it again gives an equal one.
"""

from __future__ import annotations

import dataclasses
from array import array
from collections.abc import Mapping
from typing import Any, TypeVar

from groundwire import ChunkPosition, Record
from groundwire.vectors import decode, encode

NAMES = ("id", "text", "vector", "metadata", "document_id", "position")
T = TypeVar("T")


class RowError(ValueError):
    """A row that is no record; the message names the field, and says what it should be."""


def row_of(record: Record) -> dict[str, Any]:
    """The parts that the record has."""
    vector = None if record.vector is None else decode(encode(record.vector)).tolist()
    position = record.position and {
        **dataclasses.asdict(record.position),
        "headings": list(record.position.headings),
    }
    parts = {
        "id": record.id,
        "text": record.text,
        "vector": vector,
        "metadata": dict(record.metadata) or None,
        "document_id": record.document_id or None,
        "position": position,
    }
    return {name: part for name, part in parts.items() if part is not None}


def record_of(row: Mapping[str, Any]) -> Record:
    """Read a row. Raises RowError."""
    require_known(row)
    record_id = _part(row, "id", str, "text")
    if record_id is None:
        raise RowError("id is missing")
    return Record(
        record_id,
        text=_part(row, "text", str, "text"),
        vector=_vector(_part(row, "vector", list, "a list of numbers")),
        metadata=_part(row, "metadata", dict, "an object") or {},
        document_id=_part(row, "document_id", str, "text") or "",
        position=_position(_part(row, "position", dict, "an object")),
    )


def require_known(names: Mapping[str, Any]) -> None:
    """Raise RowError for a name that no part of a record has: its values would be lost."""
    unknown = sorted(set(names) - set(NAMES))
    if unknown:
        raise RowError(
            f"{unknown[0]!r} is none of {', '.join(NAMES)}: what else a record has belongs "
            "into metadata"
        )


def _part(row: Mapping[str, Any], name: str, kind: type[T], says: str) -> T | None:
    value = row.get(name)
    if value is None or isinstance(value, kind):
        return value
    raise RowError(f"{name} must be {says}, and is {_shown(value)}")


def _vector(numbers: list[Any] | None) -> array[float] | None:
    if numbers is None:
        return None
    if strays := [one for one in numbers if type(one) not in (float, int)]:
        raise RowError(f"vector must be a list of numbers, and holds {_shown(strays[0])}")
    if not numbers:
        raise RowError("vector must hold a number, or be left out")
    try:
        return array("f", numbers)
    except OverflowError:
        raise RowError("vector holds a number that is too large") from None


def _position(parts: dict[str, Any] | None) -> ChunkPosition | None:
    if parts is None:
        return None
    try:
        position = ChunkPosition(**{**parts, "headings": tuple(parts.get("headings", ()))})
    except TypeError:
        raise RowError(f"position must have ordinal, start and end: {_shown(parts)}") from None
    return position


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
