"""A collector of traces: OpenTelemetry's protocol on a real socket, keeping what it is sent."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import grpc
from groundwire_server.observability.otel import OtlpTracer
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2_grpc import (
    TraceServiceServicer,
    add_TraceServiceServicer_to_server,
)
from opentelemetry.proto.trace.v1.trace_pb2 import Span as SpanMessage
from opentelemetry.proto.trace.v1.trace_pb2 import Status

from tests.patience import PATIENCE_S


@dataclass(frozen=True)
class Collected:
    """One span, as it came."""

    message: SpanMessage
    service: str

    @property
    def name(self) -> str:
        return self.message.name

    @property
    def trace_id(self) -> str:
        return self.message.trace_id.hex()

    @property
    def span_id(self) -> str:
        return self.message.span_id.hex()

    @property
    def parent_id(self) -> str:
        return self.message.parent_span_id.hex()

    @property
    def failed(self) -> bool:
        return self.message.status.code == Status.STATUS_CODE_ERROR

    @property
    def attributes(self) -> dict[str, Any]:
        return {one.key: _value(one.value) for one in self.message.attributes}


class Collector(TraceServiceServicer):
    """Takes every batch, unless it is told to hang."""

    def __init__(self) -> None:
        self.spans: list[Collected] = []
        self.url = ""
        self.hangs = False
        self._came = asyncio.Condition()

    @property
    def names(self) -> list[str]:
        return [span.name for span in self.spans]

    def span(self, name: str) -> Collected:
        """The one span of that name."""
        (found,) = [span for span in self.spans if span.name == name]
        return found

    def children(self, parent: Collected) -> list[str]:
        """The names of the parts of a span, in the order in which they began."""
        found = [span for span in self.spans if span.parent_id == parent.span_id]
        ordered = sorted(found, key=lambda span: span.message.start_time_unix_nano)
        return [span.name for span in ordered]

    async def wait_for(self, name: str, trace_id: str) -> Collected:
        """The one span of that name in a trace, when it is there."""

        def found() -> list[Collected]:
            return [one for one in self.spans if (one.name, one.trace_id) == (name, trace_id)]

        async with asyncio.timeout(PATIENCE_S), self._came:
            await self._came.wait_for(found)
        (span,) = found()
        return span

    async def Export(  # noqa: N802 - gRPC's name
        self, request: ExportTraceServiceRequest, context: grpc.aio.ServicerContext
    ) -> ExportTraceServiceResponse:
        if self.hangs:
            await asyncio.Future()
        for group in request.resource_spans:
            resource = {one.key: _value(one.value) for one in group.resource.attributes}
            for scope in group.scope_spans:
                self.spans += [Collected(span, resource["service.name"]) for span in scope.spans]
        async with self._came:
            self._came.notify_all()
        return ExportTraceServiceResponse()


@asynccontextmanager
async def collecting() -> AsyncIterator[Collector]:
    """A collector that is up."""
    collector = Collector()
    server = grpc.aio.server()
    add_TraceServiceServicer_to_server(collector, server)
    collector.url = f"http://127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
    await server.start()
    try:
        yield collector
    finally:
        await server.stop(None)


@asynccontextmanager
async def tracing(collector: Collector, *, sample_ratio: float = 1.0) -> AsyncIterator[OtlpTracer]:
    """A tracer; its spans are with the collector when this ends."""
    tracer = OtlpTracer(collector.url, sample_ratio)
    yield tracer
    await tracer.close(PATIENCE_S)


def _value(value: Any) -> Any:
    kind = value.WhichOneof("value")
    if kind == "array_value":
        return [_value(one) for one in value.array_value.values]
    return getattr(value, kind)
