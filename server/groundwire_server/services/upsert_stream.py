"""A stream of upserts: while one message is written, the next is read, and no more."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass

from groundwire.v1 import retrieve_service_pb2 as pb
from groundwire_index.backend import CollectionBackend
from groundwire_index.errors import GroundwireError
from groundwire_index.records import Record

from groundwire_server.blocking import run_blocking
from groundwire_server.embedders.embedder import Embedder
from groundwire_server.services import writes
from groundwire_server.services.documents import PAUSE_S, read_on
from groundwire_server.services.embedded import require_model, with_vectors
from groundwire_server.services.validate import require
from groundwire_server.services.violations import within

# What a client still sends when its call fails is taken in up to here.
_READ_ON_BYTES = 64 * 2**20

Find = Callable[[str], Awaitable[CollectionBackend]]
Requests = AsyncIterator[pb.UpsertStreamRequest]


@dataclass(frozen=True, slots=True)
class _Piece:
    """One message, ready to be written."""

    request: pb.UpsertStreamRequest
    records: Sequence[Record]


class UpsertStream:
    """One call. Messages are written in order, and so the first that fails is the one told."""

    def __init__(self, requests: Requests, find: Find, embedder: Embedder) -> None:
        self._requests = requests
        self._find = find
        self._embedder = embedder
        self._name = ""
        self._collection: CollectionBackend | None = None
        self._received = 0
        self._stored = 0
        self._answer = pb.UpsertStreamResponse()

    async def run(self) -> pb.UpsertStreamResponse:
        """Write all messages. An error tells how many were stored before it."""
        ahead = asyncio.create_task(self._next())
        try:
            while (piece := await ahead) is not None:
                ahead = asyncio.create_task(self._next())
                await self._write(piece)
        except GroundwireError as error:
            error.metadata = {**error.metadata, **self._told()}
            await self._let_finish(ahead)
            raise
        finally:
            ahead.cancel()
        require(self._received > 0, "collection", "must be in the first message")
        return self._answer

    async def _next(self) -> _Piece | None:
        request = await anext(self._requests, None)
        if request is None:
            return None
        with within(f"messages[{self._received}]"):
            collection = await self._collection_of(request)
            records = await run_blocking(writes.records_to_stream, request)
            require_model(collection.spec, request.embedding_model)
            complete = await with_vectors(records, collection, self._embedder)
        self._received += 1
        return _Piece(request, complete)

    async def _collection_of(self, request: pb.UpsertStreamRequest) -> CollectionBackend:
        if self._collection is None:
            self._name = request.collection
            self._collection = await self._find(request.collection)
        require(
            request.collection in ("", self._name),
            "collection",
            f'must be empty or "{self._name}", as in the first message',
        )
        return self._collection

    async def _write(self, piece: _Piece) -> None:
        if piece.records and self._collection is not None:
            with within(f"messages[{self._stored}]"):
                written = await run_blocking(
                    writes.upsert, self._collection, piece.request, piece.records
                )
            self._answer.sequence = written.sequence
            self._answer.count += written.count
        self._stored += 1

    def _told(self) -> dict[str, str]:
        return {
            "messages_stored": str(self._stored),
            "records_stored": str(self._answer.count),
            "sequence": str(self._answer.sequence),
        }

    async def _let_finish(self, ahead: asyncio.Task[_Piece | None]) -> None:
        """One reader at a time: what is still being read first, then the rest."""
        with suppress(TimeoutError):
            await asyncio.wait_for(asyncio.gather(ahead, return_exceptions=True), PAUSE_S)
            await read_on(self._requests, _READ_ON_BYTES)
