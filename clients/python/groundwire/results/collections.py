"""What describes a collection."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Literal, TypeAlias, cast

from groundwire.call import Page
from groundwire.v1 import collection_pb2, retrieve_service_pb2, vector_pb2
from groundwire.values import enum_word, to_time

Metric: TypeAlias = Literal["cosine", "dot", "euclidean"]
VectorType: TypeAlias = Literal["float32", "float16"]
IndexKind: TypeAlias = Literal["flat", "hnsw", "ivf_pq", "sq8", "cagra"]


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
class Collection:
    """A named set of records with one metric and one dimension."""

    name: str
    metric: Metric
    dimension: int
    fingerprint: Fingerprint | None
    """The embedder; None where clients bring their own vectors."""
    index_kind: IndexKind | Literal["unspecified", "unknown"]
    index_parameters: Mapping[str, str]
    records: int
    vectors: int
    documents: int
    disk_bytes: int
    state: Literal["ready", "restoring", "damaged", "unspecified", "unknown"]
    sequence: int
    create_time: datetime | None
    description: str
    aliases: tuple[str, ...] = ()
    """Other names that it answers to."""
    vector_type: VectorType | Literal["unspecified", "unknown"] = "float32"
    """What the numbers of its stored vectors are."""


def fingerprint(message: vector_pb2.Fingerprint) -> Fingerprint:
    """A fingerprint from its message."""
    return Fingerprint(
        message.model,
        message.revision,
        message.pooling,
        message.query_prefix,
        message.passage_prefix,
        message.dimension,
        message.normalized,
    )


def collection(message: collection_pb2.Collection) -> Collection:
    """A collection from its message."""
    return Collection(
        name=message.name,
        metric=cast(Metric, enum_word(collection_pb2.Metric.DESCRIPTOR, message.metric)),
        dimension=message.dimension,
        fingerprint=fingerprint(message.fingerprint) if message.HasField("fingerprint") else None,
        index_kind=cast(
            IndexKind, enum_word(collection_pb2.IndexKind.DESCRIPTOR, message.index.kind)
        ),
        index_parameters=dict(message.index.parameters),
        records=message.counts.records,
        vectors=message.counts.vectors,
        documents=message.counts.documents,
        disk_bytes=message.counts.disk_bytes,
        state=cast(
            Literal["ready"],
            enum_word(collection_pb2.CollectionState.DESCRIPTOR, message.state),
        ),
        sequence=message.sequence,
        create_time=to_time(message.create_time),
        description=message.description,
        aliases=tuple(message.aliases),
        vector_type=cast(
            VectorType, enum_word(collection_pb2.VectorType.DESCRIPTOR, message.vector_type)
        ),
    )


def collections(message: retrieve_service_pb2.ListCollectionsResponse) -> Page[Collection]:
    """A page of collections."""
    return Page([collection(item) for item in message.collections], message.next_cursor)
