"""What a write does to a collection: rows begin and end, vectors are put in line."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from groundwire_index.encoding import Batch, EncodedRecord
from groundwire_index.field_index import append_rows, read_fields, remove_rows
from groundwire_index.filter_sql import CompiledFilter, Sql
from groundwire_index.matching import bound_of, rows_within
from groundwire_index.postings import add_texts, remove_texts
from groundwire_index.segments import Moved, Part
from groundwire_index.state import State
from groundwire_index.storage.row_sums import record_sum, text_sum
from groundwire_index.tail import Tail

Now = Callable[[], float]
"""Seconds since the epoch."""


@dataclass(frozen=True, slots=True)
class LiveRow:
    """A record's current row."""

    row: int
    place: int
    segment: int | None
    slot: int | None
    id: str
    document_id: str


@dataclass(frozen=True, slots=True)
class Ending:
    """A vector that does not count any more."""

    segment: int
    slot: int
    sequence: int


class Transaction:
    """The writes of one group, in one SQLite transaction. Used by one thread.

    Each write takes a `savepoint`, and a `begin` before it changes anything. Vectors and the
    ends of vectors are gathered here, to be stored before, and shown after, the commit.
    """

    def __init__(
        self, connection: sqlite3.Connection, state: State, tail: Tail, capacity: int, now: Now
    ) -> None:
        self.connection = connection
        self.state = state
        self.tail = tail
        self.parts: list[Part] = []
        self.endings: list[Ending] = []
        self.new_anns = False
        """Whether the manifest of indexes changes."""
        self.moved: list[Moved] = []
        self.dropped: list[int] = []
        """Segments that go."""
        self._capacity = capacity
        self._now = now

    def now(self) -> float:
        """The time, in seconds since the epoch."""
        return self._now()

    def attempt(self, write: Callable[[Transaction], object]) -> object:
        """Do one write, or none of it if it raises."""
        before = (self.state, self.tail)
        gathered: tuple[list[Any], ...] = (self.parts, self.endings, self.moved, self.dropped)
        lengths = [len(one) for one in gathered]
        self.connection.execute("SAVEPOINT write")
        done = False
        try:
            result = write(self)
            done = True
        finally:
            # When SQLite has given up the whole transaction there is nothing to go back to.
            if not done and self.connection.in_transaction:
                self.connection.execute("ROLLBACK TO write")
                self.state, self.tail = before
                for one, length in zip(gathered, lengths, strict=True):
                    del one[length:]
            if self.connection.in_transaction:
                self.connection.execute("RELEASE write")
        return result

    def begin(self) -> int:
        """The number of this write."""
        self.state = replace(self.state, sequence=self.state.sequence + 1)
        return self.state.sequence

    def live_rows(self, where: Sql) -> list[LiveRow]:
        """Current rows for which an expression over ``rows r`` is true."""
        return [
            LiveRow(*row)
            for row in self.connection.execute(
                "SELECT r.row, r.place, r.segment, r.slot, r.id, r.document_id "  # noqa: S608
                f"FROM rows r WHERE r.died IS NULL AND {where.text}",
                where.parameters,
            )
        ]

    def live_rows_of(self, ids: Iterable[str]) -> list[LiveRow]:
        """Current rows of those of the ids that there are."""
        listed = json.dumps(list(ids), ensure_ascii=False)
        return [
            LiveRow(*row)
            for row in self.connection.execute(
                "SELECT r.row, r.place, r.segment, r.slot, r.id, r.document_id "
                "FROM json_each(?) wanted CROSS JOIN rows r "
                "ON r.id = wanted.value AND r.died IS NULL",
                (listed,),
            )
        ]

    def matching(self, where: CompiledFilter) -> list[LiveRow]:
        """Current rows that match a filter."""
        rows = rows_within(self.connection, where, bound_of(self.connection, where))
        listed = json.dumps(rows.tolist())
        return self.live_rows(Sql("r.row IN (SELECT value FROM json_each(?))", (listed,)))

    def end(self, rows: Sequence[LiveRow]) -> None:
        """End rows with this write; their words and fields leave the indexes at once."""
        if not rows:
            return
        sequence = self.state.sequence
        listed = json.dumps([row.row for row in rows])
        texts = self.connection.execute(
            "SELECT row, text FROM rows WHERE row IN (SELECT value FROM json_each(?)) "
            "AND text IS NOT NULL ORDER BY row",
            (listed,),
        ).fetchall()
        remove_texts(self.connection, texts)
        self._unindex_fields(listed)
        self.connection.execute(
            "UPDATE rows SET died = ? WHERE row IN (SELECT value FROM json_each(?))",
            (sequence, listed),
        )
        self.connection.execute(
            "INSERT OR IGNORE INTO endings VALUES (?, ?)", (sequence, self.now())
        )
        endings = [
            Ending(row.segment, row.slot, sequence)
            for row in rows
            if row.segment is not None and row.slot is not None
        ]
        self.endings += endings
        self._count(records=-len(rows), vectors=-len(endings))

    def insert(self, batch: Batch, places: dict[str, int]) -> None:
        """Begin a row with this write for each record; ``places`` has those of known ids."""
        first, sequence = self.state.next_row, self.state.sequence
        rows = range(first, first + len(batch.records))
        homes = iter(self._line_up(batch, rows))
        self.connection.executemany(
            "INSERT INTO rows (row, place, born, segment, slot, checksum, id, document_id, "
            "position, metadata, sum, text_sum, text) "
            "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                _stored(
                    record,
                    row,
                    places.get(record.id, row),
                    sequence,
                    next(homes) if record.has_vector else (None, None, None),
                )
                for row, record in zip(rows, batch.records, strict=True)
            ),
        )
        written = zip(rows, batch.records, strict=True)
        add_texts(
            self.connection,
            [(row, record.text) for row, record in written if record.text is not None],
        )
        fields = read_fields(self.connection)
        if fields:
            written = zip(rows, batch.records, strict=True)
            append_rows(
                self.connection, fields, ((row, record.metadata) for row, record in written)
            )
        self.state = replace(self.state, next_row=rows.stop)
        self._count(records=len(rows), vectors=len(batch.vectors))

    def count_documents(self, change: int) -> None:
        """There are more, or fewer, documents."""
        self.state = replace(self.state, documents=self.state.documents + change)

    def _unindex_fields(self, listed: str) -> None:
        fields = read_fields(self.connection)
        if fields:
            rows = self.connection.execute(
                "SELECT row, metadata FROM rows WHERE row IN (SELECT value FROM json_each(?))",
                (listed,),
            ).fetchall()
            remove_rows(self.connection, fields, rows)

    def _count(self, *, records: int, vectors: int) -> None:
        self.state = replace(
            self.state,
            records=self.state.records + records,
            vectors=self.state.vectors + vectors,
        )

    def _line_up(self, batch: Batch, rows: range) -> list[tuple[int, int, int]]:
        """Give each vector a segment and a slot; with its checksum, in the batch's order."""
        owners = np.array(
            [row for row, record in zip(rows, batch.records, strict=True) if record.has_vector],
            np.int64,
        )
        homes: list[tuple[int, int, int]] = []
        while len(homes) < len(owners):
            if self.tail.slots >= self._capacity:
                self.tail = Tail(self.tail.segment + 1, 0)
            begin, first = len(homes), self.tail.slots
            end = min(len(owners), begin + self._capacity - first)
            piece = slice(begin, end)
            self.parts.append(
                Part(
                    self.tail.segment,
                    first,
                    batch.vectors[piece],
                    batch.norms[piece],
                    owners[piece],
                )
            )
            homes += [
                (self.tail.segment, first + number, checksum)
                for number, checksum in enumerate(batch.checksums[piece])
            ]
            self.tail = Tail(self.tail.segment, first + end - begin)
        return homes


def _stored(
    record: EncodedRecord,
    row: int,
    place: int,
    born: int,
    home: tuple[int | None, int | None, int | None],
) -> tuple[object, ...]:
    """The columns of a row, in the order in which they are inserted."""
    content = (record.id, record.document_id, record.position, record.metadata)
    head = record_sum(row, place, born, home[2], *content)
    return row, place, born, *home, *content, head, text_sum(record.text), record.text
