"""Where a model cannot answer, the next one does, and says so."""

from __future__ import annotations

import grpc
import pytest
from groundwire.v1.generate_service_pb2 import CompleteRequest, CompleteResponse, GenerateRequest
from groundwire.v1.generation_pb2 import Grounding
from groundwire_index.errors import (
    InvalidArgumentError,
    LimitExceededError,
    ResourceExhaustedError,
    UnavailableError,
    UnsupportedError,
)
from groundwire_server.embedders.embedder import Embedder
from groundwire_server.engines.breaker import Breaker
from groundwire_server.engines.engine import Accepted, Engine, TextPiece
from groundwire_server.engines.extractive import ExtractiveEngine
from groundwire_server.engines.models import Models, RouteSpec
from groundwire_server.engines.served_model import ServedModel

from tests.e2e.generate.serving import ALICE, Serve, Serving, details_of, text_of
from tests.unit.grounding.scripted_engine import ScriptedEngine, Step, saying

DOWN = UnavailableError("the core has died", reason="ENGINE_DEAD", retry_after_s=7)


def engine(name: str, *script: Step) -> ScriptedEngine:
    return ScriptedEngine(script or saying(f"said by {name}"), model=name)


def down(name: str, error: Exception = DOWN) -> ScriptedEngine:
    return engine(name, error)


def models(*engines: Engine, last_resort: Engine | None = None) -> Models:
    """A route over the first, which falls back on the others."""
    served = [ServedModel(one) for one in engines]
    first, *others = [one.model for one in served]
    last = ServedModel(last_resort) if last_resort else None
    return Models(
        [*served, *([last] if last else [])],
        routes=[RouteSpec("chat", {first: 1}, tuple(others))],
        default="chat",
        last_resort=last,
    )


async def complete(serving: Serving, model: str = "") -> CompleteResponse:
    return await serving.stub.Complete(
        CompleteRequest(request=GenerateRequest(prompt="Why?", model=model))
    )


async def refused(serving: Serving) -> grpc.aio.AioRpcError:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await complete(serving)
    return caught.value


async def test_the_next_model_answers_and_says_in_whose_place(serve: Serve) -> None:
    async with serve(models(down("a"), down("b"), engine("c"))) as serving:
        answer = await complete(serving)
    assert (answer.text, answer.model) == ("said by c", "c")
    assert answer.finished.degraded
    assert answer.finished.degraded_reason == 'the core has died: "c" answered'


async def test_the_answer_of_the_model_asked_for_is_not_degraded(serve: Serve) -> None:
    async with serve(models(engine("a"), engine("b"))) as serving:
        answer = await complete(serving)
    assert (answer.model, answer.finished.degraded) == ("a", False)


async def test_another_model_of_the_same_route_is_what_was_asked_for(serve: Serve) -> None:
    each = [ServedModel(down("a")), ServedModel(engine("b"))]
    route = RouteSpec("chat", {"a": 1e9, "b": 1})
    async with serve(Models(each, routes=[route], default="chat")) as serving:
        answer = await complete(serving)
    assert (answer.model, answer.finished.degraded) == ("b", False)


async def test_where_none_can_answer_the_first_says_why(serve: Serve) -> None:
    other = UnavailableError("out of reach", retry_after_s=1)
    async with serve(models(down("a"), down("b", other))) as serving:
        error = await refused(serving)
    assert error.code() is grpc.StatusCode.UNAVAILABLE
    assert error.details() == "the core has died"
    assert details_of(error)["RetryInfo"].retry_delay.seconds == 7  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    "error",
    [
        LimitExceededError("too long for b"),
        UnsupportedError("b has no constraints"),
        ResourceExhaustedError("b is full", retry_after_s=1),
    ],
)
async def test_one_that_stands_in_may_be_unable_to(serve: Serve, error: Exception) -> None:
    async with serve(models(down("a"), down("b", error), engine("c"))) as serving:
        assert (await complete(serving)).model == "c"
    async with serve(models(down("a"), down("b", error))) as serving:
        assert (await refused(serving)).details() == "the core has died"


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (InvalidArgumentError("prompt", "is odd"), grpc.StatusCode.INVALID_ARGUMENT),
        (ResourceExhaustedError("full", retry_after_s=1), grpc.StatusCode.RESOURCE_EXHAUSTED),
    ],
)
async def test_what_is_wrong_with_a_request_or_the_load_leads_to_no_other_model(
    serve: Serve, error: Exception, code: grpc.StatusCode
) -> None:
    other = engine("b")
    async with serve(models(down("a", error), other)) as serving:
        assert (await refused(serving)).code() is code
    assert other.requests == []


async def test_an_answer_that_has_begun_is_cut_off_and_nobody_goes_on_with_it(
    serve: Serve,
) -> None:
    first, other = engine("a", TextPiece("Once upon", 2), DOWN), engine("b")
    async with serve(models(first, other)) as serving:
        call = serving.stub.Generate(GenerateRequest(prompt="Why?"))
        events = [await call.read() for _ in range(2)]
        with pytest.raises(grpc.aio.AioRpcError, match="the core has died") as caught:
            await call.read()
    assert caught.value.code() is grpc.StatusCode.UNAVAILABLE
    assert text_of(events) == "Once upon"
    assert other.requests == []


async def test_a_model_that_fails_before_it_works_has_told_the_client_nothing(
    serve: Serve,
) -> None:
    class DiesInTheQueue(ScriptedEngine):
        async def generate(self, request):  # type: ignore[no-untyped-def, override]
            yield Accepted(1)
            raise DOWN

    async with serve(models(DiesInTheQueue([], model="a"), engine("b"))) as serving:
        call = serving.stub.Generate(GenerateRequest(prompt="Why?"))
        events = [event async for event in call]
    assert [event.started.model for event in events if event.HasField("started")] == ["b"]


async def test_a_model_that_keeps_failing_is_left_alone(serve: Serve) -> None:
    failing = down("a")
    first = ServedModel(failing, breaker=Breaker("a", failures=3))
    each = Models(
        [first, ServedModel(engine("b"))],
        routes=[RouteSpec("chat", {"a": 1}, ("b",))],
        default="chat",
    )
    async with serve(each) as serving:
        answers = [await complete(serving) for _ in range(6)]
    assert {answer.model for answer in answers} == {"b"}
    assert len(failing.requests) == 3
    assert "left alone" in answers[-1].finished.degraded_reason
    with pytest.raises(UnavailableError, match="left alone"):
        await first.check()


async def test_an_answer_between_failures_keeps_a_model_from_being_left_alone(
    serve: Serve,
) -> None:
    shaky = down("a")
    first = ServedModel(shaky, breaker=Breaker("a", failures=3))
    async with serve(Models([first], default="a")) as serving:
        for script in ([DOWN], [DOWN], saying("fine"), [DOWN], [DOWN], saying("again")):
            shaky.script = list(script)
            if script == [DOWN]:
                assert (await refused(serving)).details() == "the core has died"
            else:
                assert (await complete(serving)).model == "a"
    await first.check()


@pytest.mark.usefixtures("library")
async def test_the_last_resort_answers_what_is_grounded(serve: Serve, embedder: Embedder) -> None:
    grounded = GenerateRequest(
        prompt="How wide is the main mirror?", grounding=Grounding(collection="notes")
    )
    each = models(down("a"), last_resort=ExtractiveEngine(embedder))
    async with serve(each) as serving:
        answer = await serving.stub.Complete(CompleteRequest(request=grounded), metadata=ALICE)
        assert "2.4 metres" in answer.text
        assert answer.citations
        assert (answer.engine, answer.finished.degraded) == ("extractive", True)
        assert "the core has died" in answer.finished.degraded_reason
        assert (await refused(serving)).details() == "the core has died"


async def test_all_requests_of_a_subject_have_the_same_model(serve: Serve) -> None:
    each = [ServedModel(engine(name)) for name in ("a", "b")]
    route = RouteSpec("chat", {"a": 1, "b": 1})
    async with serve(Models(each, routes=[route], default="chat")) as serving:

        async def model_of(subject: str) -> str:
            request = CompleteRequest(request=GenerateRequest(prompt="Why?"))
            metadata = (("groundwire-subject", subject),) if subject else ()
            return str((await serving.stub.Complete(request, metadata=metadata)).model)

        subjects = [f"user-{number}" for number in range(20)]
        first = [await model_of(subject) for subject in subjects]
        assert first == [await model_of(subject) for subject in subjects]
        assert set(first) == {"a", "b"}
        # Who does not say is not taken for one and the same.
        assert {await model_of("") for _ in range(20)} == {"a", "b"}


async def test_a_model_can_be_named_past_the_route(serve: Serve) -> None:
    async with serve(models(engine("a"), engine("b"))) as serving:
        assert (await complete(serving, "b")).model == "b"
