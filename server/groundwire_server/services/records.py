"""Records and their parts on the wire."""

from __future__ import annotations

from collections.abc import Iterable

from groundwire.v1 import record_pb2, retrieve_service_pb2
from groundwire_index.records import ChunkPosition, Include, Record

from groundwire_server.services.structs import dict_of, fill_struct
from groundwire_server.services.validate import require, require_bytes, require_id
from groundwire_server.services.vectors import vector_bytes, vector_of

MAX_TEXT_BYTES = 2**20


def records_of(messages: Iterable[record_pb2.Record], field: str) -> list[Record]:
    """Read records that are to be written; those with a text alone still lack their vector."""
    return [_record_of(message, f"{field}[{number}]") for number, message in enumerate(messages)]


def fill_record(message: record_pb2.Record, record: Record) -> None:
    """Write what a record has into an empty message: in place, for there can be thousands."""
    message.id = record.id
    if record.text is not None:
        message.text = record.text
    if record.vector is not None:
        message.vector.f32le = vector_bytes(record.vector)
    if record.metadata:
        fill_struct(message.metadata, record.metadata)
    if record.document_id:
        message.document_id = record.document_id
    if record.position is not None:
        _fill_position(message.position, record.position)


def include_of(message: retrieve_service_pb2.Include) -> Include:
    """Read which parts are wanted: text and metadata unless refused, the vector if asked for."""
    return Include(
        text=not message.HasField("text") or message.text,
        metadata=not message.HasField("metadata") or message.metadata,
        vector=message.vector,
    )


def _record_of(message: record_pb2.Record, field: str) -> Record:
    require_id(message.id, f"{field}.id")
    text = message.text if message.HasField("text") else None
    has_vector = message.HasField("vector")
    if text is not None:
        require_bytes(text, f"{field}.text", max_bytes=MAX_TEXT_BYTES)
    if not has_vector:
        require(text is not None, field, "has neither vector nor text: give one, or both")
        require(
            bool(text and not text.isspace()),
            f"{field}.text",
            "must hold something other than white space, or come with a vector",
        )
    if message.document_id:
        require_id(message.document_id, f"{field}.document_id")
    return Record(
        id=message.id,
        vector=vector_of(message.vector, f"{field}.vector") if has_vector else None,
        text=text,
        metadata=dict_of(message.metadata, f"{field}.metadata"),
        document_id=message.document_id,
        position=_position_of(message.position) if message.HasField("position") else None,
    )


def _position_of(message: record_pb2.ChunkPosition) -> ChunkPosition:
    return ChunkPosition(
        ordinal=message.ordinal,
        start=message.start,
        end=message.end,
        page=message.page if message.HasField("page") else None,
        last_page=message.last_page if message.HasField("last_page") else None,
        headings=tuple(message.headings),
        token_count=message.token_count,
    )


def _fill_position(message: record_pb2.ChunkPosition, position: ChunkPosition) -> None:
    message.SetInParent()
    message.ordinal = position.ordinal
    message.start = position.start
    message.end = position.end
    if position.page is not None:
        message.page = position.page
    if position.last_page is not None:
        message.last_page = position.last_page
    message.headings.extend(position.headings)
    message.token_count = position.token_count
