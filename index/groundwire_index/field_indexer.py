"""Indexes the fields that filters ask for, beside the searches and writes of a collection."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from groundwire_index.ann import BuildCancelledError
from groundwire_index.field_index import IndexedField, prepend_rows, read_fields
from groundwire_index.filters import (
    DOCUMENT_ID,
    RECORD_ID,
    All,
    Any,
    Condition,
    Filter,
    Not,
    Operator,
)
from groundwire_index.transaction import Transaction
from groundwire_index.writer import Writer

MAX_FIELDS = 8
# A filter over fewer records is quick without an index.
FROM_RECORDS = 5000
# Rows whose entries are made in one transaction: some milliseconds.
SLICE = 500


class FieldIndexer:
    """Remembers which fields are wanted and fills their indexes. Thread-safe."""

    def __init__(self, writer: Writer) -> None:
        self._writer = writer
        self._changing = threading.Lock()
        self._done: dict[str, bool] = {}

    def want(self, paths: Iterable[str]) -> bool:
        """A filter compares these fields; whether one of them was not known to be wanted."""
        new = [path for path in paths if path not in self._done]
        if not new:
            return False
        with self._changing:
            room = MAX_FIELDS - len(self._done)
            self._done.update(dict.fromkeys(new[: max(0, room)], False))
        return room > 0

    def is_due(self) -> bool:
        """Whether a wanted field is not indexed yet. Quick."""
        return not all(self._done.copy().values())

    def fill_next(self, cancelled: Callable[[], bool]) -> bool:
        """Index the next field that is wanted; whether there was one.

        Raises BuildCancelledError soon after ``cancelled`` says so, and what the storage
        raises. What is filled by then stays, and is gone on with when it is wanted again.
        """
        path = next((path for path, done in self._done.copy().items() if not done), None)
        if path is None:
            return False
        while self._writer.write(FillField(path)):
            if cancelled():
                raise BuildCancelledError
        self._done[path] = True
        return True


@dataclass(frozen=True, slots=True)
class FillField:
    """Some more rows get their entries, from the newest to the oldest.

    No search finds anything else than before, so it has no sequence number.
    """

    path: str

    def __call__(self, transaction: Transaction) -> bool:
        """Whether there are more."""
        field = _registered(transaction, self.path)
        if field is None or not field.missing_below:
            return False
        connection = transaction.connection
        rows = connection.execute(
            "SELECT row, metadata FROM rows WHERE died IS NULL AND row < ? "
            "ORDER BY row DESC LIMIT ?",
            (field.missing_below, SLICE),
        ).fetchall()
        prepend_rows(connection, [field], reversed(rows))
        missing_below = rows[-1][0] if len(rows) == SLICE else 0
        connection.execute(
            "UPDATE indexed_fields SET missing_below = ? WHERE number = ?",
            (missing_below, field.number),
        )
        return missing_below > 0


def _registered(transaction: Transaction, path: str) -> IndexedField | None:
    """The field; new, unless there are as many as there may be."""
    fields = read_fields(transaction.connection)
    known = next((field for field in fields if field.path == path), None)
    if known is not None or len(fields) >= MAX_FIELDS:
        return known
    new = IndexedField(len(fields) + 1, path, transaction.state.next_row)
    transaction.connection.execute(
        "INSERT INTO indexed_fields (number, path, missing_below) VALUES (?, ?, ?)",
        (new.number, new.path, new.missing_below),
    )
    return new


def wanted_fields(where: Filter) -> Iterator[str]:
    """The fields by whose indexes a filter is answered; ``$id`` where that takes all rows."""
    match where:
        case All(parts) | Any(parts):
            for part in parts:
                yield from wanted_fields(part)
        case Not(part):
            yield RECORD_ID
            yield from wanted_fields(part)
        case Condition(field, operator, value):
            if operator is Operator.EXISTS and not value:
                yield RECORD_ID
            if field not in (RECORD_ID, DOCUMENT_ID) and operator is not Operator.CONTAINS:
                yield field
