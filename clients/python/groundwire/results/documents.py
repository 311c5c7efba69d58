"""Ingested documents."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Literal, TypeAlias, cast

from groundwire.call import Page
from groundwire.results.records import Written
from groundwire.v1 import record_pb2, retrieve_service_pb2
from groundwire.values import JSON, enum_word, from_struct, to_time

IngestStage: TypeAlias = Literal[
    "received", "parsed", "chunked", "embedded", "stored", "ready", "unknown", "unspecified"
]


@dataclass(frozen=True, slots=True)
class Document:
    """An ingested file at its current version."""

    id: str
    filename: str
    mime_type: str
    title: str
    version: int
    content_sha256: str
    chunk_count: int
    page_count: int
    character_count: int
    metadata: Mapping[str, JSON]
    update_time: datetime | None


@dataclass(frozen=True, slots=True)
class IngestProgress:
    """How far an ingest has come: bytes for "received", pages for "parsed", else chunks."""

    stage: IngestStage
    done: int
    total: int


@dataclass(frozen=True, slots=True)
class IngestResult:
    """What an ingest did."""

    document: Document
    chunks: int
    replaced: bool
    skipped: bool
    sequence: int


def document(message: record_pb2.Document) -> Document:
    """A document from its message."""
    return Document(
        id=message.id,
        filename=message.filename,
        mime_type=message.mime_type,
        title=message.title,
        version=message.version,
        content_sha256=message.content_sha256,
        chunk_count=message.chunk_count,
        page_count=message.page_count,
        character_count=message.character_count,
        metadata=from_struct(message.metadata),
        update_time=to_time(message.update_time),
    )


def documents(message: retrieve_service_pb2.ListDocumentsResponse) -> Page[Document]:
    """A page of documents."""
    return Page([document(item) for item in message.documents], message.next_cursor)


def ingest_progress(message: retrieve_service_pb2.IngestProgress) -> IngestProgress:
    """A step of an ingest."""
    stage = enum_word(retrieve_service_pb2.IngestStage.DESCRIPTOR, message.stage)
    return IngestProgress(cast(IngestStage, stage), message.done, message.total)


def ingest_result(message: retrieve_service_pb2.IngestResult) -> IngestResult:
    """The end of an ingest."""
    return IngestResult(
        document(message.document),
        message.chunks,
        message.replaced,
        message.skipped,
        message.sequence,
    )


def deleted(message: retrieve_service_pb2.DeleteDocumentResponse) -> Written:
    """The answer of DeleteDocument; the count is of chunks."""
    return Written(message.sequence, message.chunks)
