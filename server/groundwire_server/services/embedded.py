"""The vectors that requests leave to the server: texts become vectors, records lend theirs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from groundwire_index.backend import CollectionBackend
from groundwire_index.errors import FailedPreconditionError
from groundwire_index.records import CollectionSpec, Record

from groundwire_server.embedders.embedder import Embedder, EmbedKind, Priority
from groundwire_server.embedders.match import require_match
from groundwire_server.observability.search import SearchMetrics
from groundwire_server.services.search import Search


async def with_vectors(
    records: Sequence[Record], collection: CollectionBackend, embedder: Embedder
) -> Sequence[Record]:
    """The records, those without a vector given that of their text."""
    texts = [record.text or "" for record in records if record.vector is None]
    if not texts:
        return records
    require_match(collection.spec.name, collection.spec.fingerprint, embedder.fingerprint)
    embeddings = await embedder.embed(texts, EmbedKind.PASSAGE, priority=Priority.INGESTION)
    vectors = iter(embeddings.vectors)
    return [
        replace(record, vector=next(vectors)) if record.vector is None else record
        for record in records
    ]


async def with_query_vectors(
    searches: Sequence[Search],
    collection: CollectionBackend,
    embedder: Embedder,
    metrics: SearchMetrics,
) -> Sequence[Search]:
    """The searches, those by a text's meaning given its vector; all texts in one call."""
    texts = [search.text_to_embed for search in searches if search.text_to_embed]
    if not texts:
        return searches
    require_match(collection.spec.name, collection.spec.fingerprint, embedder.fingerprint)
    with metrics.embedding():
        vectors = iter((await embedder.embed(texts, EmbedKind.QUERY)).vectors)
    return [
        search.with_vector(next(vectors)) if search.text_to_embed else search for search in searches
    ]


def require_model(spec: CollectionSpec, model: str) -> None:
    """Refuse vectors that a client says are of another model than the collection's."""
    if not model or (spec.fingerprint is not None and spec.fingerprint.model == model):
        return
    held = f'of "{spec.fingerprint.model}"' if spec.fingerprint else "of no model it knows"
    raise FailedPreconditionError(
        f'collection "{spec.name}" holds vectors {held}, the request brings some of "{model}": '
        "vectors of different models cannot be compared",
        reason="EMBEDDING_MODEL_MISMATCH",
        metadata={
            "collection_model": spec.fingerprint.model if spec.fingerprint else "",
            "request_model": model,
        },
    )
