"""The methods of the API, each with the interceptors folded around it once."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping, Sequence
from contextlib import aclosing
from typing import Any, TypeAlias, cast

import grpc
from google.protobuf.descriptor import MethodDescriptor, ServiceDescriptor
from groundwire_index.errors import UnavailableError, UnsupportedError

from groundwire_server.interceptors.decoding import (
    LARGEST_MESSAGE_BYTES,
    Decode,
    DecodedRequests,
    decoder,
)
from groundwire_server.interceptors.method import Call, Context, Interceptor, Method
from groundwire_server.interceptors.patience import DEFAULT_S, Patience

Handler: TypeAlias = "grpc.RpcMethodHandler[Any, Any]"  # Generic in the stubs only.


class Methods(grpc.GenericRpcHandler):  # type: ignore[type-arg] # Generic in the stubs only.
    """Finds the handler of a call.

    Takes servicers through the generated ``add_…Servicer_to_server(servicer, registry)``; one
    added later takes the place of the one before, for the calls that follow.
    """

    def __init__(
        self,
        interceptors: Sequence[Interceptor],
        *,
        max_message_bytes: int = LARGEST_MESSAGE_BYTES,
        reader_patience_s: float = DEFAULT_S,
    ) -> None:
        """Take the interceptors, outermost first, and the size of the largest request.

        A client that does not take a streamed response for ``reader_patience_s`` is cut off.
        """
        self._interceptors = tuple(interceptors)
        self._max_message_bytes = max_message_bytes
        self._reader_patience_s = reader_patience_s
        self._handlers: dict[str, Handler] = {}

    @property
    def registry(self) -> grpc.aio.Server:
        """This, by the type that the generated functions ask for."""
        return cast("grpc.aio.Server", self)

    def expect(self, service: ServiceDescriptor) -> None:
        """Make the methods of a service known before its servicer is there.

        The interceptors run, and what they admit gets UNAVAILABLE.
        """
        self.add_registered_method_handlers(
            service.full_name, {method.name: _expected(method) for method in service.methods}
        )

    def add_registered_method_handlers(self, service: str, handlers: Mapping[str, Handler]) -> None:
        """Called by the generated code."""
        for name, handler in handlers.items():
            method = Method(service, name)
            self._handlers[method.path] = self._folded(method, handler)

    def add_generic_rpc_handlers(self, handlers: Sequence[Any]) -> None:
        """Called by the generated code, with the same methods again."""

    def service(self, handler_call_details: grpc.HandlerCallDetails) -> Handler | None:
        """Look the method up by its path."""
        return self._handlers.get(handler_call_details.method)

    def _folded(self, method: Method, handler: Handler) -> Handler:
        behaviour, kind = _KINDS[bool(handler.request_streaming), bool(handler.response_streaming)]
        call = self._called(method, getattr(handler, behaviour))
        decode = decoder(handler.request_deserializer, self._max_message_bytes)
        # Decoded in here rather than by gRPC, for bytes that are refused to become a status like
        # any other error.
        call = (
            _decoding_each(decode, call) if handler.request_streaming else _decoding(decode, call)
        )
        for interceptor in reversed(self._interceptors):
            call = interceptor(method, call)
        return kind(call, None, handler.response_serializer)

    def _called(self, method: Method, behaviour: Callable[[Any, Context], Any]) -> Call:
        if inspect.iscoroutinefunction(behaviour):
            return behaviour
        if inspect.isasyncgenfunction(behaviour):
            return _writing(behaviour, self._reader_patience_s)
        # Of our servicers only what they inherit is neither.
        return _unimplemented(method)


def _expected(method: MethodDescriptor) -> Handler:
    async def absent(request: Any, context: Context) -> None:  # noqa: ARG001 - as of any method
        raise UnavailableError("the server is still starting", reason="STARTING")

    _, kind = _KINDS[method.client_streaming, method.server_streaming]
    return kind(absent, bytes, bytes)


def _writing(
    behaviour: Callable[[Any, Context], AsyncGenerator[Any, None]], reader_patience_s: float
) -> Call:
    """Turn an async generator into a call that writes, and always closes the generator."""

    async def call(request: Any, context: Context) -> None:
        now = asyncio.get_running_loop().time
        write = context.write
        with Patience(reader_patience_s) as patience:
            async with aclosing(behaviour(request, context)) as responses:
                async for response in responses:
                    patience.since = now()
                    await write(response)
                    patience.since = None

    return call


def _unimplemented(method: Method) -> Call:
    async def call(request: Any, context: Context) -> None:  # noqa: ARG001 - as of any method
        raise UnsupportedError(
            f"{method.path} is in the contract, but this version does not implement it",
            reason="NOT_IMPLEMENTED",
        )

    return call


def _decoding(decode: Decode, call: Call) -> Call:
    async def decoding(request: bytes, context: Context) -> Any:
        return await call(decode(request), context)

    return decoding


def _decoding_each(decode: Decode, call: Call) -> Call:
    async def decoding(requests: AsyncIterator[bytes], context: Context) -> Any:
        return await call(DecodedRequests(requests, decode), context)

    return decoding


_KINDS: dict[tuple[bool, bool], tuple[str, Callable[..., Handler]]] = {
    (False, False): ("unary_unary", grpc.unary_unary_rpc_method_handler),
    (False, True): ("unary_stream", grpc.unary_stream_rpc_method_handler),
    (True, False): ("stream_unary", grpc.stream_unary_rpc_method_handler),
    (True, True): ("stream_stream", grpc.stream_stream_rpc_method_handler),
}
