"""Answers that stream: events, and what ends them."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import groundwire
import pytest
from groundwire.v1 import generate_service_pb2 as pb
from groundwire.v1 import generate_service_pb2_grpc, generation_pb2

from tests.patience import PATIENCE_S
from tests.unit.client.scripted import Flag, serving

PASSAGE = generation_pb2.Passage(
    number=1, chunk_id="c1", document_id="d", title="T", text="The dome opens at dusk.", page=3
)
CITATION = generation_pb2.Citation(
    source=1, answer_start=0, answer_end=14, source_start=4, source_end=18
)
FINISHED = generation_pb2.Finished(
    finish_reason=generation_pb2.FINISH_REASON_STOP,
    usage=generation_pb2.GenerateUsage(prompt_tokens=9, completion_tokens=4),
    confidence=0.75,
    stored=generation_pb2.STORE_OUTCOME_STORED,
)
ANSWER = (
    pb.GenerateResponse(started=pb.Started(request_id="r", model="m", engine="e")),
    pb.GenerateResponse(sources=pb.Sources(passages=[PASSAGE])),
    pb.GenerateResponse(text_delta=pb.TextDelta(text="Dome opens", token_count=2)),
    pb.GenerateResponse(text_delta=pb.TextDelta(text="ignored", token_count=1), choice=1),
    pb.GenerateResponse(text_delta=pb.TextDelta(text=" at dusk", token_count=2)),
    pb.GenerateResponse(citation=CITATION),
    pb.GenerateResponse(finished=FINISHED),
)


class Answering(generate_service_pb2_grpc.GenerateServiceServicer):
    def Generate(self, request, context) -> Iterator[pb.GenerateResponse]:  # noqa: N802
        yield from ANSWER


class Endless(generate_service_pb2_grpc.GenerateServiceServicer):
    """One event, then silence until the caller goes."""

    def __init__(self) -> None:
        self.begun = Flag()
        self.gone = Flag()

    def Generate(self, request, context) -> Iterator[pb.GenerateResponse]:  # noqa: N802
        context.add_callback(self.gone.set)
        self.begun.set()
        yield ANSWER[2]
        self.gone.wait(2 * PATIENCE_S)


def check(generation: groundwire.Generation | groundwire.AsyncGeneration) -> None:
    assert generation.started == groundwire.Started("r", "m", "e")
    assert generation.answer == "Dome opens at dusk"
    (citation,) = generation.citations
    assert generation.passage(citation).quote(citation) == "dome opens at "
    assert generation.passage(citation).page == 3
    assert generation.finished is not None
    assert generation.finished.finish_reason == "stop"
    assert generation.finished.confidence == 0.75
    assert generation.finished.stored == "stored"
    assert generation.finished.timings.queue_s is None


def test_events_arrive_typed_and_are_gathered() -> None:
    with serving(Answering()) as address, groundwire.Client(address) as client:
        generation = client.generate("When?", grounding="handbook")
        kinds = [type(event).__name__ for event in generation]
    assert kinds[:3] == ["Started", "Sources", "TextDelta"]
    assert kinds[-2:] == ["Citation", "Finished"]
    check(generation)


async def test_events_arrive_typed_and_are_gathered_on_a_loop() -> None:
    with serving(Answering()) as address:
        async with groundwire.AsyncClient(address) as client:
            generation = client.generate("When?", grounding="handbook")
            kinds = [type(event).__name__ async for event in generation]
    assert len(kinds) == len(ANSWER)
    check(generation)


class Calling(generate_service_pb2_grpc.GenerateServiceServicer):
    def Generate(self, request, context) -> Iterator[pb.GenerateResponse]:  # noqa: N802
        yield pb.GenerateResponse(reasoning_delta=pb.ReasoningDelta(text="I need "))
        yield pb.GenerateResponse(reasoning_delta=pb.ReasoningDelta(text="the sky."))
        yield pb.GenerateResponse(text_delta=pb.TextDelta(text="One moment."))
        for choice, index, call_id, name, arguments in (
            (0, 0, "c-1", "weather", ""),
            (0, 0, "", "", '{"city": '),
            (1, 0, "c-9", "dome", "{}"),
            (0, 0, "", "", '"Jena"}'),
            (0, 1, "c-2", "dome", "[]"),
        ):
            delta = pb.ToolCallDelta(index=index, id=call_id, name=name, arguments=arguments)
            yield pb.GenerateResponse(tool_call_delta=delta, choice=choice)


def test_calls_are_gathered_into_the_message_that_the_chat_goes_on_with() -> None:
    with serving(Calling()) as address, groundwire.Client(address) as client:
        answer = client.generate("Does it rain?")
        assert answer.text() == "One moment."
    assert answer.reasoning == "I need the sky."
    weather, dome = answer.tool_calls
    assert (weather.id, weather.name, weather.parsed) == ("c-1", "weather", {"city": "Jena"})
    assert weather.result("Rain") == groundwire.Message("tool", "Rain", name="c-1")
    assert answer.message == groundwire.Message("assistant", "One moment.", (weather, dome))
    with pytest.raises(ValueError, match=r"dome are no JSON object: \[\]"):
        _ = dome.parsed


def test_a_citation_of_a_passage_that_was_not_sent_is_not_invented() -> None:
    with serving(Answering()) as address, groundwire.Client(address) as client:
        generation = client.generate("When?")
        generation.text()
        with pytest.raises(LookupError, match="9"):
            generation.passage(groundwire.Citation(9, 0, 1, 0, 1))


def test_leaving_the_loop_ends_the_request_on_the_server() -> None:
    with serving(server := Endless()) as address, groundwire.Client(address) as client:
        generation = client.generate("Go on")
        for _ in generation:
            break
        assert server.gone.wait(PATIENCE_S)
        assert generation.answer == "Dome opens"


def fail_in_the_loop(generation: groundwire.Generation) -> None:
    with generation:
        for _ in generation:
            _ = 1 / 0


def test_an_error_in_the_loop_ends_the_request_on_the_server() -> None:
    with serving(server := Endless()) as address, groundwire.Client(address) as client:
        generation = client.generate("Go on")
        with pytest.raises(ZeroDivisionError):
            fail_in_the_loop(generation)
        assert server.gone.wait(PATIENCE_S)


def test_a_block_ends_the_request_even_if_nothing_was_read() -> None:
    with serving(server := Endless()) as address, groundwire.Client(address) as client:
        with client.generate("Go on"):
            assert server.begun.wait(PATIENCE_S)
        assert server.gone.wait(PATIENCE_S)


async def test_leaving_the_loop_ends_the_request_on_a_loop() -> None:
    with serving(server := Endless()) as address:
        async with groundwire.AsyncClient(address) as client:
            generation = client.generate("Go on")
            async for _ in generation:
                break
            await server.gone.awaited()


async def test_a_cancelled_task_ends_its_request() -> None:
    with serving(server := Endless()) as address:
        async with groundwire.AsyncClient(address) as client:
            task = asyncio.create_task(client.generate("Go on").text())
            await server.begun.awaited()
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            await server.gone.awaited()


def test_closing_the_client_ends_what_runs() -> None:
    with serving(server := Endless()) as address:
        client = groundwire.Client(address)
        iterator = iter(client.generate("Go on"))
        next(iterator)
        client.close()
        assert server.gone.wait(PATIENCE_S)
        with pytest.raises(groundwire.errors.CallCancelledError):
            next(iterator)
