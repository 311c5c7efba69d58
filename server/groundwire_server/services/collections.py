"""Collections on the wire."""

from __future__ import annotations

from datetime import UTC, datetime

from google.protobuf.timestamp_pb2 import Timestamp
from groundwire.v1 import collection_pb2, retrieve_service_pb2
from groundwire_index.errors import NotFoundError
from groundwire_index.records import (
    CollectionChange,
    CollectionInfo,
    CollectionSpec,
    CollectionState,
    Fingerprint,
    Metric,
    VectorType,
)

from groundwire_server.services.enums import enum_of
from groundwire_server.services.validate import require
from groundwire_server.services.vectors import fingerprint_message

NO_EMBEDDER = "none"

_METRICS: dict[int, Metric] = {
    collection_pb2.METRIC_UNSPECIFIED: Metric.COSINE,
    collection_pb2.METRIC_COSINE: Metric.COSINE,
    collection_pb2.METRIC_DOT: Metric.DOT,
    collection_pb2.METRIC_EUCLIDEAN: Metric.EUCLIDEAN,
}
_METRIC_MESSAGES = {
    Metric.COSINE: collection_pb2.METRIC_COSINE,
    Metric.DOT: collection_pb2.METRIC_DOT,
    Metric.EUCLIDEAN: collection_pb2.METRIC_EUCLIDEAN,
}
_VECTOR_TYPES: dict[int, VectorType] = {
    collection_pb2.VECTOR_TYPE_UNSPECIFIED: VectorType.FLOAT32,
    collection_pb2.VECTOR_TYPE_FLOAT32: VectorType.FLOAT32,
    collection_pb2.VECTOR_TYPE_FLOAT16: VectorType.FLOAT16,
}
_VECTOR_TYPE_MESSAGES = {
    VectorType.FLOAT32: collection_pb2.VECTOR_TYPE_FLOAT32,
    VectorType.FLOAT16: collection_pb2.VECTOR_TYPE_FLOAT16,
}
_STATES = {
    CollectionState.READY: collection_pb2.COLLECTION_STATE_READY,
    CollectionState.DAMAGED: collection_pb2.COLLECTION_STATE_DAMAGED,
}
_KIND_MESSAGES = {
    "auto": collection_pb2.INDEX_KIND_UNSPECIFIED,
    "flat": collection_pb2.INDEX_KIND_FLAT,
    "hnsw": collection_pb2.INDEX_KIND_HNSW,
    "ivf_pq": collection_pb2.INDEX_KIND_IVF_PQ,
    "sq8": collection_pb2.INDEX_KIND_SQ8,
    "cagra": collection_pb2.INDEX_KIND_CAGRA,
}
_KINDS: dict[int, str] = {kind: name for name, kind in _KIND_MESSAGES.items()}


def spec_of(
    request: retrieve_service_pb2.CreateCollectionRequest, embedder: Fingerprint
) -> CollectionSpec:
    """Read what is to be created; ``embedder`` is the server's. The index checks the rest."""
    fingerprint = _fingerprint_of(request.embedder, embedder)
    return CollectionSpec(
        name=request.name,
        metric=enum_of(request.metric, _METRICS, "metric"),
        dimension=_dimension_of(request, fingerprint),
        fingerprint=fingerprint,
        index_kind=enum_of(request.index.kind, _KINDS, "index.kind"),
        index_parameters=dict(request.index.parameters),
        description=request.description,
        vector_type=enum_of(request.vector_type, _VECTOR_TYPES, "vector_type"),
    )


def change_of(request: retrieve_service_pb2.UpdateCollectionRequest) -> CollectionChange:
    """Read what is to be different. The index checks whether it can be."""
    has_index = request.HasField("index")
    require(
        has_index or request.HasField("description"),
        "description",
        "set description or index: nothing else of a collection can be changed",
    )
    return CollectionChange(
        description=request.description if request.HasField("description") else None,
        index_kind=enum_of(request.index.kind, _KINDS, "index.kind") if has_index else None,
        index_parameters=dict(request.index.parameters),
    )


def collection_message(info: CollectionInfo) -> collection_pb2.Collection:
    """Describe a collection."""
    spec = info.spec
    return collection_pb2.Collection(
        name=spec.name,
        metric=_METRIC_MESSAGES[spec.metric],
        dimension=spec.dimension,
        fingerprint=fingerprint_message(spec.fingerprint) if spec.fingerprint else None,
        index=collection_pb2.IndexConfig(
            kind=_KIND_MESSAGES[spec.index_kind], parameters=spec.index_parameters
        ),
        counts=collection_pb2.CollectionCounts(
            records=info.records,
            vectors=info.vectors,
            documents=info.documents,
            disk_bytes=info.disk_bytes,
        ),
        state=_STATES[info.state],
        sequence=info.sequence,
        create_time=timestamp_message(info.create_time),
        aliases=info.aliases,
        description=spec.description,
        vector_type=_VECTOR_TYPE_MESSAGES[spec.vector_type],
    )


def timestamp_message(time: datetime) -> Timestamp:
    """Write an aware time."""
    message = Timestamp()
    message.FromDatetime(time.astimezone(UTC))
    return message


def _fingerprint_of(name: str, embedder: Fingerprint) -> Fingerprint | None:
    if name == NO_EMBEDDER:
        return None
    if name and name != embedder.model:
        raise NotFoundError(
            f'embedder "{name}" is not served here: leave it empty for "{embedder.model}", or '
            f'"{NO_EMBEDDER}" to bring your own vectors',
            reason="MODEL_NOT_FOUND",
            metadata={"resource_type": "model", "resource_name": name},
        )
    return embedder


def _dimension_of(
    request: retrieve_service_pb2.CreateCollectionRequest, fingerprint: Fingerprint | None
) -> int:
    if fingerprint is None:
        require(
            request.HasField("dimension"),
            "dimension",
            f'is required with the embedder "{NO_EMBEDDER}"',
        )
        return request.dimension
    if request.HasField("dimension"):
        require(
            request.dimension == fingerprint.dimension,
            "dimension",
            f'{request.dimension:,} is not the {fingerprint.dimension:,} of "{fingerprint.model}": '
            f'leave it out, or set embedder to "{NO_EMBEDDER}" to bring your own vectors',
        )
    return fingerprint.dimension
