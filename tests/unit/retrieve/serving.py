"""RetrieveService on a real socket, over the real index and the real interceptors."""

from __future__ import annotations

from collections.abc import AsyncIterable, AsyncIterator, Awaitable, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import grpc
import numpy as np
from google.rpc import error_details_pb2, status_pb2
from groundwire.v1 import record_pb2, vector_pb2
from groundwire.v1 import retrieve_service_pb2 as pb
from groundwire.v1.retrieve_service_pb2_grpc import (
    RetrieveServiceStub,
    add_RetrieveServiceServicer_to_server,
)
from groundwire_index import Index
from groundwire_server.embedders.embedder import Embedder
from groundwire_server.ingestion import DocumentIngest
from groundwire_server.interceptors.errors import errors
from groundwire_server.interceptors.identity import identity
from groundwire_server.interceptors.methods import Methods
from groundwire_server.observability.metrics import Metrics
from groundwire_server.services.retrieve import RetrieveService

if TYPE_CHECKING:
    from groundwire.v1.retrieve_service_pb2_grpc import RetrieveServiceAsyncStub

MAX_DOCUMENT_BYTES = 2**22


@dataclass(frozen=True)
class Served:
    """A running service, and the things behind it."""

    stub: RetrieveServiceAsyncStub
    server: grpc.aio.Server
    index: Index
    metrics: Metrics

    async def create(self, name: str = "c", **fields: Any) -> None:
        await self.stub.CreateCollection(pb.CreateCollectionRequest(name=name, **fields))

    async def create_plain(self, name: str = "c", dimension: int = 2, **fields: Any) -> None:
        """A collection whose clients bring their vectors."""
        await self.create(name, embedder="none", dimension=dimension, **fields)

    async def upsert(self, *records: record_pb2.Record, collection: str = "c") -> int:
        written = await self.stub.Upsert(pb.UpsertRequest(collection=collection, records=records))
        return written.sequence

    async def get(self, *ids: str, collection: str = "c", **include: bool) -> list[Any]:
        request = pb.GetRequest(collection=collection, ids=ids, include=pb.Include(**include))
        found = (await self.stub.Get(request)).results
        return [one.record if one.HasField("record") else None for one in found]

    async def count(self, collection: str = "c") -> int:
        return (await self.stub.Count(pb.CountRequest(collection=collection))).count

    async def ingest(
        self, data: bytes, *, collection: str = "c", **header: Any
    ) -> list[pb.IngestDocumentResponse]:
        header.setdefault("filename", "guide.txt")
        requests = ingest_requests(data, collection=collection, **header)
        return [event async for event in self.stub.IngestDocument(requests)]

    async def result(self, data: bytes, **header: Any) -> pb.IngestResult:
        return (await self.ingest(data, **header))[-1].result


@asynccontextmanager
async def serving(
    folder: Path,
    embedder: Embedder,
    *,
    max_document_bytes: int = MAX_DOCUMENT_BYTES,
    options: Sequence[tuple[str, int]] = (),
) -> AsyncIterator[Served]:
    """Serve from a folder, with these options of gRPC."""
    spool = folder / "spool"
    spool.mkdir(exist_ok=True)
    documents = DocumentIngest(
        embedder,
        spool_dir=spool,
        chunk_tokens=32,
        chunk_overlap_tokens=4,
        max_document_bytes=max_document_bytes,
    )
    with Index.open(folder / "index") as index:
        methods = Methods([errors, identity])
        metrics = Metrics()
        service = RetrieveService(index, embedder, documents, metrics.search)
        add_RetrieveServiceServicer_to_server(service, methods)  # type: ignore[arg-type]
        own = (("grpc.max_receive_message_length", 32 * 2**20), ("grpc.so_reuseport", 0))
        server = grpc.aio.server(options=[*own, *options])
        server.add_generic_rpc_handlers((methods,))
        port = server.add_insecure_port("127.0.0.1:0")
        await server.start()
        try:
            async with grpc.aio.insecure_channel(
                f"127.0.0.1:{port}", options=[("grpc.max_receive_message_length", 32 * 2**20)]
            ) as channel:
                yield Served(RetrieveServiceStub(channel), server, index, metrics)
        finally:
            await server.stop(None)


def record(
    record_id: str, text: str | None = None, vector: Sequence[float] | None = None, **metadata: Any
) -> record_pb2.Record:
    message = record_pb2.Record(id=record_id, text=text)
    if vector is not None:
        message.vector.f32le = np.array(vector, "<f4").tobytes()
    if metadata:
        message.metadata.update(metadata)
    return message


def vector(*values: float) -> vector_pb2.Vector:
    return vector_pb2.Vector(values=vector_pb2.FloatList(values=values))


async def ingest_requests(
    data: bytes, *, piece: int = 2**16, **header: Any
) -> AsyncIterator[pb.IngestDocumentRequest]:
    metadata = header.pop("metadata", None)
    message = pb.IngestHeader(**header)
    if metadata is not None:
        message.metadata.update(metadata)
    yield pb.IngestDocumentRequest(header=message)
    for start in range(0, len(data), piece):
        yield pb.IngestDocumentRequest(data=data[start : start + piece])


async def messages(*requests: pb.IngestDocumentRequest) -> AsyncIterator[pb.IngestDocumentRequest]:
    for request in requests:
        yield request


@dataclass(frozen=True)
class Refusal:
    """How a call failed."""

    code: grpc.StatusCode
    message: str
    reason: str
    fields: tuple[str, ...] = field(default=())


async def refusal(call: Awaitable[Any] | AsyncIterable[Any]) -> Refusal:
    """The status and details with which a call ends."""
    try:
        if isinstance(call, AsyncIterable):
            async for _ in call:
                pass
        else:
            await call
    except grpc.aio.AioRpcError as error:
        return _refusal_of(error)
    raise AssertionError("the call succeeded")


def _refusal_of(error: grpc.aio.AioRpcError) -> Refusal:
    trailers = dict(error.trailing_metadata() or ())
    status = status_pb2.Status.FromString(trailers["grpc-status-details-bin"])
    info, bad = error_details_pb2.ErrorInfo(), error_details_pb2.BadRequest()
    for detail in status.details:
        detail.Unpack(info)
        detail.Unpack(bad)
    fields = tuple(violation.field for violation in bad.field_violations)
    return Refusal(error.code(), error.details() or "", info.reason, fields)


def ids_of(hits: Iterable[pb.Hit]) -> list[str]:
    return [hit.id for hit in hits]
