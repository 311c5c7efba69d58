"""What the engine for the OpenAI API refuses, counts, and makes of its server's state."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from functools import partial

import pytest
from groundwire_index.errors import (
    FailedPreconditionError,
    InvalidArgumentError,
    UnavailableError,
    UnsupportedError,
)
from groundwire_server.components import Components, State
from groundwire_server.engines.engine import (
    Begun,
    Constraint,
    EngineRequest,
    Sampling,
    TextPiece,
)
from groundwire_server.engines.openai import OpenAiEngine
from groundwire_server.engines.served_model import ServedModel
from groundwire_server.engines.template import TemplateInput
from groundwire_server.engines.tools import Tool
from groundwire_server.parts import RunningModel
from groundwire_server.waiting import Waiting

from tests.faults.engines.asking import (
    CHAT,
    KEY,
    events_of,
    failure,
    remote,
    request,
    started,
    text_of,
    told,
)
from tests.faults.engines.scripted_http import (
    HELLO,
    MODEL,
    Answer,
    ScriptedHttp,
    answering,
    event,
    said,
    silent,
    streaming,
)
from tests.patience import during, until


async def test_what_has_no_token_yet_is_waiting() -> None:
    hold = asyncio.Event()

    async def held(writer: asyncio.StreamWriter) -> None:
        await hold.wait()
        await streaming(said(""), said("Hel"), hang=True)(writer)

    async with remote(held) as (server, engine):
        stream = engine.generate(request())
        await anext(stream)
        begun = asyncio.ensure_future(anext(stream))
        await during(begun, until(lambda: bool(server.requests)))
        assert engine.waiting.requests == 1
        assert engine.waiting.tokens > 0
        hold.set()
        assert await begun == Begun()
        assert await anext(stream) == TextPiece("Hel", 1)
        assert engine.waiting == Waiting()
        await stream.aclose()


@pytest.mark.parametrize(
    ("asked", "field"),
    [
        (request(Sampling(top_k=5)), "sampling.top_k"),
        (request(Sampling(min_p=0.0)), "sampling.min_p"),
        (request(Sampling(repetition_penalty=1.1)), "sampling.repetition_penalty"),
        (request(constraint=Constraint(regex="a+")), "constraint.regex"),
        (request(constraint=Constraint(choice=("a",))), "constraint.choice"),
        (request(constraint=Constraint(grammar='root ::= "a"')), "constraint.grammar"),
        (
            EngineRequest("one", prompt="Hello", constraint=Constraint(json_schema="{}")),
            "constraint.json_schema",
        ),
    ],
)
async def test_what_the_api_cannot_carry_is_refused_by_name(
    asked: EngineRequest, field: str
) -> None:
    async with remote(HELLO) as (server, engine):
        error = await failure(engine, asked)
    assert isinstance(error, UnsupportedError)
    assert error.message.startswith(field)
    assert server.requests == []


@dataclass(frozen=True, slots=True)
class NewerSampling(Sampling):
    """Sampling as it may come to be."""

    thinking_tokens: int | None = None


async def test_a_field_that_came_later_is_refused_rather_than_ignored() -> None:
    async with remote(HELLO, HELLO) as (_, engine):
        error = await failure(engine, request(NewerSampling(thinking_tokens=5)))
        assert isinstance(error, UnsupportedError)
        assert "sampling.thinking_tokens" in error.message
        assert text_of(await events_of(engine, request(NewerSampling()))) == "Hello there"


async def test_with_vllms_dialect_its_fields_are_sent() -> None:
    sampling = Sampling(top_k=5, min_p=0.1, repetition_penalty=1.1)
    async with remote(HELLO, dialect="vllm") as (server, engine):
        await events_of(engine, request(sampling))
    (sent,) = server.requests
    names = ("top_k", "min_p", "repetition_penalty")
    assert [sent[name] for name in names] == [5, 0.1, 1.1]


async def test_a_server_that_fails_at_a_form_and_is_not_well_is_unavailable() -> None:
    """Else a request would be told that it is wrong because a server was restarted."""
    failing = [answering(500, told("Internal server error"))] * 3
    constrained = request(constraint=Constraint(regex="a+"))
    async with remote(*failing, *failing, dialect="vllm") as (server, engine):
        error = await failure(engine, constrained)
        assert isinstance(error, InvalidArgumentError)
        assert error.violations[0].field == "constraint.regex"
        server.models = answering(503, b"restarting")
        assert isinstance(await failure(engine, constrained), UnavailableError)


async def test_what_a_server_refuses_is_not_laid_to_the_form_unless_it_says_so() -> None:
    constrained = request(constraint=Constraint(json_schema="{}"))
    for words, field in (
        (told("n must be 1"), "request"),
        (told("not strict enough", param="response_format"), "constraint.json_schema"),
    ):
        async with remote(answering(400, words)) as (_, engine):
            error = await failure(engine, constrained)
        assert isinstance(error, InvalidArgumentError)
        assert error.violations[0].field == field


async def test_a_template_is_given_the_arguments_of_the_setting_under_the_requests() -> None:
    defaults = {"enable_thinking": False, "mood": "calm"}
    async with remote(HELLO, HELLO, HELLO, template_arguments=defaults, dialect="vllm") as (
        server,
        engine,
    ):
        await events_of(engine)
        await events_of(engine, request(template_arguments={"enable_thinking": True}))
        await events_of(engine, EngineRequest("one", prompt="Hello"))
    sent = [one.get("chat_template_kwargs") for one in server.requests]
    assert sent == [defaults, {"enable_thinking": True, "mood": "calm"}, None]


async def test_a_setting_for_the_template_is_sent_to_any_server_a_requests_only_to_vllm() -> None:
    defaults = {"enable_thinking": False}
    async with remote(HELLO, template_arguments=defaults) as (server, engine):
        await events_of(engine)
        error = await failure(engine, request(template_arguments={"mood": "calm"}))
    assert server.requests[0]["chat_template_kwargs"] == defaults
    assert isinstance(error, UnsupportedError)
    assert error.message.startswith("chat.template_arguments")


async def test_tools_are_estimated_too() -> None:
    offered = TemplateInput((Tool("weather", "Of a city."),))
    async with remote() as (_, engine):
        bare = await engine.count_tokens(CHAT)
        assert await engine.count_tokens(CHAT, offered) > bare + 10


async def test_without_a_tokenizer_tokens_are_estimated() -> None:
    async with remote() as (_, engine):
        assert await engine.count_tokens("") == 0
        assert 3 <= await engine.count_tokens("The observatory") <= 8
        assert await engine.count_tokens(CHAT) > await engine.count_tokens(CHAT[0].content)


async def test_tokens_are_estimated_too_while_the_tokenizer_is_out_of_reach() -> None:
    broken = answering(503, b"restarting")
    async with remote(answering(200, {"count": 99}), *[broken] * 3, dialect="vllm") as (_, engine):
        assert await engine.count_tokens("The observatory") == 99
        assert 3 <= await engine.count_tokens("The observatory") <= 8


@pytest.mark.parametrize("told", [{"tokens": [1, 2]}, [3], {"count": "many"}])
async def test_a_tokenizer_that_does_not_count_is_out_of_reach(told: object) -> None:
    wrong = answering(200, told)
    async with remote(*[wrong] * 2, dialect="vllm", context_length=10) as (_, engine):
        assert 3 <= await engine.count_tokens("The observatory") <= 8
        error = await failure(engine)
    assert isinstance(error, UnavailableError)
    assert "without a count" in error.message


async def test_a_tokenizer_that_does_not_answer_is_left_alone_for_some_seconds() -> None:
    seconds = 0.0
    broken, counted = answering(503, b"restarting"), answering(200, {"count": 99})
    async with remote(*[broken] * 3, counted, dialect="vllm", clock=lambda: seconds) as (
        server,
        engine,
    ):
        for _ in range(8):
            assert await engine.count_tokens("The observatory") < 9
        assert len(server.requests) == 3
        seconds += 5
        assert await engine.count_tokens("The observatory") == 99


async def test_a_key_that_is_quoted_in_the_midst_of_a_stream_is_masked() -> None:
    quoted = streaming(said("Hel"), event(told(f"bad {KEY}")))
    async with remote(quoted) as (_, engine):
        error = await failure(engine)
    assert "bad ***" in error.message


async def test_the_context_length_may_be_set() -> None:
    async with remote(context_length=4096) as (_, engine):
        assert engine.context_length == 4096


@pytest.mark.parametrize(
    ("models", "words"),
    [
        (answering(401, {"error": {"message": KEY}}), "openai_api_key"),
        (answering(404, b"not found"), "openai_url"),
        (answering(200, {"data": [{"id": "other"}]}), '"other"'),
    ],
)
async def test_what_waiting_cannot_mend_keeps_the_engine_from_starting(
    models: Answer, words: str
) -> None:
    with pytest.raises(FailedPreconditionError, match=words) as caught:
        async with remote(models=models):
            pass
    assert KEY not in str(caught.value)


async def test_a_model_may_be_listed_with_its_default_version() -> None:
    async with remote(HELLO, models=answering(200, {"data": [{"id": f"{MODEL}:latest"}]})) as (
        _,
        engine,
    ):
        await engine.check()
        assert text_of(await events_of(engine)) == "Hello there"


async def test_a_server_that_is_not_there_yet_serves_when_it_is() -> None:
    async with remote(HELLO, models=answering(503, b"loading")) as (server, engine):
        with pytest.raises(UnavailableError, match="loading"):
            await engine.check()
        error = await failure(engine)
        assert isinstance(error, UnavailableError)
        server.models = answering(200, {"data": [{"id": MODEL, "max_model_len": 99}]})
        await engine.check()
        assert text_of(await events_of(engine)) == "Hello there"
        assert engine.context_length == 99


async def is_found(components: Components, engine: OpenAiEngine, why: str) -> bool:
    """Whether the next look finds that the engine fails, and why."""
    await components.check()
    condition = components.condition_of(f"engine/{engine.model}")
    assert condition.state is State.FAILED
    return why in condition.detail


async def test_a_server_that_has_gone_is_noticed_by_the_next_look() -> None:
    async with ScriptedHttp() as server, started(server.url) as engine:
        components = Components([RunningModel(ServedModel(engine))])
        await components.check()
        assert components.condition_of(f"engine/{engine.model}").state is State.READY
        await server.__aexit__(None, None, None)
        # Not by waiting for an answer, unless the machine stands still.
        await until(partial(is_found, components, engine, "cannot be reached"))
        error = await failure(engine)
        assert isinstance(error, UnavailableError)
        assert await engine.count_tokens("The observatory") > 0


async def test_a_server_that_hangs_is_noticed_within_the_time_of_a_look() -> None:
    async with remote() as (server, engine):
        server.models = silent
        components = Components([RunningModel(ServedModel(engine))])
        # By the engine, before the time of a look is over, unless the machine stands still.
        await until(partial(is_found, components, engine, f"{server.url}/models did not answer"))


async def test_what_a_look_found_holds_as_long_as_is_set() -> None:
    now = 0.0
    async with remote(check_period_s=30, clock=lambda: now) as (server, engine):
        await engine.check()
        asked = len(server.heads)
        now = 29.0
        await engine.check()
        assert len(server.heads) == asked
        now = 31.0
        await engine.check()
        assert len(server.heads) == asked + 1


async def test_an_engine_that_was_not_started_is_unavailable() -> None:
    engine = OpenAiEngine("http://127.0.0.1:1/v1", MODEL)
    with pytest.raises(UnavailableError):
        await engine.check()
    assert isinstance(await failure(engine), UnavailableError)
    await engine.close()
