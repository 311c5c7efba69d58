"""Records, documents and the rest as rows of Milvus, and back."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime

import numpy as np

from groundwire_index.checks import require
from groundwire_index.encoding import (
    Batch,
    EncodedRecord,
    decode_metadata,
    decode_position,
)
from groundwire_index.milvus.facts import facts_of
from groundwire_index.milvus.link import Row
from groundwire_index.milvus.schema import (
    ANSWER,
    BODY,
    DEAD,
    DOCUMENT,
    FACTS,
    KEY,
    MAX_FACTS_BYTES,
    MAX_TEXT_BYTES,
    NO_RECORD,
    PLACE,
    POSITION,
    RECORD,
    STATE,
    STORED_DOCUMENT,
    TEXT,
    TIME,
    VECTOR,
    WITH_VECTOR,
    WITHOUT_VECTOR,
)
from groundwire_index.milvus.words import text_of, text_word
from groundwire_index.records import Document, Include, Record, Vector

_ALWAYS = (DOCUMENT, POSITION, STATE)


def record_key(record_id: str) -> str:
    """Where a record is; and so what `DOCUMENT` holds of a document's id."""
    return RECORD + text_word(record_id)


def document_key(document_id: str) -> str:
    """Where a document is."""
    return STORED_DOCUMENT + text_word(document_id)


def answer_key(idempotency_key: str) -> str:
    """Where the first answer is that an idempotency key got."""
    return ANSWER + text_word(idempotency_key)


def id_of(key: str) -> str:
    """The id of the record or document that is there."""
    return text_of(key[1:])


@dataclass(frozen=True, slots=True)
class Answer:
    """What an idempotency key was answered first."""

    key: str
    digest: str
    """Equal if and only if the request is."""
    sequence: int
    count: int
    time: float
    """Seconds since the epoch."""


@dataclass(frozen=True, slots=True)
class Filler:
    """What the rows that have no vector have for one: Milvus wants one in each."""

    vector: Vector

    @classmethod
    def of(cls, dimension: int) -> Filler:
        """A unit vector, which every metric can compare."""
        vector = np.zeros(dimension, np.float32)
        vector[0] = 1.0
        return cls(vector)

    def row(self, key: str, body: object, state: int = NO_RECORD) -> Row:
        """A row that is no record."""
        return {
            KEY: key,
            STATE: state,
            PLACE: 0,
            DOCUMENT: "",
            TEXT: None,
            BODY: _encoded(body),
            POSITION: None,
            FACTS: {},
            VECTOR: self.vector,
        }

    def document(self, document: Document) -> Row:
        """The row of a document. Raises InvalidArgumentError if Milvus has no room for it."""
        body = asdict(document) | {"update_time": document.update_time.timestamp()}
        _check_size(_encoded(body), "document", MAX_TEXT_BYTES)
        return self.row(document_key(document.id), body)

    def answer(self, answer: Answer) -> Row:
        """The row of an answer, whose time can be asked for."""
        row = self.row(answer_key(answer.key), asdict(answer))
        return {**row, FACTS: {TIME: int(answer.time)}}

    def dead(self, key: str) -> Row:
        """A row in the place of one that goes."""
        return self.row(key, {}, DEAD)

    def records(self, records: Sequence[Record], batch: Batch) -> list[Row]:
        """The rows of checked records, which still lack their places.

        Raises InvalidArgumentError for what Milvus has no room for.
        """
        numbers = {record.id: number for number, record in enumerate(records)}
        vectors = iter(batch.vectors)
        return [
            self._record(record, f"records[{numbers[record.id]}]", vectors)
            for record in batch.records
        ]

    def _record(self, record: EncodedRecord, field: str, vectors: Iterator[Vector]) -> Row:
        facts = facts_of(decode_metadata(record.metadata))
        _check_size(record.text, f"{field}.text", MAX_TEXT_BYTES)
        _check_size(record.metadata, f"{field}.metadata", MAX_TEXT_BYTES)
        _check_size(record.position, f"{field}.position", MAX_TEXT_BYTES)
        _check_size(_encoded(facts), f"{field}.metadata", MAX_FACTS_BYTES, "as filters read it, ")
        return {
            KEY: record_key(record.id),
            STATE: WITH_VECTOR if record.has_vector else WITHOUT_VECTOR,
            DOCUMENT: record_key(record.document_id) if record.document_id else "",
            TEXT: record.text,
            BODY: record.metadata,
            POSITION: record.position,
            FACTS: facts,
            VECTOR: next(vectors) if record.has_vector else self.vector,
        }


def _check_size(text: str | None, field: str, most: int, how: str = "") -> None:
    size = len((text or "").encode())
    require(
        size <= most,
        field,
        f"is {how}{size:,} bytes long; at most {most:,} are allowed with the index in Milvus",
    )


def fields_of(include: Include) -> tuple[str, ...]:
    """The fields that a record is read from."""
    chosen = ((TEXT, include.text), (BODY, include.metadata), (VECTOR, include.vector))
    return (*_ALWAYS, *(field for field, wanted in chosen if wanted))


def record_of(row: Row, include: Include) -> Record:
    """The record that a row holds."""
    vector = row[VECTOR] if include.vector and row[STATE] == WITH_VECTOR else None
    return Record(
        id=id_of(row[KEY]),
        vector=None if vector is None else np.array(vector, np.float32),
        text=row[TEXT] if include.text else None,
        metadata=decode_metadata(row[BODY]) if include.metadata else {},
        document_id=id_of(row[DOCUMENT]) if row[DOCUMENT] else "",
        position=decode_position(row[POSITION]),
    )


def document_of(row: Row) -> Document:
    """The document that a row holds."""
    body = json.loads(row[BODY])
    update_time = datetime.fromtimestamp(body.pop("update_time"), UTC)
    return Document(**body, update_time=update_time)


def answer_of(row: Row) -> Answer:
    """The answer that a row holds."""
    return Answer(**json.loads(row[BODY]))


def _encoded(body: object) -> str:
    return json.dumps(body, ensure_ascii=False, separators=(",", ":"))
