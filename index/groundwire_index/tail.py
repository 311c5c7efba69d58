"""Where the next vector goes, and how the vectors of a group get there."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby
from operator import attrgetter

import numpy as np

from groundwire_index.files import Files
from groundwire_index.segments import Part, checksum


@dataclass(frozen=True, slots=True, order=True)
class Tail:
    """The end of the last segment."""

    segment: int
    slots: int


def read_tail(connection: sqlite3.Connection) -> Tail:
    """The committed end."""
    row = connection.execute(
        "SELECT number, slots FROM segments ORDER BY number DESC LIMIT 1"
    ).fetchone()
    return Tail(*row) if row else Tail(1, 0)


def write_tail(connection: sqlite3.Connection, parts: Iterable[Part]) -> None:
    """Have the segments end after the parts, once the transaction is committed."""
    for part in parts:
        known = connection.execute(
            "SELECT slots, checksum FROM segments WHERE number = ?", (part.segment,)
        ).fetchone()
        end, before = known or (0, 0)
        # Over slots that were passed by, nobody knows what the file holds.
        follows = before is not None and part.first == end
        connection.execute(
            "INSERT INTO segments (number, slots, checksum) VALUES (?, ?, ?) "
            "ON CONFLICT DO UPDATE SET slots = excluded.slots, checksum = excluded.checksum",
            (
                part.segment,
                part.first + len(part.vectors),
                checksum(part.vectors.data, before) if follows else None,
            ),
        )


def store_parts(files: Files, parts: Sequence[Part]) -> None:
    """Put vectors on stable storage, with one sync a segment. Raises OSError."""
    for number, group in groupby(parts, attrgetter("segment")):
        together = list(group)
        vectors = [part.vectors for part in together]
        files.segment(number).write(
            together[0].first, vectors[0] if len(vectors) == 1 else np.concatenate(vectors)
        )


def withdraw_parts(files: Files, parts: Sequence[Part], end: Tail) -> None:
    """Give back the space of what was stored past ``end``. Raises OSError."""
    for number in {part.segment for part in parts}:
        files.segment(number).cut(end.slots if number == end.segment else 0)
