"""Records as a collection gives them back, whose vectors it may round."""

from __future__ import annotations

import struct
from dataclasses import replace

from groundwire.results.collections import Collection
from groundwire.vectors import VectorLike, decode, encode

from groundwire_server.cli.transfer.source import Placed


def as_stored(placed: Placed, collection: Collection) -> Placed:
    """The same record, with the vector that a collection makes of its own.

    So what is there already is found to be equal. What the collection refuses stays as it is, for
    the collection to say why.
    """
    vector = placed.record.vector
    if collection.vector_type != "float16" or vector is None:
        return placed
    return replace(placed, record=replace(placed.record, vector=_rounded(vector)))


def _rounded(vector: VectorLike) -> VectorLike:
    try:
        numbers = decode(encode(vector))
        halves = f"<{len(numbers)}e"
        rounded = struct.unpack(halves, struct.pack(halves, *numbers))
    except (ValueError, TypeError, OverflowError):
        return vector
    return rounded if any(rounded) else vector
