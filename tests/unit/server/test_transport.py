from __future__ import annotations

import asyncio
import struct
from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager, suppress

import grpc
import pytest
from google.protobuf.wrappers_pb2 import StringValue
from groundwire_index.errors import ResourceExhaustedError
from groundwire_server.addresses import Address
from groundwire_server.interceptors.errors import errors
from groundwire_server.interceptors.methods import Methods
from groundwire_server.services.health import HealthService
from groundwire_server.transport import ChannelOptions, bind, channel_options, grpc_server

from tests.patience import PATIENCE_S
from tests.unit.server.calls import SERVICE, Calls, client_stream, details_of, unary

MIB = 2**20
# What the field of a StringValue takes besides its text.
FRAME = len(StringValue(value="x" * MIB).SerializeToString()) - MIB
UNLIMITED = [("grpc.max_send_message_length", -1), ("grpc.max_receive_message_length", -1)]
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
PING, GOAWAY, SETTINGS = 6, 7, 4


async def echo(request: StringValue, context: object) -> StringValue:
    return request


async def grow(request: StringValue, context: object) -> StringValue:
    return StringValue(value="x" * 2 * MIB)


async def count(requests: AsyncIterator[StringValue], context: object) -> StringValue:
    return StringValue(value=str([len(request.value) async for request in requests]))


async def count_all(requests: AsyncIterator[StringValue], context: object) -> StringValue:
    sizes: list[int | None] = []
    with suppress(StopAsyncIteration):
        while True:
            try:
                sizes.append(len((await anext(requests)).value))
            except ResourceExhaustedError:
                sizes.append(None)
    return StringValue(value=str(sizes))


HANDLERS = {
    "Echo": unary(echo),
    "Grow": unary(grow),
    "Count": client_stream(count),
    "CountAll": client_stream(count_all),
}


@asynccontextmanager
async def listening(options: ChannelOptions) -> AsyncIterator[Address]:
    methods = Methods([errors], max_message_bytes=MIB)
    methods.add_registered_method_handlers(SERVICE, HANDLERS)
    server = grpc_server(options, methods, HealthService([SERVICE]), [])
    address = bind(server, Address("127.0.0.1", 0), "--listen")
    await server.start()
    yield address
    await server.stop(None)


@asynccontextmanager
async def calling(options: ChannelOptions) -> AsyncIterator[Calls]:
    async with (
        listening(options) as address,
        grpc.aio.insecure_channel(str(address), options=UNLIMITED) as channel,
    ):
        yield Calls(channel)


async def refusal(call: Awaitable[StringValue]) -> grpc.aio.AioRpcError:
    with pytest.raises(grpc.aio.AioRpcError) as ended:
        await call
    assert ended.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    return ended.value


async def texts(*sizes: int) -> AsyncIterator[StringValue]:
    for size in sizes:
        yield StringValue(value="x" * size)


@pytest.mark.parametrize("method", ["Echo", "Count"])
async def test_a_request_over_the_limit_is_told_what_to_do(method: str) -> None:
    async with calling(channel_options(MIB)) as calls:

        def call(size: int) -> Awaitable[StringValue]:
            if method == "Echo":
                return calls.unary("Echo")(StringValue(value="x" * size))
            return calls.client_stream("Count")(texts(1, size, 1))

        error = await refusal(call(MIB))
        assert error.details() == (
            f"the message has {MIB + FRAME:,} bytes, over the 1,048,576 that this server takes: "
            "send fewer records or texts in a call, send a document in smaller pieces through "
            "IngestDocument, or raise the server's setting max_message_bytes"
        )
        info = details_of(error)["ErrorInfo"]
        assert info.reason == "MESSAGE_TOO_LARGE"
        assert info.metadata == {
            "size_bytes": str(MIB + FRAME),
            "max_message_bytes": str(MIB),
        }
        assert "RetryInfo" not in details_of(error)
        # Else gRPC clients would send it all over again.
        assert dict(error.trailing_metadata() or ())["grpc-retry-pushback-ms"] == "-1"
        fits = MIB - FRAME
        assert len((await call(fits)).value) == (
            fits if method == "Echo" else len(f"[1, {fits}, 1]")
        )


async def test_a_stream_can_be_read_on_after_a_message_that_was_refused() -> None:
    async with calling(channel_options(MIB)) as calls:
        answer = await calls.client_stream("CountAll")(texts(1, MIB, 2, MIB, 3))
    assert answer.value == "[1, None, 2, None, 3]"


async def test_what_grpc_refuses_by_itself_leaves_the_connection_usable() -> None:
    async with calling(channel_options(MIB)) as calls:
        far_too_large = calls.unary("Echo")(StringValue(value="x" * 2 * MIB))
        assert "larger than max" in (await refusal(far_too_large)).details()
        assert "larger than max" in (await refusal(calls.unary("Grow")(StringValue()))).details()
        assert (await calls.unary("Echo")(StringValue(value="fits"))).value == "fits"


def test_the_largest_limit_that_can_be_set_is_one_that_grpc_knows() -> None:
    options = dict(channel_options(2**30))
    assert options["grpc.max_receive_message_length"] == 2**31 - 1


async def test_a_port_is_never_shared_with_another_server() -> None:
    options = channel_options(MIB)
    async with listening(options) as address:
        second = grpc_server(options, Methods([]), HealthService([]), [])
        with pytest.raises(RuntimeError, match="Failed to bind"):
            second.add_insecure_port(str(address))


class Frames:
    """A client of HTTP/2 frames, for what gRPC clients do by themselves."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        writer.write(PREFACE)
        self.send(SETTINGS, b"")

    def send(self, kind: int, payload: bytes, flags: int = 0) -> None:
        head = struct.pack(">I", len(payload))[1:] + bytes([kind, flags]) + bytes(4)
        self._writer.write(head + payload)

    async def receive(self) -> tuple[int, int, bytes]:
        """The kind, the flags and the payload of the next frame."""
        head = await self._reader.readexactly(9)
        length = int.from_bytes(head[:3])
        return head[3], head[4], await self._reader.readexactly(length)

    async def ping(self) -> bytes | None:
        """Ping, and wait for the answer; what the server says instead if it cuts us off."""
        self.send(PING, b"12345678")
        while True:
            kind, flags, payload = await self.receive()
            if kind == GOAWAY:
                return payload
            if kind == PING and flags & 1:
                return None


@asynccontextmanager
async def frames(address: Address) -> AsyncIterator[Frames]:
    reader, writer = await asyncio.open_connection(address.host, address.port)
    yield Frames(reader, writer)
    writer.close()
    await writer.wait_closed()


async def pings_until_cut_off(options: ChannelOptions) -> bytes | None:
    async with (
        listening(options) as address,
        frames(address) as client,
        asyncio.timeout(PATIENCE_S),
    ):
        for _ in range(8):
            await asyncio.sleep(0.01)  # Not to wait for something: this is how often it pings.
            if said := await client.ping():
                return said
    return None


async def test_clients_that_ping_too_often_are_cut_off() -> None:
    said = await pings_until_cut_off(channel_options(MIB, min_ping_interval_s=10))
    assert said is not None
    assert b"too_many_pings" in said


async def test_how_often_is_too_often_is_ours_to_say() -> None:
    """Without the option the interval is five minutes, and these pings would be too many."""
    assert await pings_until_cut_off(channel_options(MIB, min_ping_interval_s=0.001)) is None


async def test_the_server_finds_out_whether_a_silent_client_is_there() -> None:
    options = channel_options(MIB, keepalive_s=0.05)
    async with (
        listening(options) as address,
        frames(address) as client,
        asyncio.timeout(PATIENCE_S),
    ):
        while True:
            kind, flags, _ = await client.receive()
            if kind == PING and not flags:
                return
