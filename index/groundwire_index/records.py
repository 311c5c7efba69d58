"""The nouns of the index, as plain frozen dataclasses.

Vectors are one-dimensional ``numpy.float32`` arrays; times are aware UTC ``datetime``s;
metadata is a JSON object (``dict`` of str to str, float, int, bool, None, list, dict).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum

import numpy as np
from numpy.typing import NDArray

Vector = NDArray[np.float32]
JsonValue = None | bool | int | float | str | list["JsonValue"] | dict[str, "JsonValue"]
Metadata = Mapping[str, JsonValue]


class Metric(Enum):
    """How vectors are compared; a higher score is always closer."""

    COSINE = "cosine"
    """Cosine similarity, -1 to 1; zero vectors are refused."""
    DOT = "dot"
    """Inner product."""
    EUCLIDEAN = "euclidean"
    """Negated squared Euclidean distance."""


class SearchMode(Enum):
    """How records are ranked."""

    DENSE = "dense"
    LEXICAL = "lexical"
    HYBRID = "hybrid"


@dataclass(frozen=True, slots=True)
class Fingerprint:
    """What produced a vector; vectors are comparable only under equal fingerprints."""

    model: str
    revision: str
    pooling: str
    query_prefix: str
    passage_prefix: str
    dimension: int
    normalized: bool


@dataclass(frozen=True, slots=True)
class ChunkPosition:
    """Where a chunk stands in its document, in code points of the extracted text."""

    ordinal: int
    start: int
    end: int
    page: int | None = None
    last_page: int | None = None
    headings: tuple[str, ...] = ()
    token_count: int = 0


@dataclass(frozen=True, slots=True, eq=False)
class Record:
    """The unit of storage: an id with a vector, a text, or both."""

    id: str
    vector: Vector | None = None
    text: str | None = None
    metadata: Metadata = field(default_factory=dict)
    document_id: str = ""
    position: ChunkPosition | None = None


@dataclass(frozen=True, slots=True)
class Document:
    """A file that was ingested, at its current version."""

    id: str
    filename: str
    mime_type: str
    title: str
    version: int
    content_sha256: str
    chunk_count: int
    page_count: int
    character_count: int
    metadata: Metadata
    update_time: datetime
    recipe: str = ""
    """Digest of what besides the bytes decided the chunks (chunking, parser, embedder), as the
    ingester gave it. Opaque; stored and given back as it is."""
