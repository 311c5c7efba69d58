"""Running calls on an event loop: what `AsyncClient` stands on."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, closing
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

import grpc.aio
from google.protobuf.message import Message

from groundwire import documents
from groundwire.call import ClientStream, Download, Exchange, Pages, Stream, Unary, Upload
from groundwire.channel import Connection
from groundwire.ending import answered
from groundwire.errors import UnknownError, translated
from groundwire.messages import Sending, serialized
from groundwire.results.documents import IngestResult, ingest_progress, ingest_result
from groundwire.results.events import Event, event
from groundwire.results.transcript import Transcript
from groundwire.silence import AsyncSilence
from groundwire.snapshot_folder import Arriving
from groundwire.v1.generate_service_pb2 import GenerateRequest, GenerateResponse
from groundwire.v1.retrieve_service_pb2 import (
    DownloadSnapshotRequest,
    DownloadSnapshotResponse,
    IngestDocumentRequest,
    IngestDocumentResponse,
)

R = TypeVar("R")
M = TypeVar("M", bound=Message)


class AsyncGeneration(Transcript):
    """An answer on its way. Iterate for its events; leaving the loop ends it on the server.

    Use it in an ``async with`` block when it may be dropped before its loop begins.
    """

    def __init__(self, responses: Any) -> None:
        super().__init__()
        self._responses = responses

    async def __aiter__(self) -> AsyncIterator[Event]:
        try:
            with translated():
                async for response in self._responses:
                    if arrived := event(response):
                        self.add(arrived)
                        yield arrived
        finally:
            self.close()

    async def text(self) -> str:
        """Wait for the end; the whole text."""
        async for _ in self:
            pass
        return self.answer

    def close(self) -> None:
        """End it now. What has arrived stays; a finished answer is left as it is."""
        self._responses.cancel()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


class AsyncTransport:
    """Makes calls on one channel, on the event loop that runs when it is made."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        options = connection.channel_options()
        if connection.credentials:
            self.channel = grpc.aio.secure_channel(
                connection.target, connection.credentials, options
            )
        else:
            self.channel = grpc.aio.insecure_channel(connection.target, options)
        self._metadata = connection.call_metadata()
        self._generate = self.channel.unary_stream(
            "/groundwire.v1.GenerateService/Generate",
            request_serializer=GenerateRequest.SerializeToString,
            response_deserializer=GenerateResponse.FromString,
        )
        self._download = self.channel.unary_stream(
            "/groundwire.v1.RetrieveService/DownloadSnapshot",
            request_serializer=DownloadSnapshotRequest.SerializeToString,
            response_deserializer=DownloadSnapshotResponse.FromString,
        )
        self._ingest = self.channel.stream_stream(
            "/groundwire.v1.RetrieveService/IngestDocument",
            request_serializer=IngestDocumentRequest.SerializeToString,
            response_deserializer=IngestDocumentResponse.FromString,
        )

    async def unary(self, call: Unary[R]) -> R:
        """Make one call."""
        method = self.channel.unary_unary(
            call.path,
            request_serializer=type(call.request).SerializeToString,
            response_deserializer=call.parse,
        )
        timeout = self.connection.deadline(call.timeout, generates=call.generates)
        with translated():
            answer = await method(call.request, timeout=timeout, metadata=self._metadata)
        return call.decode(answer)

    async def pages(self, call: Pages[R]) -> AsyncIterator[R]:
        """Make calls until the last page."""
        page = await self.unary(call.page(""))
        for item in page.items:
            yield item
        while page.next_cursor:
            page = await self.unary(call.page(page.next_cursor))
            for item in page.items:
                yield item

    def stream(self, call: Stream) -> AsyncGeneration:
        """Begin an answer."""
        timeout = self.connection.deadline(call.timeout, generates=True)
        return AsyncGeneration(
            self._generate(call.request, timeout=timeout, metadata=self._metadata)
        )

    async def upload(self, call: Upload) -> IngestResult:
        """Send a file and wait for the result, as long as something moves."""
        silence = AsyncSilence(self.connection.deadline(call.timeout, generates=True))
        with closing(await asyncio.to_thread(call.source.open)) as file:
            pieces = _on_thread(documents.requests(call.header, file))
            responses: Any = self._ingest(silence.broken_by(pieces), metadata=self._metadata)
            try:
                async with silence:
                    return await self._follow(call, silence.broken_by(answered(responses)))
            finally:
                responses.cancel()

    async def client_stream(self, call: ClientStream[R]) -> R:
        """Send messages and wait for the answer, as long as something moves."""
        async with self._sent(call) as (responses, _):
            return call.decode(await anext(responses))

    async def exchange(self, call: Exchange[R]) -> AsyncIterator[R]:
        """Send messages and iterate over their answers, as long as something moves."""
        async with self._sent(call) as (responses, silence):
            async for response in silence.broken_by(responses):
                with silence.put_off():
                    yield call.decode(response)

    @asynccontextmanager
    async def _sent(
        self, call: ClientStream[R] | Exchange[R]
    ) -> AsyncIterator[tuple[AsyncIterator[Any], AsyncSilence]]:
        """The answers to messages that are being sent, and the silence that would end them."""
        method = self.channel.stream_stream(
            call.path, request_serializer=serialized, response_deserializer=call.parse
        )
        silence = AsyncSilence(self.connection.deadline(call.timeout, generates=True))
        sending = Sending(call.messages)
        messages = aiter(sending) if call.messages.are_async else _on_thread(iter(sending))
        responses: Any = method(silence.broken_by(messages), metadata=self._metadata)
        try:
            async with silence:
                with sending.failures(), translated():
                    yield answered(responses), silence
        finally:
            responses.cancel()

    async def download(self, call: Download) -> Path:
        """Fetch a snapshot, as long as something moves."""
        silence = AsyncSilence(self.connection.deadline(call.timeout, generates=True))
        with Arriving(call.folder) as arriving:
            responses: Any = self._download(call.request, metadata=self._metadata)
            try:
                async with silence:
                    with translated():
                        async for response in silence.broken_by(responses):
                            await asyncio.to_thread(arriving.add, response.chunk)
            finally:
                responses.cancel()
            return await asyncio.to_thread(arriving.finish)

    async def _follow(
        self, call: Upload, responses: AsyncIterator[IngestDocumentResponse]
    ) -> IngestResult:
        with translated():
            async for response in responses:
                if response.HasField("result"):
                    return ingest_result(response.result)
                call.on_progress(ingest_progress(response.progress))
        raise UnknownError("The server ended the ingest without a result: is it of this version?")

    async def close(self) -> None:
        """Close the channel; calls in progress are cancelled."""
        await self.channel.close(grace=None)


async def _on_thread(pieces: Iterator[M]) -> AsyncIterator[M]:
    """The pieces, each made on a thread, so that the loop never waits for a disk."""
    while (piece := await asyncio.to_thread(next, pieces, None)) is not None:
        yield piece
