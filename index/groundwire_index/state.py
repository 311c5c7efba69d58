"""Counters of a collection at one sequence number."""

from __future__ import annotations

import sqlite3
from dataclasses import astuple, dataclass

from groundwire_index.storage.row_sums import checked_row, row_sum


@dataclass(frozen=True, slots=True)
class State:
    """One row of the database, changed in the transaction of the write that changes it."""

    sequence: int
    """Number of the last write."""
    next_row: int
    """Row numbers are never given out twice."""
    records: int
    vectors: int
    documents: int
    purged: int
    """Rows that died at or before this write may be gone."""


def read_state(connection: sqlite3.Connection) -> State:
    """The state in the connection's transaction."""
    stored = connection.execute(
        "SELECT sequence, next_row, records, vectors, documents, purged, sum FROM state"
    ).fetchone()
    return State(*checked_row(stored, "its counters"))


def write_state(connection: sqlite3.Connection, state: State) -> None:
    """Store the state with the connection's transaction."""
    connection.execute(
        "UPDATE state SET sequence = ?, next_row = ?, records = ?, vectors = ?, documents = ?, "
        "purged = ?, sum = ?",
        (*astuple(state), row_sum(*astuple(state))),
    )


def is_damaged(connection: sqlite3.Connection) -> bool:
    """Whether the collection's vectors failed their checksums when they were last read."""
    return bool(connection.execute("SELECT damaged FROM state").fetchone()[0])


def mark_damaged(connection: sqlite3.Connection, damaged: bool) -> None:
    """Remember, over restarts, whether vectors failed their checksums."""
    connection.execute("UPDATE state SET damaged = ?", (damaged,))


def cursor_key(connection: sqlite3.Connection) -> bytes:
    """The secret with which the collection signs its cursors."""
    key: bytes = connection.execute("SELECT cursor_key FROM state").fetchone()[0]
    return key
