"""Calls of all kinds and their spans, as a collector gets them."""

from __future__ import annotations

import asyncio
import io
import json
import logging
from collections.abc import AsyncIterator
from functools import partial

import grpc
import pytest
from google.protobuf.wrappers_pb2 import StringValue
from groundwire_index.errors import NotFoundError
from groundwire_server.blocking import run_blocking
from groundwire_server.interceptors.errors import errors
from groundwire_server.interceptors.tracing import NoTracing, Tracing
from groundwire_server.observability import logs
from groundwire_server.observability.otel import OtlpTracer
from groundwire_server.tracing import Span, current_span, part

from tests.collector import Collector, collecting, tracing
from tests.standstills import undisturbed
from tests.unit.server.calls import (
    Calls,
    both_stream,
    client_stream,
    server_stream,
    serving,
    unary,
)

TRACE = "0af7651916cd43dd8448eb211c80319c"
PARENT = "b7ad6b7169203331"
SAMPLED = f"00-{TRACE}-{PARENT}-01"
A = StringValue(value="a")


async def echo(request: StringValue, context: object) -> StringValue:
    with part("inner"):
        return request


async def headers(request: StringValue, context: object) -> StringValue:
    """What would go with a request to another server."""
    return StringValue(value=json.dumps(dict(current_span.get().headers)))


async def repeat(request: StringValue, context: object) -> AsyncIterator[StringValue]:
    yield request
    with part("inner"):
        yield request


async def join(requests: AsyncIterator[StringValue], context: object) -> StringValue:
    return StringValue(value="".join([request.value async for request in requests]))


async def each(requests: AsyncIterator[StringValue], context: object) -> AsyncIterator[StringValue]:
    async for request in requests:
        yield request


async def miss(request: StringValue, context: object) -> StringValue:
    with part("inner"):
        raise NotFoundError("no", reason="NONE")


async def break_down(request: StringValue, context: object) -> StringValue:
    raise ZeroDivisionError


async def log(request: StringValue, context: object) -> StringValue:
    logging.getLogger("here").warning("in the call")
    await run_blocking(logging.getLogger("there").warning, "in a thread")
    await break_down(request, context)
    return request


HANDLERS = {
    "Echo": unary(echo),
    "Headers": unary(headers),
    "Repeat": server_stream(repeat),
    "Join": client_stream(join),
    "Each": both_stream(each),
    "Miss": unary(miss),
    "Break": unary(break_down),
    "Log": unary(log),
}


async def ab() -> AsyncIterator[StringValue]:
    yield A
    yield A


def served(tracer: OtlpTracer) -> object:
    return serving([Tracing(tracer), errors], HANDLERS)


async def parent_of(collector: Collector, *metadata: tuple[str, str]) -> tuple[str, str]:
    """The trace and the parent of a call with this metadata."""
    collector.spans.clear()
    async with tracing(collector) as tracer, served(tracer) as calls:
        await calls.unary("Headers")(A, metadata=metadata)
    (span,) = collector.spans
    return span.trace_id, span.parent_id


@pytest.fixture
async def collector() -> AsyncIterator[Collector]:
    async with collecting() as collector:
        yield collector


async def test_every_kind_of_call_is_a_span_under_its_callers(collector: Collector) -> None:
    async with tracing(collector) as tracer, served(tracer) as calls:
        traced = {"metadata": [("traceparent", SAMPLED)]}
        assert await calls.unary("Echo")(A, **traced) == A
        assert [one async for one in calls.server_stream("Repeat")(A, **traced)] == [A, A]
        assert (await calls.client_stream("Join")(ab(), **traced)).value == "aa"
        assert [one async for one in calls.both_stream("Each")(ab(), **traced)] == [A, A]
    for method in ("Echo", "Repeat", "Join", "Each"):
        span = collector.span(f"test.Echo/{method}")
        assert (span.trace_id, span.parent_id) == (TRACE, PARENT)
        assert span.message.kind == span.message.SPAN_KIND_SERVER
        assert span.service == "groundwire"
        assert not span.failed
        assert span.attributes == {
            "rpc.system.name": "grpc",
            "rpc.method": f"test.Echo/{method}",
            "rpc.response.status_code": "OK",
            "rpc.system": "grpc",
            "rpc.service": "test.Echo",
            "rpc.grpc.status_code": 0,
        }
    assert collector.children(collector.span("test.Echo/Echo")) == ["inner"]
    assert collector.children(collector.span("test.Echo/Repeat")) == ["inner"]


async def test_a_call_without_a_trace_begins_one(collector: Collector) -> None:
    trace, parent = await parent_of(collector)
    assert int(trace, 16)
    assert trace != TRACE
    assert parent == ""


@pytest.mark.parametrize(
    "traceparent",
    [
        "",
        "nonsense",
        f"00-{TRACE}-{PARENT}",
        f"00-{TRACE}-{PARENT}-01-more",
        f"00-{TRACE.upper()}-{PARENT}-01",
        f"00-{TRACE[1:]}-{PARENT}-01",
        f"00-{'0' * 32}-{PARENT}-01",
        f"00-{TRACE}-{'0' * 16}-01",
        f"ff-{TRACE}-{PARENT}-01",
        f"01-{TRACE}-{PARENT}-01-{'x' * 600}",
    ],
)
async def test_a_malformed_parent_is_ignored(collector: Collector, traceparent: str) -> None:
    trace, parent = await parent_of(collector, ("traceparent", traceparent))
    assert trace != TRACE
    assert parent == ""


async def test_a_parent_of_a_later_version_is_read_as_far_as_it_is_known(
    collector: Collector,
) -> None:
    later = ("traceparent", f"01-{TRACE}-{PARENT}-01-more")
    assert await parent_of(collector, later) == (TRACE, PARENT)


async def test_the_context_is_passed_on_with_this_call_as_the_parent(collector: Collector) -> None:
    async with tracing(collector) as tracer, served(tracer) as calls:
        metadata = [("traceparent", SAMPLED), ("tracestate", "a=1"), ("tracestate", "b=2")]
        passed = json.loads((await calls.unary("Headers")(A, metadata=metadata)).value)
    span = collector.span("test.Echo/Headers")
    assert passed == {"traceparent": f"00-{TRACE}-{span.span_id}-01", "tracestate": "a=1,b=2"}


@pytest.mark.parametrize("tracestate", ["no pair", "a=1,a=2", f"a={'x' * 600}"])
async def test_a_malformed_state_is_dropped_and_the_parent_kept(
    collector: Collector, tracestate: str, caplog: pytest.LogCaptureFixture
) -> None:
    state = ("tracestate", tracestate)
    assert await parent_of(collector, ("traceparent", SAMPLED), state) == (TRACE, PARENT)
    assert not [one for one in caplog.records if one.name.startswith("opentelemetry")]


async def test_what_its_caller_does_not_sample_is_not_sampled(collector: Collector) -> None:
    async with tracing(collector) as tracer, served(tracer) as calls:
        metadata = [("traceparent", SAMPLED[:-1] + "0")]
        assert await calls.unary("Echo")(A, metadata=metadata) == A
        passed = json.loads((await calls.unary("Headers")(A, metadata=metadata)).value)
    assert collector.spans == []
    assert passed["traceparent"].startswith(f"00-{TRACE}-")
    assert passed["traceparent"].endswith("-00")


async def test_the_ratio_is_of_calls_whose_callers_do_not_say(collector: Collector) -> None:
    async with tracing(collector, sample_ratio=0) as tracer, served(tracer) as calls:
        await calls.unary("Headers")(A)
        await calls.unary("Echo")(A, metadata=[("traceparent", SAMPLED)])
    assert sorted(collector.names) == ["inner", "test.Echo/Echo"]


async def failed(calls: Calls, method: str) -> None:
    with pytest.raises(grpc.aio.AioRpcError):
        await calls.unary(method)(A)


async def test_a_failure_is_told_and_is_an_error_if_the_server_is_to_blame(
    collector: Collector,
) -> None:
    async with tracing(collector) as tracer, served(tracer) as calls:
        await failed(calls, "Miss")
        await failed(calls, "Break")
    missed, broken = collector.span("test.Echo/Miss"), collector.span("test.Echo/Break")
    assert missed.attributes["rpc.response.status_code"] == "NOT_FOUND"
    assert missed.attributes["rpc.grpc.status_code"] == 5
    assert not missed.failed
    assert broken.attributes["rpc.response.status_code"] == "INTERNAL"
    assert broken.attributes["error.type"] == "INTERNAL"
    assert broken.failed
    assert collector.span("inner").attributes == {"error.type": "NotFoundError"}
    assert collector.span("inner").failed


async def test_a_client_that_leaves_ends_the_span(collector: Collector) -> None:
    left = asyncio.Event()

    async def hang(request: StringValue, context: object) -> AsyncIterator[StringValue]:
        try:
            yield request
            await asyncio.Future()
        finally:
            left.set()

    handlers = {"Hang": server_stream(hang)}
    async with tracing(collector) as tracer, serving([Tracing(tracer), errors], handlers) as calls:
        call = calls.server_stream("Hang")(A)
        await call.read()
        call.cancel()
        await left.wait()
    assert collector.span("test.Echo/Hang").attributes["rpc.response.status_code"] == "CANCELLED"


async def test_without_a_collector_calls_are_answered_and_the_stop_is_not_held_up() -> None:
    await undisturbed(partial(give_up, "http://127.0.0.1:1"), at_most_s=1)


async def test_a_collector_that_hangs_is_given_up(collector: Collector) -> None:
    collector.hangs = True
    await undisturbed(partial(give_up, collector.url), at_most_s=1)


async def give_up(url: str) -> None:
    tracer = OtlpTracer(url, 1.0)
    async with served(tracer) as calls:
        assert await calls.unary("Echo")(A) == A
    # OpenTelemetry itself would wait ten seconds for an answer.
    async with asyncio.timeout(5):
        await tracer.close(0.1)


async def test_lines_of_a_call_say_of_which_trace_it_is(collector: Collector) -> None:
    stream = io.StringIO()
    root = logging.getLogger()
    before = root.handlers[:], root.level
    logs.configure("info", "json", stream)
    try:
        async with tracing(collector) as tracer, served(tracer) as calls:
            with pytest.raises(grpc.aio.AioRpcError):
                await calls.unary("Log")(A, metadata=[("traceparent", SAMPLED)])
            logging.getLogger("outside").warning("no call")
    finally:
        logging.captureWarnings(False)
        root.handlers[:], root.level = before
    lines = [json.loads(line) for line in stream.getvalue().splitlines()]
    traces = {line["logger"]: line.get("trace_id") for line in lines}
    assert traces["here"] == TRACE
    assert traces["there"] == TRACE
    assert traces["groundwire_server.interceptors.errors"] == TRACE
    assert traces["outside"] is None


async def test_what_outlives_a_call_is_of_no_trace(collector: Collector) -> None:
    kept: list[Span] = []

    async def keep(request: StringValue, context: object) -> StringValue:
        kept.append(current_span.get())
        kept.append(kept[0].begin("inner"))
        assert [span.trace_id for span in kept] == [TRACE, TRACE]
        return request

    handlers = {"Keep": unary(keep)}
    async with tracing(collector) as tracer, serving([Tracing(tracer), errors], handlers) as calls:
        await calls.unary("Keep")(A, metadata=[("traceparent", SAMPLED)])
        assert [span.trace_id for span in kept] == ["", ""]


async def test_without_tracing_a_method_is_left_as_it_is() -> None:
    async def call(request: object, context: object) -> None:
        pass

    assert NoTracing()(None, call) is call  # type: ignore[arg-type]
    assert current_span.get().begin("x").headers == {}
