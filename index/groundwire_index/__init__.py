"""Durable vector and keyword retrieval, usable without any server.

    >>> from pathlib import Path
    >>> import numpy as np
    >>> from groundwire_index import CollectionSpec, Index, Metric, Record, SearchQuery
    >>> with Index.open(Path("my-index")) as index:
    ...     info = index.create_collection(
    ...         "default", CollectionSpec("planets", Metric.COSINE, dimension=3)
    ...     )
    ...     planets = index.collection("default", "planets")
    ...     written = planets.upsert(
    ...         [
    ...             Record("mars", np.array([1, 0, 0], np.float32), "The red planet."),
    ...             Record("venus", np.array([0, 1, 0], np.float32), "The hottest planet."),
    ...         ]
    ...     )
    ...     found = planets.search(SearchQuery(np.array([0.9, 0.1, 0], np.float32), top_k=1))
    >>> [(hit.id, round(hit.score, 2), hit.record.text) for hit in found.hits]
    [('mars', 0.99, 'The red planet.')]

When `upsert` has returned, the records survive a crash of the process and of the machine.
Filters are made of the classes in `groundwire_index.filters`; errors are those of
`groundwire_index.errors`; `groundwire_index.ingest` turns files into chunks.
"""

from groundwire_index.collection import Collection
from groundwire_index.fusion import ReciprocalRank, WeightedSum
from groundwire_index.index import Index
from groundwire_index.records import (
    CollectionInfo,
    CollectionSpec,
    CollectionState,
    Document,
    Fingerprint,
    Hit,
    Include,
    Metric,
    Record,
    SearchMode,
    SearchPlan,
    SearchQuery,
    SearchResult,
    VectorType,
)

__all__ = [
    "Collection",
    "CollectionInfo",
    "CollectionSpec",
    "CollectionState",
    "Document",
    "Fingerprint",
    "Hit",
    "Include",
    "Index",
    "Metric",
    "ReciprocalRank",
    "Record",
    "SearchMode",
    "SearchPlan",
    "SearchQuery",
    "SearchResult",
    "VectorType",
    "WeightedSum",
]
