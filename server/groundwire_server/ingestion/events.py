"""What an ingest reports, in order."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from groundwire_index.records import Document


class Stage(Enum):
    """How far an ingest has come."""

    RECEIVED = "received"
    """All bytes are here."""
    PARSED = "parsed"
    CHUNKED = "chunked"
    EMBEDDED = "embedded"
    """Reported again and again, as vectors are made."""
    STORED = "stored"
    """The new version is on stable storage."""
    READY = "ready"
    """Chunks and vectors have been counted, and searches see them."""


@dataclass(frozen=True, slots=True)
class Progress:
    """``done`` of ``total``: bytes for RECEIVED, pages (or 1) for PARSED, else chunks."""

    stage: Stage
    done: int
    total: int


@dataclass(frozen=True, slots=True)
class Ingested:
    """The end of an ingest that succeeded."""

    document: Document
    sequence: int
    """Of the write, or of the collection if nothing was written."""
    replaced: bool = False
    """A former version was replaced."""
    skipped: bool = False
    """The same content was there already, made by the same recipe."""


IngestEvent = Progress | Ingested
