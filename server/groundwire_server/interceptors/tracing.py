"""Gives every call a span, under the caller's W3C trace context."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import grpc

from groundwire_server.interceptors.method import Call, Context, Method
from groundwire_server.interceptors.outcome import code_of_failure
from groundwire_server.tracing import Span, Tracer, current_span

TRACE_CONTEXT = ("traceparent", "tracestate")

# Those of which a server is to blame itself, by the semantic conventions; others are the caller's.
_FAULTS = frozenset(
    {
        grpc.StatusCode.UNKNOWN,
        grpc.StatusCode.DEADLINE_EXCEEDED,
        grpc.StatusCode.UNIMPLEMENTED,
        grpc.StatusCode.INTERNAL,
        grpc.StatusCode.UNAVAILABLE,
        grpc.StatusCode.DATA_LOSS,
    }
)


class CallTracing(Protocol):
    """An interceptor with spans to hand on at the end."""

    def __call__(self, method: Method, call: Call) -> Call:
        """Intercept."""
        ...

    async def close(self, at_most_s: float) -> None:
        """Hand on what is left, in at most so many seconds."""
        ...


class Tracing:
    """Traces calls of all kinds; a stream's span lasts as long as the stream."""

    def __init__(self, tracer: Tracer) -> None:
        self._tracer = tracer

    def __call__(self, method: Method, call: Call) -> Call:
        """Intercept."""
        name = f"{method.service}/{method.name}"
        attributes = {
            "rpc.system.name": "grpc",
            "rpc.method": name,
            # By these the attributes went before, and many dashboards still look for them.
            "rpc.system": "grpc",
            "rpc.service": method.service,
        }

        async def traced(request: Any, context: Context) -> Any:
            span = self._tracer.begin(name, attributes, _trace_context(context))
            # gRPC runs each call in a task, and so in a context, of its own: nothing to reset.
            current_span.set(span)
            try:
                response = await call(request, context)
            except BaseException as error:
                _end(span, code_of_failure(error, context))
                raise
            _end(span, grpc.StatusCode.OK)
            return response

        return traced

    async def close(self, at_most_s: float) -> None:
        """Hand on the spans that are left."""
        await self._tracer.close(at_most_s)


class NoTracing:
    """Calls are not traced, and pay nothing for it."""

    def __call__(self, method: Method, call: Call) -> Call:  # noqa: ARG002 - an interceptor's
        """Leave the call as it is."""
        return call

    async def close(self, at_most_s: float) -> None:
        """Nothing is left."""


def _trace_context(context: Context) -> Mapping[str, Sequence[str]]:
    found: dict[str, list[str]] = {}
    for key, value in context.invocation_metadata() or ():
        if key in TRACE_CONTEXT and isinstance(value, str):
            found.setdefault(key, []).append(value)
    return found


def _end(span: Span, code: grpc.StatusCode) -> None:
    number: int = code.value[0]
    span.set({"rpc.response.status_code": code.name, "rpc.grpc.status_code": number})
    span.end(code.name if code in _FAULTS else "")
