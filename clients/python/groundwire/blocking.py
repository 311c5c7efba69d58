"""Running calls on threads: what `Client` stands on."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

import grpc

from groundwire import documents
from groundwire.call import ClientStream, Download, Exchange, Pages, Stream, Unary, Upload
from groundwire.channel import Connection
from groundwire.errors import UnknownError, translated
from groundwire.messages import Sending, serialized
from groundwire.results.documents import IngestResult, ingest_progress, ingest_result
from groundwire.results.events import Event, event
from groundwire.results.transcript import Transcript
from groundwire.silence import Silence
from groundwire.snapshot_folder import Arriving
from groundwire.v1.generate_service_pb2 import GenerateRequest, GenerateResponse
from groundwire.v1.retrieve_service_pb2 import (
    DownloadSnapshotRequest,
    DownloadSnapshotResponse,
    IngestDocumentRequest,
    IngestDocumentResponse,
)

R = TypeVar("R")


class Generation(Transcript):
    """An answer on its way. Iterate for its events; leaving the loop ends it on the server.

    Use it in a ``with`` block when it may be dropped before its loop begins.
    """

    def __init__(self, responses: Any) -> None:
        super().__init__()
        self._responses = responses

    def __iter__(self) -> Iterator[Event]:
        try:
            with translated():
                for response in self._responses:
                    if arrived := event(response):
                        self.add(arrived)
                        yield arrived
        finally:
            self.close()

    def text(self) -> str:
        """Wait for the end; the whole text."""
        for _ in self:
            pass
        return self.answer

    def close(self) -> None:
        """End it now. What has arrived stays; a finished answer is left as it is."""
        self._responses.cancel()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


class BlockingTransport:
    """Makes calls on one channel. Safe for any number of threads."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        options = connection.channel_options()
        if connection.credentials:
            self.channel = grpc.secure_channel(connection.target, connection.credentials, options)
        else:
            self.channel = grpc.insecure_channel(connection.target, options)
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

    def unary(self, call: Unary[R]) -> R:
        """Make one call."""
        method = self.channel.unary_unary(
            call.path,
            request_serializer=type(call.request).SerializeToString,
            response_deserializer=call.parse,
        )
        timeout = self.connection.deadline(call.timeout, generates=call.generates)
        with translated():
            answer = method(call.request, timeout=timeout, metadata=self._metadata)
        return call.decode(answer)

    def pages(self, call: Pages[R]) -> Iterator[R]:
        """Make calls until the last page."""
        page = self.unary(call.page(""))
        yield from page.items
        while page.next_cursor:
            page = self.unary(call.page(page.next_cursor))
            yield from page.items

    def stream(self, call: Stream) -> Generation:
        """Begin an answer."""
        timeout = self.connection.deadline(call.timeout, generates=True)
        return Generation(self._generate(call.request, timeout=timeout, metadata=self._metadata))

    def upload(self, call: Upload) -> IngestResult:
        """Send a file and wait for the result, as long as something moves."""
        silence = Silence(self.connection.deadline(call.timeout, generates=True))
        with call.source.open() as file:
            pieces = documents.requests(call.header, file)
            responses: Any = self._ingest(silence.broken_by(pieces), metadata=self._metadata)
            try:
                with silence.ends(responses.cancel):
                    return self._follow(call, silence.broken_by(responses))
            finally:
                responses.cancel()

    def client_stream(self, call: ClientStream[R]) -> R:
        """Send messages and wait for the answer, as long as something moves."""
        with self._sent(call) as (responses, _):
            return call.decode(next(responses))

    def exchange(self, call: Exchange[R]) -> Iterator[R]:
        """Send messages and iterate over their answers, as long as something moves."""
        with self._sent(call) as (responses, silence):
            for response in silence.broken_by(responses):
                with silence.put_off():
                    yield call.decode(response)

    @contextmanager
    def _sent(self, call: ClientStream[R] | Exchange[R]) -> Iterator[tuple[Iterator[Any], Silence]]:
        """The answers to messages that are being sent, and the silence that would end them."""
        # As if many answers came: they can be waited for while the call is watched.
        method = self.channel.stream_stream(
            call.path, request_serializer=serialized, response_deserializer=call.parse
        )
        silence = Silence(self.connection.deadline(call.timeout, generates=True))
        sending = Sending(call.messages)
        responses: Any = method(silence.broken_by(iter(sending)), metadata=self._metadata)
        try:
            with silence.ends(responses.cancel), sending.failures(), translated():
                yield responses, silence
        finally:
            responses.cancel()

    def download(self, call: Download) -> Path:
        """Fetch a snapshot, as long as something moves."""
        silence = Silence(self.connection.deadline(call.timeout, generates=True))
        with Arriving(call.folder) as arriving:
            responses: Any = self._download(call.request, metadata=self._metadata)
            try:
                with silence.ends(responses.cancel), translated():
                    for response in silence.broken_by(responses):
                        arriving.add(response.chunk)
            finally:
                responses.cancel()
            return arriving.finish()

    def _follow(self, call: Upload, responses: Iterator[IngestDocumentResponse]) -> IngestResult:
        with translated():
            for response in responses:
                if response.HasField("result"):
                    return ingest_result(response.result)
                call.on_progress(ingest_progress(response.progress))
        raise UnknownError("The server ended the ingest without a result: is it of this version?")

    def close(self) -> None:
        """Close the channel; calls in progress are cancelled."""
        self.channel.close()
