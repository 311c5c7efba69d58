"""A write in the making: what it reads first, and the rows that it puts in place."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from groundwire_index.errors import UnsupportedError
from groundwire_index.milvus.link import MilvusLink, Row
from groundwire_index.milvus.rows import (
    Answer,
    Filler,
    answer_key,
    answer_of,
    document_key,
    document_of,
    record_key,
)
from groundwire_index.milvus.schema import (
    BODY,
    DEAD,
    DOCUMENT,
    HEAD,
    KEY,
    MAX_ROWS,
    PLACE,
    RECORDS,
    STATE,
)
from groundwire_index.records import Document

_NEW = (STATE, PLACE, DOCUMENT)


@dataclass(frozen=True, slots=True)
class Head:
    """How far a collection has come."""

    sequence: int = 0
    """Number of the last write."""
    places: int = 0
    """Places given out to records."""


class Draft:
    """Changes nothing: `rows` are what is to be written, all at once."""

    def __init__(self, link: MilvusLink, name: str, head: Head, filler: Filler) -> None:
        self.head = replace(head, sequence=head.sequence + 1)
        self._link = link
        self._name = name
        self._filler = filler
        self._rows: dict[str, Row] = {}
        self.repeated = False
        """The write was done before: nothing is written."""

    @property
    def rows(self) -> list[Row]:
        """All that is to be written, the head included."""
        head = {"sequence": self.head.sequence, "places": self.head.places}
        return [*self._rows.values(), self._filler.row(HEAD, head)]

    def document(self, document_id: str) -> Document | None:
        """A document as it is."""
        row = self._stored(document_key(document_id))
        return None if row is None else document_of(row)

    def answer(self, idempotency_key: str) -> Answer | None:
        """What an idempotency key was answered before."""
        row = self._stored(answer_key(idempotency_key))
        return None if row is None else answer_of(row)

    def records(self, ids: Iterable[str]) -> dict[str, Row]:
        """The keys of those of the ids that there are, each with its place and document."""
        keys = [record_key(one) for one in dict.fromkeys(ids)]
        found = self._link.rows(self._name, keys, _NEW)
        return {key: row for key, row in found.items() if row[STATE] > 0}

    def matching(self, expression: str) -> list[str]:
        """The keys of the records for which an expression holds.

        Raises UnsupportedError if they are too many to be written about at once.
        """
        where = f"{RECORDS} and {expression}"
        rows = self._link.select(self._name, where, (), limit=MAX_ROWS)
        if len(rows) == MAX_ROWS:
            raise UnsupportedError(
                f"{MAX_ROWS:,} records or more match: with the index in Milvus one write changes "
                "fewer, so that it is all or nothing; write about a part of them at a time",
                reason="WRITE_TOO_LARGE",
            )
        return [row[KEY] for row in rows]

    def insert(self, records: Sequence[Row], known: dict[str, Row]) -> None:
        """Write records; those that are known keep their places."""
        for row in records:
            key = row[KEY]
            place = known[key][PLACE] if key in known else self._new_place()
            self._rows[key] = {**row, PLACE: place}

    def end(self, keys: Iterable[str]) -> None:
        """Have rows go."""
        for key in keys:
            self._rows[key] = self._filler.dead(key)

    def put(self, row: Row) -> None:
        """Write a row that is no record."""
        self._rows[row[KEY]] = row

    def put_document(self, document: Document) -> None:
        """Write a document, in place of its former version."""
        self.put(self._filler.document(document))

    def put_answer(self, answer: Answer) -> None:
        """Remember what was answered to an idempotency key."""
        self.put(self._filler.answer(answer))

    def _stored(self, key: str) -> Row | None:
        row = self._link.rows(self._name, [key], (BODY, STATE)).get(key)
        return None if row is None or row[STATE] == DEAD else row

    def _new_place(self) -> int:
        self.head = replace(self.head, places=self.head.places + 1)
        return self.head.places
