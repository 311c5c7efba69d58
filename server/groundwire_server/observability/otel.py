"""Spans by OpenTelemetry, sent to a collector by OTLP over gRPC."""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import Mapping, Sequence
from importlib.metadata import version

from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import (
    SERVICE_NAME,
    SERVICE_VERSION,
    OTELResourceDetector,
    Resource,
)
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.trace.sampling import ParentBased, TraceIdRatioBased
from opentelemetry.trace import Span as OpenTelemetrySpan
from opentelemetry.trace import SpanKind, StatusCode, format_trace_id, set_span_in_context
from opentelemetry.trace import Tracer as OpenTelemetryTracer
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from groundwire_server.tracing import NOTHING, Attributes, Span

_W3C = TraceContextTextMapPropagator()
# OpenTelemetry says aloud when a caller's context is malformed, which is no news.
_SAID_OF_CALLERS = ("opentelemetry.trace.span", "opentelemetry.trace.propagation.tracecontext")


class OtlpTracer:
    """Sends spans in batches, from a thread of its own; one that cannot be sent is dropped.

    Of calls without a trace so large a share is sampled; of others, what their caller samples.
    """

    def __init__(self, endpoint: str, sample_ratio: float) -> None:
        """``endpoint`` is http://HOST:PORT, or https:// with TLS.

        What else OpenTelemetry can be told, such as headers and certificates, it takes from its
        own environment variables.
        """
        for name in _SAID_OF_CALLERS:
            logging.getLogger(name).setLevel(logging.ERROR)
        ours = Resource({SERVICE_NAME: "groundwire", SERVICE_VERSION: version("groundwire")})
        self._exporter = OTLPSpanExporter(endpoint)
        self._provider = TracerProvider(
            sampler=ParentBased(TraceIdRatioBased(sample_ratio)),
            resource=ours.merge(OTELResourceDetector().detect()),
            shutdown_on_exit=False,
        )
        self._provider.add_span_processor(BatchSpanProcessor(self._exporter))
        self._tracer = self._provider.get_tracer("groundwire", version("groundwire"))

    def begin(
        self, name: str, attributes: Attributes, context: Mapping[str, Sequence[str]]
    ) -> Span:
        """The span of a call, under the caller's context if that is well-formed."""
        zero_ns = time.time_ns() - time.perf_counter_ns()
        span = self._tracer.start_span(
            name,
            _W3C.extract(context, Context()),
            SpanKind.SERVER,
            attributes=dict(attributes),
            start_time=zero_ns + time.perf_counter_ns(),
        )
        return OtlpSpan(self._tracer, span, zero_ns)

    async def close(self, at_most_s: float) -> None:
        """Send what is left; give up a collector that does not take it in time."""
        loop, done = asyncio.get_running_loop(), asyncio.Event()

        def shut_down() -> None:
            self._provider.shutdown()
            loop.call_soon_threadsafe(done.set)

        # A thread that nobody waits for, should the collector hold on to it.
        threading.Thread(target=shut_down, name="traces", daemon=True).start()
        try:
            async with asyncio.timeout(at_most_s):
                await done.wait()
        except TimeoutError:
            self._exporter.shutdown()
            await done.wait()


class OtlpSpan:
    """A span that is sent when it ends, if it is sampled."""

    def __init__(
        self,
        tracer: OpenTelemetryTracer,
        span: OpenTelemetrySpan,
        zero_ns: int,
        call: OtlpSpan | None = None,
    ) -> None:
        """``zero_ns`` is the Unix time at which ``time.perf_counter_ns`` was 0.

        The same for all of a call: else a part could end after the whole.
        """
        self._zero_ns = zero_ns
        self._tracer = tracer
        self._span = span
        self._context = set_span_in_context(span, Context())
        self._call = call or self
        self._is_over = False

    @property
    def trace_id(self) -> str:
        """32 hexadecimal digits, until the call is over.

        What a call has begun for others, such as a connection, goes on in its context.
        """
        if self._call._is_over:
            return ""
        return format_trace_id(self._span.get_span_context().trace_id)

    @property
    def headers(self) -> Mapping[str, str]:
        """W3C trace context, in which this span is the parent."""
        headers: dict[str, str] = {}
        _W3C.inject(headers, self._context)
        return headers

    def begin(self, name: str, attributes: Attributes = NOTHING) -> OtlpSpan:
        """A part of it that begins now."""
        span = self._span
        if span.is_recording():
            span = self._tracer.start_span(
                name, self._context, attributes=dict(attributes), start_time=self._now_ns()
            )
        return OtlpSpan(self._tracer, span, self._zero_ns, self._call)

    def add(self, name: str, began: float, ended: float) -> None:
        """A part of it that is over."""
        if self._span.is_recording():
            zero_ns = self._zero_ns
            span = self._tracer.start_span(
                name, self._context, start_time=zero_ns + int(began * 1e9)
            )
            span.end(zero_ns + int(ended * 1e9))

    def set(self, attributes: Attributes) -> None:
        """Say more of it."""
        self._span.set_attributes(dict(attributes))

    def end(self, error: str = "") -> None:
        """It is over."""
        self._is_over = True
        if error:
            self._span.set_attribute("error.type", error)
            self._span.set_status(StatusCode.ERROR)
        self._span.end(self._now_ns())

    def _now_ns(self) -> int:
        return self._zero_ns + time.perf_counter_ns()
