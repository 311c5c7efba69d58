"""Writing, reading and counting records."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Literal, TypeAlias

from groundwire import vectors
from groundwire.call import Pages, Unary, call
from groundwire.made import made
from groundwire.requests.keys import idempotency_key as key
from groundwire.results import records as results
from groundwire.v1 import record_pb2
from groundwire.v1 import retrieve_service_pb2 as pb
from groundwire.v1.filter_pb2 import Filter
from groundwire.values import to_struct

Part: TypeAlias = Literal["text", "metadata", "vector"]
Parts: TypeAlias = Collection[Part]
"""The parts of a record that an answer carries."""


def upsert(
    collection: str,
    records: Sequence[results.Record],
    *,
    embedding_model: str = "",
    idempotency_key: str = "",
    timeout: float | None = None,
) -> Unary[results.Written]:
    """Write up to 10,000 records by id, all or none; a known id is replaced whole.

    A record without a vector is embedded from its text. ``embedding_model`` names what made
    the vectors, and is checked against the collection's.
    """
    request = pb.UpsertRequest(
        collection=collection,
        records=[record_message(record) for record in records],
        idempotency_key=key(idempotency_key),
        embedding_model=embedding_model,
    )
    return call("RetrieveService/Upsert", request, pb.UpsertResponse, results.written, timeout)


def delete(
    collection: str,
    ids: Sequence[str] = (),
    *,
    filter: Filter | None = None,  # noqa: A002 - the contract's word
    idempotency_key: str = "",
    timeout: float | None = None,
) -> Unary[results.Written]:
    """Delete records by id or by filter, all or none. Unknown ids are not an error."""
    if bool(ids) == (filter is not None):
        raise ValueError("Give ids or a filter, and not both.")
    request = pb.DeleteRequest(
        collection=collection,
        ids=pb.RecordIds(ids=ids) if ids else None,
        filter=filter,
        idempotency_key=key(idempotency_key),
    )
    return call("RetrieveService/Delete", request, pb.DeleteResponse, results.written, timeout)


def get(
    collection: str,
    ids: Sequence[str],
    *,
    include: Parts = ("text", "metadata"),
    at_least_sequence: int | None = None,
    timeout: float | None = None,
) -> Unary[tuple[results.Record | None, ...]]:
    """Read up to 10,000 records by id, in order; None where there is none."""
    request = pb.GetRequest(
        collection=collection,
        ids=ids,
        include=parts(include),
        consistency=made(pb.Consistency, at_least_sequence=at_least_sequence),
    )
    return call("RetrieveService/Get", request, pb.GetResponse, results.records_or_none, timeout)


def scroll(
    collection: str,
    *,
    filter: Filter | None = None,  # noqa: A002 - the contract's word
    include: Parts = ("text", "metadata"),
    page_size: int = 100,
    timeout: float | None = None,
) -> Pages[results.Record]:
    """Iterate over every record that matches, in order of first insertion."""
    return Pages(
        lambda cursor: call(
            "RetrieveService/Scroll",
            made(
                pb.ScrollRequest,
                collection=collection,
                filter=filter,
                cursor=cursor,
                page_size=page_size,
                include=parts(include),
            ),
            pb.ScrollResponse,
            results.records,
            timeout,
        )
    )


def count(
    collection: str,
    *,
    filter: Filter | None = None,  # noqa: A002 - the contract's word
    at_least_sequence: int | None = None,
    timeout: float | None = None,
) -> Unary[results.Counted]:
    """Count the records that match."""
    request = pb.CountRequest(
        collection=collection,
        filter=filter,
        consistency=made(pb.Consistency, at_least_sequence=at_least_sequence),
    )
    return call("RetrieveService/Count", request, pb.CountResponse, results.counted, timeout)


def parts(include: Parts) -> pb.Include:
    """The message for the parts of a record that are wanted."""
    unknown = set(include) - {"text", "metadata", "vector"}
    if unknown:
        raise ValueError(f"A record has text, metadata and vector, not {sorted(unknown)}.")
    return pb.Include(
        text="text" in include, metadata="metadata" in include, vector="vector" in include
    )


def record_message(record: results.Record) -> record_pb2.Record:
    """The message for a record that is to be written."""
    return record_pb2.Record(
        id=record.id,
        vector=None if record.vector is None else vectors.encode(record.vector),
        text=record.text,
        metadata=to_struct(record.metadata) if record.metadata else None,
        document_id=record.document_id,
        position=_position(record.position) if record.position else None,
    )


def _position(position: results.ChunkPosition) -> record_pb2.ChunkPosition:
    return made(
        record_pb2.ChunkPosition,
        ordinal=position.ordinal,
        start=position.start,
        end=position.end,
        page=position.page,
        last_page=position.last_page,
        headings=position.headings,
        token_count=position.token_count,
    )
