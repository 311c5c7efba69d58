"""The inverted index: which rows hold a term, how often, and how long their texts are.

Postings are kept in SQLite by block of rows and by term, in order of row. New rows have the
highest numbers, so a write changes one end of the table only; a search reads its terms from
every block. They are of live rows alone: what a write ends leaves with that write.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from groundwire_index.inversion import BLOCK, POSTING, Group, Inversion, Texts


@dataclass(frozen=True, slots=True)
class Lexicon:
    """What all texts come to."""

    texts: int
    """Live rows that have a text."""
    terms: int
    """Terms of all of them, as often as they occur."""

    @property
    def mean_length(self) -> float:
        """Terms of a text, on average."""
        return self.terms / max(1, self.texts)


@dataclass(frozen=True, slots=True, eq=False)
class Postings:
    """The rows that hold one term, ascending."""

    rows: NDArray[np.int64]
    counts: NDArray[np.float64]
    """How often the term occurs."""
    lengths: NDArray[np.float64]
    """Terms of the row's text."""


def read_lexicon(connection: sqlite3.Connection) -> Lexicon:
    """The lexicon as of the connection's transaction."""
    totals = "SELECT coalesce(sum(texts), 0), coalesce(sum(terms), 0) FROM blocks"
    return Lexicon(*connection.execute(totals).fetchone())


def read_postings(connection: sqlite3.Connection, terms: Sequence[str]) -> list[Postings]:
    """The postings of each of the terms that some text holds, in their order."""
    found: list[list[tuple[int, bytes]]] = [[] for _ in terms]
    for number, block, data in connection.execute(
        "SELECT wanted.key, p.block, p.data FROM blocks b CROSS JOIN json_each(?) wanted "
        "CROSS JOIN postings p ON p.block = b.block AND p.term = wanted.value ORDER BY b.block",
        (json.dumps(terms, ensure_ascii=False),),
    ):
        found[number].append((block, data))
    return [_joined(pieces) for pieces in found if pieces]


def add_texts(connection: sqlite3.Connection, texts: Texts) -> None:
    """Take in the texts of new rows, whose numbers are above all that there are."""
    inversion = Inversion(texts)
    connection.executemany(
        "INSERT INTO postings VALUES (?, ?, ?) ON CONFLICT (block, term) "
        "DO UPDATE SET data = CAST(data || excluded.data AS BLOB)",
        ((group.block, group.term, group.postings.tobytes()) for group in inversion.groups()),
    )
    connection.executemany(
        "INSERT INTO blocks VALUES (?, ?, ?) ON CONFLICT (block) "
        "DO UPDATE SET texts = texts + excluded.texts, terms = terms + excluded.terms",
        ((size.block, size.texts, size.terms) for size in inversion.sizes()),
    )


def remove_texts(connection: sqlite3.Connection, texts: Texts) -> None:
    """Forget the texts of rows that end; they are the texts that were added."""
    inversion = Inversion(texts)
    for group in inversion.groups():
        _remove(connection, group)
    connection.executemany(
        "UPDATE blocks SET texts = texts - ?, terms = terms - ? WHERE block = ?",
        ((size.texts, size.terms, size.block) for size in inversion.sizes()),
    )
    connection.execute("DELETE FROM blocks WHERE texts = 0")


def _remove(connection: sqlite3.Connection, group: Group) -> None:
    key = (group.block, group.term)
    where = "WHERE block = ? AND term = ?"
    (data,) = connection.execute(f"SELECT data FROM postings {where}", key).fetchone()  # noqa: S608
    held = np.frombuffer(data, POSTING)
    kept = held[~np.isin(held["offset"], group.postings["offset"])]
    if len(kept):
        connection.execute(f"UPDATE postings SET data = ? {where}", (kept.tobytes(), *key))  # noqa: S608
    else:
        connection.execute(f"DELETE FROM postings {where}", key)  # noqa: S608


def _joined(pieces: Sequence[tuple[int, bytes]]) -> Postings:
    held = np.frombuffer(b"".join(data for _, data in pieces), POSTING)
    sizes = [len(data) // POSTING.itemsize for _, data in pieces]
    blocks = np.repeat(np.array([block for block, _ in pieces], np.int64), sizes)
    return Postings(
        blocks * BLOCK + held["offset"],
        held["count"].astype(np.float64),
        held["length"].astype(np.float64),
    )
