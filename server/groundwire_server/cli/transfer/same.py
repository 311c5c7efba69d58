"""Whether a stored record is the one that was to be stored."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from groundwire import Record
from groundwire.values import JSON
from groundwire.vectors import VectorLike, encode


def differences(given: Record, stored: Record) -> Iterator[str]:
    """The parts of the stored record that are not as given, by name.

    Vectors are compared bit by bit; one that was not given was made by the server, and is
    taken as it is.
    """
    if given.vector is not None and _bits(given.vector) != _bits(stored.vector):
        yield "vector"
    if given.text != stored.text:
        yield "text"
    if not same_json(given.metadata, stored.metadata):
        yield "metadata"
    if given.document_id != stored.document_id:
        yield "document_id"
    if given.position != stored.position:
        yield "position"


def same_json(one: JSON, other: JSON) -> bool:
    """Equality as JSON has it: 3 is 3.0, but true is not 1."""
    if isinstance(one, bool) or isinstance(other, bool):
        return one is other
    if isinstance(one, Mapping) and isinstance(other, Mapping):
        return one.keys() == other.keys() and all(same_json(one[key], other[key]) for key in one)
    if isinstance(one, list | tuple) and isinstance(other, list | tuple):
        return len(one) == len(other) and all(map(same_json, one, other))
    return one == other


def _bits(vector: VectorLike | None) -> bytes:
    return b"" if vector is None else encode(vector).f32le
