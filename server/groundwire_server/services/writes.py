"""Writes: from a checked request to the index and back. All of it blocking."""

from __future__ import annotations

from collections.abc import Sequence

from groundwire.v1 import retrieve_service_pb2 as pb
from groundwire_index.backend import CollectionBackend
from groundwire_index.errors import InvalidArgumentError
from groundwire_index.filters import Filter
from groundwire_index.records import Record

from groundwire_server.services.enums import enum_of
from groundwire_server.services.filters import constant, filter_of
from groundwire_server.services.idempotency import digest_of
from groundwire_server.services.records import records_of
from groundwire_server.services.validate import (
    require,
    require_count,
    require_id,
    require_idempotency_key,
)

MAX_RECORDS = 10_000

_DURABILITIES: dict[int, str] = {
    pb.DURABILITY_UNSPECIFIED: "synced",
    pb.DURABILITY_SYNCED: "synced",
}


def records_to_upsert(request: pb.UpsertRequest) -> list[Record]:
    """Read and check an upsert; records that bring only a text still lack their vector."""
    require_idempotency_key(request.idempotency_key)
    enum_of(request.durability, _DURABILITIES, "durability")
    require_count(len(request.records), "records", high=MAX_RECORDS)
    return records_of(request.records, "records")


def records_to_stream(request: pb.UpsertStreamRequest) -> list[Record]:
    """The same of one message of a stream, which may hold none."""
    require_idempotency_key(request.idempotency_key)
    require_count(len(request.records), "records", low=0, high=MAX_RECORDS)
    return records_of(request.records, "records")


def upsert(
    collection: CollectionBackend,
    request: pb.UpsertRequest | pb.UpsertStreamRequest,
    records: Sequence[Record],
) -> pb.UpsertResponse:
    """Write records, all or none."""
    key = request.idempotency_key
    written = collection.upsert(
        records, idempotency_key=key, request_digest=digest_of(request) if key else b""
    )
    return pb.UpsertResponse(sequence=written.sequence, count=written.count)


def target_of(request: pb.DeleteRequest) -> tuple[str, ...] | Filter:
    """Read and check what is to be deleted: ids, or a filter that is not empty."""
    require_idempotency_key(request.idempotency_key)
    match request.WhichOneof("target"):
        case "ids":
            require_count(len(request.ids.ids), "ids.ids", low=0, high=MAX_RECORDS)
            return tuple(request.ids.ids)
        case "filter":
            chosen = filter_of(request.filter, "filter")
            require(
                constant(chosen) is None,
                "filter",
                "must hold a condition that decides: to remove everything, delete the collection",
            )
            return chosen
    raise InvalidArgumentError("target", "set one of ids, filter")


def delete(
    collection: CollectionBackend, request: pb.DeleteRequest, target: tuple[str, ...] | Filter
) -> pb.DeleteResponse:
    """Delete records, all or none."""
    remove = collection.delete_ids if isinstance(target, tuple) else collection.delete_filter
    removed = remove(target, idempotency_key=request.idempotency_key)  # type: ignore[arg-type]
    return pb.DeleteResponse(sequence=removed.sequence, count=removed.count)


def check_delete_document(request: pb.DeleteDocumentRequest) -> None:
    """Refuse a request without a document or with a key that is too long."""
    require_id(request.document_id, "document_id")
    require_idempotency_key(request.idempotency_key)


def delete_document(
    collection: CollectionBackend, request: pb.DeleteDocumentRequest
) -> pb.DeleteDocumentResponse:
    """Delete a document with all its chunks."""
    removed = collection.delete_document(
        request.document_id, idempotency_key=request.idempotency_key
    )
    return pb.DeleteDocumentResponse(sequence=removed.sequence, chunks=removed.count)
