"""The spans of an answer, from the call to the model's phases, as a collector gets them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence

import grpc
import pytest
from groundwire.v1.generate_service_pb2 import CompleteRequest, GenerateRequest
from groundwire.v1.generation_pb2 import ROLE_USER, Chat, Grounding, SamplingParameters
from groundwire.v1.generation_pb2 import Message as ChatMessage
from groundwire_server.engines.engine import TextPiece
from groundwire_server.engines.openai import OpenAiEngine
from groundwire_server.interceptors.errors import errors
from groundwire_server.interceptors.identity import identity
from groundwire_server.interceptors.method import Interceptor
from groundwire_server.interceptors.tracing import Tracing
from groundwire_server.observability.otel import OtlpTracer

from tests.collector import Collector, collecting, tracing
from tests.e2e.generate.serving import ALICE, Serve
from tests.faults.engines.scripted_http import HELLO, MODEL, ScriptedHttp
from tests.patience import PATIENCE_S, in_time
from tests.unit.grounding.scripted_engine import ScriptedEngine, saying

TRACE = "0af7651916cd43dd8448eb211c80319c"
TRACED = (*ALICE, ("traceparent", f"00-{TRACE}-b7ad6b7169203331-01"))
GENERATE = "groundwire.v1.GenerateService/Generate"
PHASES = ["queue", "prefill", "decode"]


@pytest.fixture
async def collector() -> AsyncIterator[Collector]:
    async with collecting() as collector:
        yield collector


def traced(tracer: OtlpTracer) -> Sequence[Interceptor]:
    return (Tracing(tracer), errors, identity)


@pytest.mark.usefixtures("library")
async def test_a_grounded_answer_is_traced_from_its_question_to_its_last_token(
    serve: Serve, collector: Collector
) -> None:
    engine = ScriptedEngine(saying("It is 2.4 metres wide [1].", " It is pink [1]."))
    request = GenerateRequest(
        chat=Chat(messages=[ChatMessage(role=ROLE_USER, content="How wide is the main mirror?")]),
        grounding=Grounding(collection="notes", top_k=1),
        sampling=SamplingParameters(max_tokens=32, temperature=0.5),
        request_id="mine",
    )
    async with tracing(collector) as tracer, serve(engine, interceptors=traced(tracer)) as serving:
        async for _ in serving.stub.Generate(request, metadata=TRACED):
            pass
    call, answer = collector.span(GENERATE), collector.span("chat scripted")
    assert {span.trace_id for span in collector.spans} == {TRACE}
    assert collector.children(call) == ["chat scripted"]
    assert collector.children(answer) == ["embed", "retrieve", *PHASES]
    first_chunk = answer.attributes["gen_ai.response.time_to_first_chunk"]
    assert 0 < first_chunk < PATIENCE_S
    assert answer.attributes == {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "scripted",
        "gen_ai.request.model": "scripted",
        "gen_ai.request.max_tokens": 32,
        "gen_ai.request.temperature": 0.5,
        "gen_ai.response.id": "mine",
        "gen_ai.response.model": "scripted",
        "gen_ai.response.time_to_first_chunk": first_chunk,
        "gen_ai.response.finish_reasons": ["stop"],
        "gen_ai.usage.input_tokens": 7,
        "gen_ai.usage.output_tokens": 10,
        "gen_ai.usage.cache_read.input_tokens": 0,
        "groundwire.dropped_citations": 1,
        "groundwire.degraded": False,
    }
    begins = [collector.span(phase).message.start_time_unix_nano for phase in PHASES]
    assert begins == sorted(begins)
    for span in collector.spans:
        assert call.message.start_time_unix_nano <= span.message.start_time_unix_nano
        assert span.message.end_time_unix_nano <= call.message.end_time_unix_nano


async def test_a_unary_answer_is_traced_too(serve: Serve, collector: Collector) -> None:
    engine = ScriptedEngine(saying("So be it"))
    asked = CompleteRequest(request=GenerateRequest(prompt="Why?"))
    async with tracing(collector) as tracer, serve(engine, interceptors=traced(tracer)) as serving:
        await serving.stub.Complete(asked, metadata=TRACED)
    assert collector.children(collector.span("groundwire.v1.GenerateService/Complete")) == [
        "text_completion scripted"
    ]
    assert collector.children(collector.span("text_completion scripted")) == PHASES


async def test_an_answer_that_is_cut_off_shows_how_far_it_came(
    serve: Serve, collector: Collector
) -> None:
    engine = ScriptedEngine([TextPiece("So", 1), asyncio.Event()])
    async with tracing(collector) as tracer, serve(engine, interceptors=traced(tracer)) as serving:
        call = serving.stub.Generate(GenerateRequest(prompt="Why?"), metadata=TRACED)
        assert (await call.read()).HasField("started")
        assert (await call.read()).text_delta.text == "So"
        call.cancel()
        await in_time(engine.closed.wait())
    answer = collector.span("text_completion scripted")
    assert collector.children(answer) == ["prefill", "decode"]
    assert answer.failed
    assert answer.attributes["error.type"] == "CANCELLED"
    assert collector.span(GENERATE).attributes["rpc.response.status_code"] == "CANCELLED"


async def test_a_question_that_is_refused_has_an_error_and_no_phases(
    serve: Serve, collector: Collector
) -> None:
    request = GenerateRequest(prompt="Why?", grounding=Grounding(collection="none"))
    async with (
        tracing(collector) as tracer,
        serve(ScriptedEngine(saying("So")), interceptors=traced(tracer)) as serving,
    ):
        with pytest.raises(grpc.aio.AioRpcError):
            await serving.stub.Generate(request, metadata=TRACED).read()
    answer = collector.span("text_completion scripted")
    assert answer.attributes["error.type"] == "NOT_FOUND"
    assert collector.children(answer) == []


async def test_a_remote_model_is_told_of_the_trace(serve: Serve, collector: Collector) -> None:
    async with ScriptedHttp(HELLO) as remote, tracing(collector) as tracer:
        engine = OpenAiEngine(remote.url, MODEL)
        await engine.start()
        async with serve(engine, interceptors=traced(tracer)) as serving:
            async for _ in serving.stub.Generate(GenerateRequest(prompt="Why?"), metadata=TRACED):
                pass
        await engine.close()
    answer = collector.span(f"text_completion {MODEL}")
    assert f"traceparent: 00-{TRACE}-{answer.span_id}-01" in remote.heads[-1]
