"""Reads: from a checked request to the index and back. All of it blocking."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from groundwire.v1 import retrieve_service_pb2 as pb
from groundwire_index.backend import CollectionBackend, IndexBackend
from groundwire_index.checks import check_query
from groundwire_index.errors import GroundwireError
from groundwire_index.records import SearchQuery

from groundwire_server.services.collections import collection_message
from groundwire_server.services.cursors import cursor_after, name_before
from groundwire_server.services.documents import document_message
from groundwire_server.services.filters import filter_of
from groundwire_server.services.records import fill_record, include_of
from groundwire_server.services.search import Search, batch_message, search_message
from groundwire_server.services.validate import page_size_of, require_count
from groundwire_server.services.violations import within

MAX_IDS = 10_000


def list_collections(
    index: IndexBackend, tenant: str, request: pb.ListCollectionsRequest
) -> pb.ListCollectionsResponse:
    """One page of the tenant's collections, by name."""
    size = page_size_of(request.page_size)
    infos = index.list_collections(tenant, after=name_before(request.cursor), limit=size + 1)
    page = infos[:size]
    return pb.ListCollectionsResponse(
        collections=map(collection_message, page),
        next_cursor=cursor_after(page[-1].spec.name) if len(infos) > size else "",
    )


def check_get(request: pb.GetRequest) -> None:
    """Refuse none and too many ids."""
    require_count(len(request.ids), "ids", high=MAX_IDS)


def get(collection: CollectionBackend, request: pb.GetRequest) -> pb.GetResponse:
    """Records by id, in request order."""
    records = collection.get(tuple(request.ids), include_of(request.include))
    response = pb.GetResponse()
    for record_id, record in zip(request.ids, records, strict=True):
        result = response.results.add(id=record_id)
        if record is not None:
            fill_record(result.record, record)
    return response


def scroll(collection: CollectionBackend, request: pb.ScrollRequest) -> pb.ScrollResponse:
    """One page of the records that match, in order of first insertion."""
    page = collection.scroll(
        filter_of(request.filter, "filter") if request.HasField("filter") else None,
        cursor=request.cursor,
        limit=page_size_of(request.page_size),
        include=include_of(request.include),
    )
    response = pb.ScrollResponse(next_cursor=page.next_cursor)
    for record in page.records:
        fill_record(response.records.add(), record)
    return response


def count(collection: CollectionBackend, request: pb.CountRequest) -> pb.CountResponse:
    """How many records match."""
    counted = collection.count(
        filter_of(request.filter, "filter") if request.HasField("filter") else None
    )
    return pb.CountResponse(count=counted.count, sequence=counted.sequence)


def search_together(
    collection: CollectionBackend, asked: Sequence[Search]
) -> list[pb.SearchResponse | Exception]:
    """The best records for each query, or what is wrong with it."""
    try:
        queries = [_query(collection, one) for one in asked]
        return [search_message(result) for result in collection.search_many(queries)]
    except GroundwireError as error:
        if len(asked) == 1:
            return [error]
        # What is wrong with one is no reason to refuse the others.
        return [answer for one in asked for answer in search_together(collection, [one])]


def search_batch(collection: CollectionBackend, asked: Sequence[Search]) -> pb.SearchBatchResponse:
    """The best records for each query, in request order, all from one state."""
    queries = []
    for number, one in enumerate(asked):
        with within(f"searches[{number}]"):
            # The index checks them too, but does not say which of many it refuses.
            spec = collection.spec
            queries.append(check_query(_query(collection, one), spec.metric, spec.dimension))
    return batch_message(collection.search_many(queries))


def list_documents(
    collection: CollectionBackend, request: pb.ListDocumentsRequest
) -> pb.ListDocumentsResponse:
    """One page of the collection's documents, by id."""
    size = page_size_of(request.page_size)
    documents = collection.list_documents(after=name_before(request.cursor), limit=size + 1)
    page = documents[:size]
    return pb.ListDocumentsResponse(
        documents=map(document_message, page),
        next_cursor=cursor_after(page[-1].id) if len(documents) > size else "",
    )


def _query(collection: CollectionBackend, asked: Search) -> SearchQuery:
    if not asked.record_id:
        return asked.query
    return replace(asked.query, vector=collection.vector_of(asked.record_id))
