"""Finding the memories that matter: the index proposes by meaning and words, a score decides."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime

import numpy as np
from groundwire_index.backend import CollectionBackend
from groundwire_index.filters import Filter
from groundwire_index.fusion import WeightedSum
from groundwire_index.records import Hit, Include, SearchMode, SearchQuery, Vector

from groundwire_server.memory.memories.memory import Memory, Question, Recalled
from groundwire_server.memory.memories.score import LEXICAL, SEMANTIC, scored
from groundwire_server.memory.memories.selection import current, held, versions
from groundwire_server.memory.memories.stored import memory_of

# Candidates that recency and importance can put in another order.
_LEAST_CANDIDATES = 50
_CANDIDATES_PER_MEMORY = 2
_VECTOR_ONLY = Include(text=False, metadata=False, vector=True)
_FUSION = WeightedSum(SEMANTIC / (SEMANTIC + LEXICAL))


def recall(
    collection: CollectionBackend,
    question: Question,
    vector: Vector,
    mode: SearchMode,
    now: datetime,
) -> list[Recalled]:
    """The best memories for a question with this vector, best first, equals newest first."""
    at = question.as_of or now
    candidates = _candidates(collection, question, vector, mode, now)
    cosines = _cosines(collection, [hit for hit, _ in candidates], vector)
    found = [
        scored(memory, at, cosine=cosine, bm25=hit.lexical_score or 0.0)
        for (hit, memory), cosine in zip(candidates, cosines, strict=True)
    ]
    found.sort(key=lambda one: (-one.score, -one.memory.create_time.timestamp(), one.memory.id))
    return found[: question.top_k]


def _candidates(
    collection: CollectionBackend,
    question: Question,
    vector: Vector,
    mode: SearchMode,
    now: datetime,
) -> Sequence[tuple[Hit, Memory]]:
    def search(where: Filter) -> Sequence[tuple[Hit, Memory]]:
        hits = collection.search(
            SearchQuery(
                vector=vector,
                text=question.query if mode is SearchMode.HYBRID else None,
                top_k=max(_LEAST_CANDIDATES, _CANDIDATES_PER_MEMORY * question.top_k),
                mode=mode,
                filter=where,
                fusion=_FUSION,
            )
        ).hits
        return [(hit, memory_of(hit.record)) for hit in hits]

    subject, kinds = question.subject, question.kinds
    if question.as_of is not None:
        return search(held(versions(subject, kinds), question.as_of, now))
    # What a filter lets through is remembered, unless it has the time in it. Where the best of it
    # are held, they are the best of what is held.
    among = current(subject, kinds)
    found = search(among)
    if all(memory.is_held(now, now) for _, memory in found):
        return found
    return search(held(among, now, now))


def _cosines(collection: CollectionBackend, hits: Sequence[Hit], query: Vector) -> Iterable[float]:
    """Those of the hits, also of those that were found by words alone."""
    unknown = [hit.id for hit in hits if hit.dense_score is None]
    records = collection.get(unknown, _VECTOR_ONLY) if unknown else []
    known = {
        record.id: _cosine(record.vector, query)
        for record in records
        if record is not None and record.vector is not None
    }
    return [known.get(hit.id, 0.0) if hit.dense_score is None else hit.dense_score for hit in hits]


def _cosine(one: Vector, other: Vector) -> float:
    return float(np.dot(one, other) / (np.linalg.norm(one) * np.linalg.norm(other)))
