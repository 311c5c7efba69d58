"""Small things that the tests of the index share."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime

import numpy as np
from groundwire_index.records import (
    Document,
    Include,
    Metadata,
    Record,
    SearchResult,
    Vector,
    VectorType,
)

TENANT = "acme"
WITH_VECTOR = Include(vector=True)


class Clock:
    """Seconds since the epoch, as the test sets them."""

    def __init__(self) -> None:
        self.time = 1_700_000_000.0

    def __call__(self) -> float:
        return self.time

    def advance(self, seconds: float) -> None:
        self.time += seconds


def vector(*values: float) -> Vector:
    return np.array(values, np.float32)


def record(
    key: str,
    vector: Vector | None = None,
    text: str | None = None,
    *,
    metadata: Metadata | None = None,
    document_id: str = "",
) -> Record:
    if vector is None and text is None:
        vector = np.ones(3, np.float32)
    return Record(key, vector, text, metadata or {}, document_id)


def document(key: str, *, content: str = "0" * 64) -> Document:
    return Document(
        id=key,
        filename=f"{key}.txt",
        mime_type="text/plain",
        title=key.title(),
        version=0,
        content_sha256=content,
        chunk_count=0,
        page_count=0,
        character_count=10,
        metadata={"source": "test"},
        update_time=datetime(2000, 1, 1, tzinfo=UTC),
        recipe="plain",
    )


def as_stored(record: Record, vector_type: VectorType) -> Record:
    """The record that a collection with vectors of this type gives back."""
    if record.vector is None:
        return record
    return replace(record, vector=record.vector.astype(vector_type.value).astype(np.float32))


def ids(records: Iterable[Record]) -> list[str]:
    return [record.id for record in records]


def hit_ids(result: SearchResult) -> list[str]:
    return [hit.id for hit in result.hits]


def pairs(result: SearchResult) -> list[tuple[str, float]]:
    return [(hit.id, hit.score) for hit in result.hits]
