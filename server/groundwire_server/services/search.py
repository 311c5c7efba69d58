"""Searches on the wire: what is asked, and what was found."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace

from groundwire.v1 import retrieve_service_pb2 as pb
from groundwire_index.errors import InvalidArgumentError
from groundwire_index.fusion import Fusion, ReciprocalRank, WeightedSum
from groundwire_index.records import Hit, SearchMode, SearchQuery, SearchResult, Vector

from groundwire_server.services.enums import enum_of
from groundwire_server.services.filters import filter_of
from groundwire_server.services.records import fill_record, include_of
from groundwire_server.services.validate import (
    require,
    require_count,
    require_id,
    require_range,
    require_text,
)
from groundwire_server.services.vectors import vector_of
from groundwire_server.services.violations import within

MAX_TOP_K = 1000
DEFAULT_TOP_K = 10
MAX_SEARCHES = 256

_MODES: dict[int, SearchMode | None] = {
    pb.SEARCH_MODE_UNSPECIFIED: None,
    pb.SEARCH_MODE_DENSE: SearchMode.DENSE,
    pb.SEARCH_MODE_LEXICAL: SearchMode.LEXICAL,
    pb.SEARCH_MODE_HYBRID: SearchMode.HYBRID,
}


@dataclass(frozen=True, slots=True)
class Search:
    """A search whose vector may still have to be found."""

    query: SearchQuery
    text_to_embed: str = ""
    record_id: str = ""
    """The record whose vector is meant."""

    def with_vector(self, vector: Vector) -> Search:
        """The same search, ready to run."""
        return Search(replace(self.query, vector=vector))


def search_of(request: pb.SearchRequest, text_mode: SearchMode) -> Search:
    """Read and check a search; ``text_mode`` is that of a text which says none.

    Raises InvalidArgumentError.
    """
    kind = request.WhichOneof("query")
    if kind is None:
        raise InvalidArgumentError("query", "set one of text, vector, record_id")
    mode = _mode_of(request, kind, text_mode)
    if kind == "text":
        require_text(request.text, "text")
    elif kind == "record_id":
        require_id(request.record_id, "record_id")
    query = SearchQuery(
        vector=vector_of(request.vector, "vector") if kind == "vector" else None,
        text=request.text if kind == "text" and mode is not SearchMode.DENSE else None,
        top_k=_top_k_of(request),
        mode=mode,
        filter=filter_of(request.filter, "filter") if request.HasField("filter") else None,
        fusion=_fusion_of(request, mode),
        min_score=_min_score_of(request),
        include=include_of(request.include),
        exclude_id=request.record_id if kind == "record_id" else "",
        exact=request.parameters.exact,
        ef=_parameter_of(request, "ef", 10_000),
        nprobe=_parameter_of(request, "nprobe", 65_536),
    )
    embeds = kind == "text" and mode is not SearchMode.LEXICAL
    return Search(query, request.text if embeds else "", request.record_id)


def searches_of(request: pb.SearchBatchRequest, text_mode: SearchMode) -> list[Search]:
    """Read and check a batch, which is of one collection."""
    require_count(len(request.searches), "searches", high=MAX_SEARCHES)
    searches = []
    for number, search in enumerate(request.searches):
        with within(f"searches[{number}]"):
            require(
                search.collection in ("", request.collection),
                "collection",
                "must be empty or that of the batch",
            )
            searches.append(search_of(search, text_mode))
    return searches


def search_message(result: SearchResult) -> pb.SearchResponse:
    """Write what was found, and how."""
    message = pb.SearchResponse()
    _fill(message, result)
    return message


def batch_message(results: Iterable[SearchResult]) -> pb.SearchBatchResponse:
    """Write what was found for each of many queries."""
    message = pb.SearchBatchResponse()
    for result in results:
        _fill(message.responses.add(), result)
    return message


def _fill(message: pb.SearchResponse, result: SearchResult) -> None:
    """In place, for whole messages are copied into those that they are put in."""
    plan = message.plan
    plan.strategy = result.plan.strategy
    plan.scanned = result.plan.scanned
    if result.plan.filtered is not None:
        plan.filtered = result.plan.filtered
    plan.took.FromNanoseconds(round(result.plan.took_s * 1e9))
    plan.sequence = result.plan.sequence
    for hit in result.hits:
        _fill_hit(message.hits.add(), hit)


def _fill_hit(message: pb.Hit, hit: Hit) -> None:
    message.id = hit.id
    message.score = hit.score
    if hit.dense_score is not None:
        message.dense_score = hit.dense_score
    if hit.lexical_score is not None:
        message.lexical_score = hit.lexical_score
    fill_record(message.record, hit.record)


def _mode_of(request: pb.SearchRequest, kind: str, text_mode: SearchMode) -> SearchMode:
    mode = enum_of(request.mode, _MODES, "mode")
    if kind == "text":
        return mode or text_mode
    require(
        mode in (None, SearchMode.DENSE),
        "mode",
        "needs a text query: a vector or a record can only be searched with SEARCH_MODE_DENSE",
    )
    return SearchMode.DENSE


def _top_k_of(request: pb.SearchRequest) -> int:
    if not request.HasField("top_k"):
        return DEFAULT_TOP_K
    require_range(request.top_k, "top_k", low=1, high=MAX_TOP_K)
    return request.top_k


def _parameter_of(request: pb.SearchRequest, name: str, high: int) -> int | None:
    if not request.parameters.HasField(name):  # type: ignore[arg-type] # A literal in the stubs.
        return None
    value: int = getattr(request.parameters, name)
    require_range(value, f"parameters.{name}", low=1, high=high)
    return value


def _min_score_of(request: pb.SearchRequest) -> float | None:
    if not request.HasField("min_score"):
        return None
    require(not math.isnan(request.min_score), "min_score", "is not a number")
    return request.min_score


def _fusion_of(request: pb.SearchRequest, mode: SearchMode) -> Fusion:
    if not request.HasField("fusion"):
        return WeightedSum()
    require(mode is SearchMode.HYBRID, "fusion", "is only for SEARCH_MODE_HYBRID")
    match request.fusion.WhichOneof("method"):
        case "reciprocal_rank":
            rank = request.fusion.reciprocal_rank
            if not rank.HasField("k"):
                return ReciprocalRank()
            require_range(rank.k, "fusion.reciprocal_rank.k", low=1, high=10_000)
            return ReciprocalRank(rank.k)
        case "weighted_sum":
            weighted = request.fusion.weighted_sum
            if not weighted.HasField("dense_weight"):
                return WeightedSum()
            field = "fusion.weighted_sum.dense_weight"
            require_range(weighted.dense_weight, field, low=0, high=1)
            return WeightedSum(weighted.dense_weight)
    raise InvalidArgumentError("fusion", "set one of reciprocal_rank, weighted_sum")
