"""The nouns of the index, as plain frozen dataclasses.

Vectors are one-dimensional ``numpy.float32`` arrays; times are aware UTC ``datetime``s;
metadata is a JSON object (``dict`` of str to str, float, int, bool, None, list, dict).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import Enum
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from groundwire_index.filters import Filter
from groundwire_index.fusion import Fusion, WeightedSum

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

    @property
    def least(self) -> float | None:
        """The least score that there can be; None if there is no end."""
        return -1.0 if self is Metric.COSINE else None


class VectorType(Enum):
    """What the numbers of stored vectors are; queries are float32 in any case."""

    FLOAT32 = "float32"
    """As they come."""
    FLOAT16 = "float16"
    """Half the bytes: each number is rounded to the nearest of IEEE 754 binary16, which has eleven
    significant bits, and so is what vectors are compared by and given back as."""

    @property
    def dtype(self) -> np.dtype[np.float16 | np.float32]:
        """Little-endian, as in files."""
        return np.dtype(self.value).newbyteorder("<")


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


class CollectionState(Enum):
    """Whether a collection may be used."""

    READY = "ready"
    """Reads and writes work."""
    DAMAGED = "damaged"
    """Part of the data failed its checksum: reads serve the rest, writes are refused."""


@dataclass(frozen=True, slots=True)
class CollectionSpec:
    """What a collection is created with, and keeps until it is changed."""

    name: str
    """1 to 128 characters of ``[A-Za-z0-9._-]``, the first a letter or digit."""
    metric: Metric
    dimension: int
    """1 to 65,536."""
    fingerprint: Fingerprint | None = None
    """None when callers bring vectors of a model that nobody named."""
    index_kind: str = "auto"
    """``auto``, or one of `groundwire_index.ann.FAMILIES`, or ``flat``."""
    index_parameters: Mapping[str, str] = field(default_factory=dict)
    description: str = ""
    """At most 1,024 characters."""
    vector_type: VectorType = VectorType.FLOAT32


@dataclass(frozen=True, slots=True)
class CollectionChange:
    """What is to be different in a collection; what is None stays as it is."""

    description: str | None = None
    index_kind: str | None = None
    index_parameters: Mapping[str, str] = field(default_factory=dict)
    """In place of all that there are, if ``index_kind`` is given."""

    def applied_to(self, spec: CollectionSpec) -> CollectionSpec:
        """The changed spec."""
        if self.description is not None:
            spec = replace(spec, description=self.description)
        if self.index_kind is not None:
            parameters = dict(self.index_parameters)
            spec = replace(spec, index_kind=self.index_kind, index_parameters=parameters)
        return spec


@dataclass(frozen=True, slots=True)
class CollectionInfo:
    """A collection at one sequence number."""

    spec: CollectionSpec
    records: int
    """Live records."""
    vectors: int
    """Live records that have a vector."""
    documents: int
    disk_bytes: int
    """Bytes that its files occupy; 0 if they are not here."""
    state: CollectionState
    sequence: int
    """Number of the last acknowledged write; 0 before the first."""
    create_time: datetime
    indexed_fields: tuple[str, ...] = ()
    """Fields of the metadata by which filters are quick; ``$id`` stands for all records."""
    aliases: tuple[str, ...] = ()
    """Other names that it answers to, in order."""

    @property
    def name(self) -> str:
        """Of the spec."""
        return self.spec.name

    @property
    def metric(self) -> Metric:
        """Of the spec."""
        return self.spec.metric

    @property
    def dimension(self) -> int:
        """Of the spec."""
        return self.spec.dimension

    @property
    def fingerprint(self) -> Fingerprint | None:
        """Of the spec."""
        return self.spec.fingerprint


@dataclass(frozen=True, slots=True)
class Include:
    """Which parts of a record an answer carries; id, document id and position always come."""

    text: bool = True
    metadata: bool = True
    vector: bool = False


@dataclass(frozen=True, slots=True)
class WriteResult:
    """One acknowledged write."""

    sequence: int
    """Grows by one with each write of the collection."""
    count: int
    """Distinct ids written, or records deleted."""


@dataclass(frozen=True, slots=True)
class DocumentWrite:
    """One acknowledged new version of a document."""

    document: Document
    sequence: int
    replaced: bool
    """There was a former version."""


@dataclass(frozen=True, slots=True)
class Count:
    """How many records match, and when that was so."""

    count: int
    sequence: int


@dataclass(frozen=True, slots=True)
class ScrollPage:
    """One page of a scroll."""

    records: tuple[Record, ...]
    next_cursor: str
    """Empty on the last page."""


@dataclass(frozen=True, slots=True, eq=False)
class SearchQuery:
    """One search: DENSE needs ``vector``, LEXICAL needs ``text``, HYBRID needs both."""

    vector: Vector | None = None
    text: str | None = None
    top_k: int = 10
    """1 to 1,000."""
    mode: SearchMode = SearchMode.DENSE
    filter: Filter | None = None
    fusion: Fusion = field(default_factory=WeightedSum)
    """How a HYBRID search joins its two rankings."""
    min_score: float | None = None
    """Drops hits whose score is lower."""
    include: Include = field(default_factory=Include)
    exclude_id: str = ""
    """Left out of the hits; for "more like this record"."""
    exact: bool = False
    """Compare every vector, whatever the index."""
    ef: int | None = None
    """HNSW: size of the candidate list, 1 to 10,000; None for the index's own."""
    nprobe: int | None = None
    """IVF: lists to visit, 1 to 65,536; None for the index's own."""


class Hit(NamedTuple):
    """One found record; a tuple, because searches make many."""

    id: str
    score: float
    """Fused, dense or lexical score, by mode; higher is better."""
    dense_score: float | None
    """By the collection's metric; None if the record was not ranked by vectors."""
    lexical_score: float | None
    """BM25; None if the record was not ranked by words."""
    record: Record


@dataclass(frozen=True, slots=True)
class SearchPlan:
    """How a search was done."""

    strategy: str
    """``exact``, ``ann``, ``filtered-exact``, ``filtered-ann``, ``ann,exact`` (the index found too
    few), ``lexical``, ``hybrid(ann,lexical)``…"""
    scanned: int
    """Vectors that were compared in full precision."""
    filtered: int | None
    """Records that passed the filter; None without one, or if they were not counted."""
    took_s: float
    sequence: int
    """The state that was searched."""


@dataclass(frozen=True, slots=True, eq=False)
class SearchResult:
    """Hits, best first, ties in order of id; and the plan that found them."""

    hits: tuple[Hit, ...]
    plan: SearchPlan
