"""Snapshots on the wire."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Iterator

from groundwire.v1 import retrieve_service_pb2 as pb
from groundwire_index.backend import SnapshotBackend
from groundwire_index.backup.manifest import SnapshotInfo
from groundwire_index.backup.transfer import Incoming, Piece
from groundwire_index.errors import GroundwireError

from groundwire_server.blocking import run_blocking
from groundwire_server.services.collections import collection_message, timestamp_message
from groundwire_server.services.cursors import cursor_after, name_before
from groundwire_server.services.documents import read_on
from groundwire_server.services.validate import (
    page_size_of,
    require,
    require_idempotency_key,
    require_name,
)

# What a client still sends when its call fails is taken in up to here.
_READ_ON_BYTES = 64 * 2**20


def create(
    snapshots: SnapshotBackend, tenant: str, request: pb.CreateSnapshotRequest
) -> pb.CreateSnapshotResponse:
    """Take one."""
    require(bool(request.collection), "collection", "must name a collection")
    require_idempotency_key(request.idempotency_key)
    info = snapshots.take(tenant, request.collection, idempotency_key=request.idempotency_key)
    return pb.CreateSnapshotResponse(snapshot=snapshot_message(info))


def list_page(
    snapshots: SnapshotBackend, tenant: str, request: pb.ListSnapshotsRequest
) -> pb.ListSnapshotsResponse:
    """A page of them, newest first."""
    size = page_size_of(request.page_size)
    found = snapshots.page(
        tenant, collection=request.collection, before=name_before(request.cursor), limit=size + 1
    )
    page = found[:size]
    return pb.ListSnapshotsResponse(
        snapshots=map(snapshot_message, page),
        next_cursor=cursor_after(page[-1].id) if len(found) > size else "",
    )


def delete(
    snapshots: SnapshotBackend, tenant: str, request: pb.DeleteSnapshotRequest
) -> pb.DeleteSnapshotResponse:
    """Delete one."""
    _require_id(request.snapshot_id)
    snapshots.delete(tenant, request.snapshot_id)
    return pb.DeleteSnapshotResponse()


def restore(
    snapshots: SnapshotBackend, tenant: str, request: pb.RestoreSnapshotRequest
) -> pb.RestoreSnapshotResponse:
    """Restore one under a name."""
    _require_id(request.snapshot_id)
    if request.collection:
        require_name(request.collection, "collection")
    info = snapshots.restore(
        tenant, request.snapshot_id, name=request.collection, replacing=request.replace
    )
    return pb.RestoreSnapshotResponse(collection=collection_message(info))


async def download(
    snapshots: SnapshotBackend, tenant: str, request: pb.DownloadSnapshotRequest
) -> AsyncGenerator[pb.DownloadSnapshotResponse, None]:
    """One in pieces, each read when the one before has been taken."""
    _require_id(request.snapshot_id)
    pieces = await run_blocking(snapshots.outgoing, tenant, request.snapshot_id)
    while (chunk := await run_blocking(_next_chunk, pieces)) is not None:
        yield pb.DownloadSnapshotResponse(chunk=chunk)


async def upload(
    snapshots: SnapshotBackend, tenant: str, requests: AsyncIterator[pb.UploadSnapshotRequest]
) -> pb.UploadSnapshotResponse:
    """Take one in."""
    incoming = snapshots.incoming(tenant)
    try:
        info = await _received(incoming, requests)
    except GroundwireError:
        await read_on(requests, _READ_ON_BYTES)
        raise
    finally:
        await run_blocking(incoming.discard)
    return pb.UploadSnapshotResponse(snapshot=snapshot_message(info))


async def _received(
    incoming: Incoming, requests: AsyncIterator[pb.UploadSnapshotRequest]
) -> SnapshotInfo:
    async for request in requests:
        chunk = request.chunk
        await run_blocking(incoming.add, Piece(chunk.file, chunk.offset, chunk.data, chunk.crc32))
    return await run_blocking(incoming.finish)


def snapshot_message(info: SnapshotInfo) -> pb.Snapshot:
    """Describe a snapshot."""
    return pb.Snapshot(
        id=info.id,
        collection=info.spec.name,
        sequence=info.sequence,
        size_bytes=info.size_bytes,
        create_time=timestamp_message(info.create_time),
        sha256=info.sha256,
        records=info.records,
        vectors=info.vectors,
    )


def _next_chunk(pieces: Iterator[Piece]) -> pb.SnapshotChunk | None:
    piece = next(pieces, None)
    if piece is None:
        return None
    return pb.SnapshotChunk(
        file=piece.file, offset=piece.offset, data=piece.data, crc32=piece.crc32
    )


def _require_id(snapshot_id: str) -> None:
    require(bool(snapshot_id), "snapshot_id", "must name a snapshot")
