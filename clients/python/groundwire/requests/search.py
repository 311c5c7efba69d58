"""Search and SearchBatch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias, TypedDict, Unpack

from groundwire import vectors
from groundwire.call import Unary, call
from groundwire.chat import SearchMode
from groundwire.made import made
from groundwire.requests.options import require_known
from groundwire.requests.records import Parts, parts
from groundwire.results import records as results
from groundwire.v1 import retrieve_service_pb2 as pb
from groundwire.v1.filter_pb2 import Filter
from groundwire.values import enum_number


@dataclass(frozen=True, slots=True)
class ReciprocalRank:
    """Join rankings by the sum of 1 / (k + rank)."""

    k: int = 60


@dataclass(frozen=True, slots=True)
class WeightedSum:
    """Join rankings by the weighted sum of scores, each a share of its best; the default."""

    dense_weight: float = 0.8


@dataclass(frozen=True, slots=True)
class Like:
    """Find what is close to the vector of this record, which is itself left out."""

    record_id: str


Query: TypeAlias = "str | Like | vectors.VectorLike"
"""A text (embedded by the collection's embedder), a record, or a vector."""


class SearchOptions(TypedDict, total=False):
    """What else a search may be told."""

    top_k: int
    mode: SearchMode
    """Default: "hybrid" for a text, if the server has a keyword index; else "dense"."""
    filter: Filter
    fusion: ReciprocalRank | WeightedSum
    min_score: float
    include: Parts
    """Parts of each record in the answer; text and metadata if absent."""
    at_least_sequence: int
    """Wait until this write is visible."""
    ef: int
    nprobe: int
    exact: bool
    embedding_model: str
    """What made the query's vector; checked against the collection's."""
    timeout: float | None


def search(
    collection: str, query: Query, **options: Unpack[SearchOptions]
) -> Unary[results.SearchResult]:
    """Find the best records for a query. See :class:`SearchOptions` for the rest."""
    return call(
        "RetrieveService/Search",
        _request(collection, query, options),
        pb.SearchResponse,
        results.search_result,
        options.get("timeout"),
    )


def search_batch(
    collection: str, queries: Sequence[Query], **options: Unpack[SearchOptions]
) -> Unary[tuple[results.SearchResult, ...]]:
    """Answer up to 256 queries at once, in order, all with the same options."""
    request = pb.SearchBatchRequest(
        collection=collection,
        searches=[_request(collection, query, options) for query in queries],
    )
    return call(
        "RetrieveService/SearchBatch",
        request,
        pb.SearchBatchResponse,
        results.search_results,
        options.get("timeout"),
    )


def _request(collection: str, query: Query, options: SearchOptions) -> pb.SearchRequest:
    require_known(options, SearchOptions)
    fusion = options.get("fusion")
    mode = enum_number(pb.SearchMode.DESCRIPTOR, options.get("mode"))
    request = made(
        pb.SearchRequest,
        collection=collection,
        top_k=options.get("top_k"),
        mode=mode,
        filter=options.get("filter"),
        fusion=_fusion(fusion) if fusion else None,
        min_score=options.get("min_score"),
        include=parts(options["include"]) if "include" in options else None,
        consistency=made(pb.Consistency, at_least_sequence=options.get("at_least_sequence")),
        parameters=made(
            pb.SearchParameters,
            ef=options.get("ef"),
            nprobe=options.get("nprobe"),
            exact=options.get("exact", False),
        ),
        embedding_model=options.get("embedding_model", ""),
    )
    if isinstance(query, str):
        request.text = query
    elif isinstance(query, Like):
        request.record_id = query.record_id
    else:
        request.vector.CopyFrom(vectors.encode(query))
    return request


def _fusion(fusion: ReciprocalRank | WeightedSum) -> pb.Fusion:
    if isinstance(fusion, ReciprocalRank):
        return pb.Fusion(reciprocal_rank=made(pb.ReciprocalRank, k=fusion.k))
    return pb.Fusion(weighted_sum=pb.WeightedSum(dense_weight=fusion.dense_weight))
