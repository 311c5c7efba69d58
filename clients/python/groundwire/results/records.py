"""Records, and what searching for them gives."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from groundwire import vectors
from groundwire.call import Page
from groundwire.v1 import record_pb2, retrieve_service_pb2
from groundwire.values import JSON, from_struct, to_seconds


@dataclass(frozen=True, slots=True)
class ChunkPosition:
    """Where a chunk stands in its document's text, in characters; the end is exclusive."""

    ordinal: int
    start: int
    end: int
    page: int | None = None
    last_page: int | None = None
    headings: tuple[str, ...] = ()
    token_count: int = 0


@dataclass(frozen=True, slots=True)
class Record:
    """The unit of storage: an id with a vector, a text, or both."""

    id: str
    text: str | None = None
    metadata: Mapping[str, JSON] = field(default_factory=dict)
    vector: vectors.VectorLike | None = None
    """Float32; ``array('f')`` in an answer."""
    document_id: str = ""
    position: ChunkPosition | None = None


@dataclass(frozen=True, slots=True)
class Written:
    """An acknowledged write: its sequence number, and how many records it touched."""

    sequence: int
    count: int


@dataclass(frozen=True, slots=True)
class Counted:
    """How many records match, at a sequence number."""

    count: int
    sequence: int


@dataclass(frozen=True, slots=True)
class Hit:
    """A found record. Higher scores are better."""

    id: str
    score: float
    dense_score: float | None
    """By the collection's metric; None if it was not ranked by vectors."""
    lexical_score: float | None
    """BM25; None if it was not ranked by words."""
    record: Record


@dataclass(frozen=True, slots=True)
class SearchPlan:
    """How a search was done."""

    strategy: str
    scanned: int
    filtered: int | None
    took_s: float
    sequence: int


@dataclass(frozen=True, slots=True)
class SearchResult:
    """Hits, best first."""

    hits: tuple[Hit, ...]
    plan: SearchPlan


def record(message: record_pb2.Record) -> Record:
    """A record from its message."""
    return Record(
        id=message.id,
        text=message.text if message.HasField("text") else None,
        metadata=from_struct(message.metadata) if message.HasField("metadata") else {},
        vector=vectors.decode(message.vector) if message.HasField("vector") else None,
        document_id=message.document_id,
        position=_position(message.position) if message.HasField("position") else None,
    )


def records_or_none(
    message: retrieve_service_pb2.GetResponse,
) -> tuple[Record | None, ...]:
    """The answer of Get: None for an id that has no record."""
    return tuple(
        record(item.record) if item.HasField("record") else None for item in message.results
    )


def records(message: retrieve_service_pb2.ScrollResponse) -> Page[Record]:
    """A page of records."""
    return Page([record(item) for item in message.records], message.next_cursor)


def counted(message: retrieve_service_pb2.CountResponse) -> Counted:
    """The answer of Count."""
    return Counted(message.count, message.sequence)


def search_result(message: retrieve_service_pb2.SearchResponse) -> SearchResult:
    """The answer of Search."""
    plan = message.plan
    return SearchResult(
        tuple(_hit(item) for item in message.hits),
        SearchPlan(
            strategy=plan.strategy,
            scanned=plan.scanned,
            filtered=plan.filtered if plan.HasField("filtered") else None,
            took_s=to_seconds(plan.took),
            sequence=plan.sequence,
        ),
    )


def search_results(
    message: retrieve_service_pb2.SearchBatchResponse,
) -> tuple[SearchResult, ...]:
    """The answers of SearchBatch, in the order of the queries."""
    return tuple(search_result(item) for item in message.responses)


def _position(message: record_pb2.ChunkPosition) -> ChunkPosition:
    return ChunkPosition(
        ordinal=message.ordinal,
        start=message.start,
        end=message.end,
        page=message.page if message.HasField("page") else None,
        last_page=message.last_page if message.HasField("last_page") else None,
        headings=tuple(message.headings),
        token_count=message.token_count,
    )


def _hit(message: retrieve_service_pb2.Hit) -> Hit:
    return Hit(
        id=message.id,
        score=message.score,
        dense_score=message.dense_score if message.HasField("dense_score") else None,
        lexical_score=message.lexical_score if message.HasField("lexical_score") else None,
        record=record(message.record),
    )


def written(
    message: retrieve_service_pb2.UpsertResponse
    | retrieve_service_pb2.UpsertStreamResponse
    | retrieve_service_pb2.DeleteResponse,
) -> Written:
    """The answer of a write."""
    return Written(message.sequence, message.count)
