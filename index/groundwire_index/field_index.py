"""Indexed fields: for each value of a field, the live rows that have it.

An entry of the table holds the rows of one block of numbers that have one value: scalars as
they are, a list by its elements. That a field is there at all is an entry too. The entries
change in the transaction that changes the rows. A field that is being filled lacks the rows
below a mark, which comes down to 0; until then nobody may rely on it.
"""

from __future__ import annotations

import json
import sqlite3
import struct
from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby

import numpy as np

from groundwire_index.filters import RECORD_ID
from groundwire_index.records import JsonValue
from groundwire_index.row_set import Rows, ascending

# Rows of an entry: their places in the block fit 16 bits, and an entry a few pages.
BLOCK = 4096


# What an entry's value is: these numbers are stored.
PRESENT, TEXT, NUMBER, TRUTH = range(4)
_KINDS: dict[type, int] = {str: TEXT, int: NUMBER, float: NUMBER, bool: TRUTH}
# The value of the entry that says that a field is there, and no null.
ANYTHING = 0


@dataclass(frozen=True, slots=True)
class IndexedField:
    """A field that has entries."""

    number: int
    path: str
    missing_below: int
    """Rows with a number below this have no entries yet."""


Valued = tuple[int, int, str | int | float]
"""Field, kind, value."""
Entry = tuple[int, int, str | int | float, int]
"""The same and a block."""

Stored = Iterable[tuple[int, str]]
"""Rows in ascending order, with their metadata as stored."""


def read_fields(connection: sqlite3.Connection) -> list[IndexedField]:
    """The indexed fields as of the connection's transaction, complete or not."""
    found = connection.execute(
        "SELECT number, path, missing_below FROM indexed_fields ORDER BY number"
    )
    return [IndexedField(*row) for row in found]


def read_rows(connection: sqlite3.Connection, condition: str, parameters: Sequence[object]) -> Rows:
    """Rows of the entries for which a condition is true."""
    # What is joined into one value is read several times faster than entry by entry.
    blocks, sizes, places = connection.execute(
        "SELECT group_concat(block), group_concat(length(rows)), group_concat(hex(rows), '') "  # noqa: S608 - values are parameters
        f"FROM field_rows WHERE {condition}",
        parameters,
    ).fetchone()
    if blocks is None:
        return np.empty(0, np.int64)
    starts = np.fromstring(blocks, np.int64, sep=",") * BLOCK
    counts = np.fromstring(sizes, np.int64, sep=",") // 2
    return ascending(np.repeat(starts, counts) + np.frombuffer(bytes.fromhex(places), "<u2"))


def append_rows(
    connection: sqlite3.Connection, fields: Sequence[IndexedField], rows: Stored
) -> None:
    """Make the entries of rows that come after all that have some."""
    _add(connection, fields, rows, "rows || excluded.rows")


def prepend_rows(
    connection: sqlite3.Connection, fields: Sequence[IndexedField], rows: Stored
) -> None:
    """Make the entries of rows that come before all that have some."""
    _add(connection, fields, rows, "excluded.rows || rows")


def _add(
    connection: sqlite3.Connection, fields: Sequence[IndexedField], rows: Stored, joined: str
) -> None:
    connection.executemany(
        "INSERT INTO field_rows (field, kind, value, block, rows) VALUES (?, ?, ?, ?, ?) "  # noqa: S608 - see above
        f"ON CONFLICT DO UPDATE SET rows = CAST({joined} AS BLOB)",
        ((*entry, places) for entry, places in entries_of(fields, rows).items()),
    )


def remove_rows(
    connection: sqlite3.Connection, fields: Sequence[IndexedField], rows: Stored
) -> None:
    """Take rows out of the entries that have them."""
    for entry, places in entries_of(fields, rows).items():
        _take_out(connection, entry, places)


def _take_out(connection: sqlite3.Connection, entry: Entry, places: bytes) -> None:
    which = "WHERE field = ? AND kind = ? AND value = ? AND block = ?"
    found = connection.execute(f"SELECT rows FROM field_rows {which}", entry).fetchone()  # noqa: S608
    if found is None:
        return
    held = np.frombuffer(found[0], "<u2")
    left = held[~np.isin(held, np.frombuffer(places, "<u2"))]
    if len(left):
        connection.execute(
            f"UPDATE field_rows SET rows = ? {which}",  # noqa: S608
            (left.tobytes(), *entry),
        )
    else:
        connection.execute(f"DELETE FROM field_rows {which}", entry)  # noqa: S608


def entries_of(fields: Sequence[IndexedField], rows: Stored) -> dict[Entry, bytes]:
    """Entries that rows have a part in, each with the places of these rows, packed."""
    finders = [_Finder(field) for field in fields]
    packed = {}
    for block, mine in groupby(rows, lambda row: row[0] // BLOCK):
        places: dict[Valued, list[int]] = defaultdict(list)
        known, found = "", []
        for row, metadata in mine:
            if metadata != known:
                decoded, _ = _decode(metadata)
                known, found = metadata, [one for find in finders for one in find(decoded)]
            for valued in found:
                places[valued].append(row % BLOCK)
        for valued, held in places.items():
            packed[*valued, block] = struct.pack(f"<{len(held)}H", *held)
    return packed


# A third faster than json.loads, which looks for white space around the value.
_decode = json.JSONDecoder().raw_decode


class _Finder:
    """Finds what a row has in a field. Every write runs it for every row, so it is terse."""

    def __init__(self, field: IndexedField) -> None:
        self._number = field.number
        self._keys = [] if field.path == RECORD_ID else field.path.split(".")
        self._present: Valued = (field.number, PRESENT, ANYTHING)

    def __call__(self, metadata: JsonValue) -> Collection[Valued]:
        value = metadata
        for key in self._keys:
            if not isinstance(value, dict) or key not in value:
                return ()
            value = value[key]
        if isinstance(value, list):
            return {self._present, *(self._scalar(one) for one in value if type(one) in _KINDS)}
        if type(value) in _KINDS:
            return self._present, self._scalar(value)
        return () if value is None else (self._present,)

    def _scalar(self, value: JsonValue) -> Valued:
        return self._number, _KINDS[type(value)], value  # type: ignore[return-value]
