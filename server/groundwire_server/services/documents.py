"""Ingests and documents on the wire."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from contextlib import contextmanager, suppress

from google.protobuf.message import Message
from groundwire.v1 import record_pb2
from groundwire.v1 import retrieve_service_pb2 as pb
from groundwire_index.errors import GroundwireError, InvalidArgumentError
from groundwire_index.ingest.filename import check_filename
from groundwire_index.records import Document

from groundwire_server.ingestion import Ingested, IngestEvent, IngestRequest, Progress, Stage
from groundwire_server.services.collections import timestamp_message
from groundwire_server.services.structs import dict_of, fill_struct
from groundwire_server.services.validate import require_id
from groundwire_server.services.violations import within

# A client that has sent nothing for so long is not writing.
PAUSE_S = 1.0
# What a message counts for that is too large, or none of this method.
_REFUSED_BYTES = 2**20

_STAGES = {
    Stage.RECEIVED: pb.INGEST_STAGE_RECEIVED,
    Stage.PARSED: pb.INGEST_STAGE_PARSED,
    Stage.CHUNKED: pb.INGEST_STAGE_CHUNKED,
    Stage.EMBEDDED: pb.INGEST_STAGE_EMBEDDED,
    Stage.STORED: pb.INGEST_STAGE_STORED,
    Stage.READY: pb.INGEST_STAGE_READY,
}


async def header_of(requests: AsyncIterator[pb.IngestDocumentRequest]) -> pb.IngestHeader:
    """Take the first message, which must be the header."""
    first = await anext(aiter(requests), None)
    if first is None or first.WhichOneof("part") != "header":
        raise InvalidArgumentError("header", "must be in the first message, before any data")
    return first.header


@contextmanager
def ingest_fields() -> Iterator[None]:
    """Put the path of the header before refused fields, all of which are in it but the data."""
    try:
        yield
    except InvalidArgumentError as error:
        if error.violations[0].field in ("data", "header"):
            raise
        with within("header"):
            raise


async def data_of(
    requests: AsyncIterator[pb.IngestDocumentRequest],
) -> AsyncGenerator[bytes, None]:
    """The bytes of the messages after the header."""
    async for request in requests:
        if request.WhichOneof("part") != "data":
            raise InvalidArgumentError("data", "every message after the first must carry data")
        yield request.data


async def read_on(requests: AsyncIterator[Message], max_bytes: int) -> None:
    """Take in what a client still sends, until it ends, pauses, or has sent ``max_bytes``.

    A grpc.aio client that is writing when the status of a failed call reaches it reports a
    failed write in its place (grpc/grpc#36066): so the status waits until it is not.
    """
    with suppress(StopAsyncIteration, TimeoutError):
        while max_bytes > 0:
            max_bytes -= await _bytes_of_next(requests)


async def _bytes_of_next(requests: AsyncIterator[Message]) -> int:
    try:
        return (await asyncio.wait_for(anext(requests), PAUSE_S)).ByteSize() + 1
    except GroundwireError:
        return _REFUSED_BYTES


def ingest_request_of(header: pb.IngestHeader, tenant: str) -> IngestRequest:
    """Read and check a header; refused fields are relative to it."""
    check_filename(header.filename)
    document_id = header.document_id or header.filename
    require_id(document_id, "document_id")
    chunking = header.chunking
    return IngestRequest(
        tenant=tenant,
        document_id=document_id,
        filename=header.filename,
        mime_type=header.mime_type,
        metadata=dict_of(header.metadata, "metadata"),
        max_tokens=chunking.max_tokens if chunking.HasField("max_tokens") else None,
        overlap_tokens=chunking.overlap_tokens if chunking.HasField("overlap_tokens") else None,
        force=header.force,
    )


def event_message(event: IngestEvent) -> pb.IngestDocumentResponse:
    """Write one event of an ingest."""
    match event:
        case Progress(stage, done, total):
            progress = pb.IngestProgress(stage=_STAGES[stage], done=done, total=total)
            return pb.IngestDocumentResponse(progress=progress)
        case Ingested(document, sequence, replaced, skipped):
            result = pb.IngestResult(
                document_id=document.id,
                version=document.version,
                chunks=document.chunk_count,
                replaced=replaced,
                skipped=skipped,
                sequence=sequence,
                document=document_message(document),
            )
            return pb.IngestDocumentResponse(result=result)


def document_message(document: Document) -> record_pb2.Document:
    """Write a document."""
    message = record_pb2.Document(
        id=document.id,
        filename=document.filename,
        mime_type=document.mime_type,
        title=document.title,
        version=document.version,
        content_sha256=document.content_sha256,
        chunk_count=document.chunk_count,
        page_count=document.page_count,
        character_count=document.character_count,
        update_time=timestamp_message(document.update_time),
    )
    if document.metadata:
        fill_struct(message.metadata, document.metadata)
    return message
