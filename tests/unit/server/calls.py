"""A small API over the real interceptors and a real socket, for tests of one interceptor."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any

import grpc
from google.protobuf.wrappers_pb2 import StringValue
from google.rpc import error_details_pb2, status_pb2
from groundwire_server.interceptors.method import Interceptor
from groundwire_server.interceptors.methods import Methods

SERVICE = "test.Echo"


class Calls:
    """A client of the methods under test."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self.channel = channel

    def unary(self, name: str) -> Any:
        return self.channel.unary_unary(*self._of(name))

    def server_stream(self, name: str) -> Any:
        return self.channel.unary_stream(*self._of(name))

    def client_stream(self, name: str) -> Any:
        return self.channel.stream_unary(*self._of(name))

    def both_stream(self, name: str) -> Any:
        return self.channel.stream_stream(*self._of(name))

    def _of(self, name: str) -> tuple[str, Any, Any]:
        return f"/{SERVICE}/{name}", StringValue.SerializeToString, StringValue.FromString


def unary(behaviour: Callable[..., Any]) -> grpc.RpcMethodHandler[Any, Any]:
    return grpc.unary_unary_rpc_method_handler(behaviour, *CODECS)


def server_stream(behaviour: Callable[..., Any]) -> grpc.RpcMethodHandler[Any, Any]:
    return grpc.unary_stream_rpc_method_handler(behaviour, *CODECS)


def client_stream(behaviour: Callable[..., Any]) -> grpc.RpcMethodHandler[Any, Any]:
    return grpc.stream_unary_rpc_method_handler(behaviour, *CODECS)


def both_stream(behaviour: Callable[..., Any]) -> grpc.RpcMethodHandler[Any, Any]:
    return grpc.stream_stream_rpc_method_handler(behaviour, *CODECS)


CODECS = (StringValue.FromString, StringValue.SerializeToString)


@asynccontextmanager
async def serving(
    interceptors: Sequence[Interceptor],
    handlers: dict[str, grpc.RpcMethodHandler[Any, Any]],
    *,
    options: Sequence[tuple[str, int]] = (),
    reader_patience_s: float = 30.0,
) -> AsyncIterator[Calls]:
    """Serve the handlers behind the interceptors, to a client with these options."""
    methods = Methods(interceptors, reader_patience_s=reader_patience_s)
    methods.add_registered_method_handlers(SERVICE, handlers)
    server = grpc.aio.server()
    server.add_generic_rpc_handlers((methods,))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}", options=options) as channel:
        yield Calls(channel)
    await server.stop(None)


def details_of(error: grpc.aio.AioRpcError) -> dict[str, Any]:
    """The google.rpc details of a failed call, by the name of their type."""
    trailers = dict(error.trailing_metadata() or ())
    status = status_pb2.Status.FromString(trailers["grpc-status-details-bin"])
    assert status.code == error.code().value[0]
    found = {}
    for packed in status.details:
        name = packed.type_url.rpartition(".")[2]
        message = getattr(error_details_pb2, name)()
        assert packed.Unpack(message)
        found[name] = message
    return found
