"""A client that leaves a stream unread is cut off, and one that is merely slow is not."""

from __future__ import annotations

import asyncio

import grpc
import pytest
from google.protobuf.wrappers_pb2 import StringValue
from groundwire_server.interceptors.admission import Admission
from groundwire_server.interceptors.errors import errors
from groundwire_server.interceptors.method import Call, Context, Method
from groundwire_server.interceptors.telemetry import Telemetry
from groundwire_server.observability.metrics import Metrics

from tests.patience import PATIENCE_S
from tests.standstills import undisturbed
from tests.unit.server.calls import Calls, both_stream, details_of, server_stream, serving

PAGE = StringValue(value="x" * 10_000)
# No more is on its way than a client asks for: gRPC would ask for more the faster it is sent.
SMALL_WINDOW = (("grpc.http2.bdp_probe", 0), ("grpc.http2.lookahead_bytes", 16_384))


class Pages:
    """Gives pages without end, and notes that it was let go of."""

    def __init__(self) -> None:
        self.given = 0
        self.closed = asyncio.Event()

    async def endless(self, request: object, context: object):
        try:
            while True:
                self.given += 1
                yield PAGE
        finally:
            self.closed.set()


async def none():
    return
    yield


def call_of(kind: str, calls: Calls):
    if kind == "Server":
        return calls.server_stream("Server")(StringValue())
    return calls.both_stream("Both")(none())


async def read_all(call, read: list[StringValue]) -> None:
    while (page := await call.read()) is not grpc.aio.EOF:
        read.append(page)


@pytest.mark.parametrize("kind", ["Server", "Both"])
async def test_a_stream_that_nobody_reads_is_cut_off(kind: str) -> None:
    pages, metrics, admission = Pages(), Metrics(), Admission(10)
    admission.open()
    handlers = {"Server": server_stream(pages.endless), "Both": both_stream(pages.endless)}
    interceptors = [Telemetry(metrics), errors, admission]
    async with serving(
        interceptors, handlers, options=SMALL_WINDOW, reader_patience_s=0.2
    ) as calls:
        call = call_of(kind, calls)
        assert await call.read() == PAGE
        async with asyncio.timeout(PATIENCE_S):
            await pages.closed.wait()
            await admission.wait_idle(PATIENCE_S)
        # It is over for the server, whose memory holds what flow control let it send.
        assert pages.given < 20
        # Who reads on is told why, after what was sent before.
        read: list[StringValue] = []
        with pytest.raises(grpc.aio.AioRpcError) as ended:
            await read_all(call, read)
    assert 1 + len(read) <= pages.given
    assert ended.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert details_of(ended.value)["ErrorInfo"].reason == "SLOW_READER"
    labels = {"service": "test.Echo", "method": kind}
    counted = metrics.registry.get_sample_value(
        "groundwire_requests_total", {**labels, "code": "RESOURCE_EXHAUSTED"}
    )
    assert counted == 1
    assert metrics.registry.get_sample_value("groundwire_requests_in_flight", labels) == 0


async def test_a_reader_that_takes_a_page_now_and_then_is_kept() -> None:
    await undisturbed(read_now_and_then, at_most_s=0.1)


async def read_now_and_then() -> None:
    pages = Pages()
    handlers = {"Server": server_stream(pages.endless)}
    async with serving([errors], handlers, options=SMALL_WINDOW, reader_patience_s=0.3) as calls:
        call = calls.server_stream("Server")(StringValue())
        began = asyncio.get_running_loop().time()
        while asyncio.get_running_loop().time() < began + 1.0:
            before = pages.given
            while pages.given == before:
                assert await call.read() == PAGE
        assert not pages.closed.is_set()
        call.cancel()


async def test_a_stream_with_nothing_to_say_may_be_silent_for_as_long_as_it_likes() -> None:
    await undisturbed(be_silent, at_most_s=0.05)


async def be_silent() -> None:
    more = asyncio.Event()

    async def quiet(request: object, context: object):
        yield PAGE
        await more.wait()
        yield PAGE

    async with serving([errors], {"Quiet": server_stream(quiet)}, reader_patience_s=0.2) as calls:
        call = calls.server_stream("Quiet")(StringValue())
        assert await call.read() == PAGE
        asyncio.get_running_loop().call_later(0.6, more.set)
        assert await call.read() == PAGE
        assert await call.read() is grpc.aio.EOF


async def test_a_client_that_leaves_while_it_is_cut_off_has_left() -> None:
    ended: asyncio.Future[type[BaseException] | None] = asyncio.get_running_loop().create_future()

    def noting(method: Method, call: Call) -> Call:
        async def noted(request: object, context: Context) -> None:
            try:
                await call(request, context)
            except BaseException as error:
                ended.set_result(type(error))
                raise

        return noted

    async def unread(request: object, context: object):
        try:
            while True:
                yield PAGE
        finally:
            call.cancel()
            # Until the server hears of it.
            await asyncio.Event().wait()

    handlers = {"Unread": server_stream(unread)}
    async with serving(
        [errors, noting], handlers, options=SMALL_WINDOW, reader_patience_s=0.1
    ) as calls:
        call = calls.server_stream("Unread")(StringValue())
        assert await asyncio.wait_for(ended, PATIENCE_S) is asyncio.CancelledError
