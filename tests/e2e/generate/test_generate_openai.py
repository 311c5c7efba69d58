"""GenerateService over an OpenAI-compatible server: vLLM's own, running for real."""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import aiohttp
import grpc
import pytest
from groundwire.v1.generate_service_pb2 import (
    CompleteRequest,
    CompleteResponse,
    CountTokensRequest,
    GenerateRequest,
    GenerateResponse,
)
from groundwire.v1.generation_pb2 import (
    FINISH_REASON_LENGTH,
    FINISH_REASON_STOP,
    ROLE_SYSTEM,
    ROLE_USER,
    Chat,
    Choice,
    Constraint,
    Grounding,
    Message,
    SamplingParameters,
)
from groundwire_index.errors import FailedPreconditionError
from groundwire_server.engines.openai import OpenAiEngine

from tests.e2e.generate.forms import FORMS, OPTIONS
from tests.e2e.generate.serving import ALICE, Serve, Serving, details_of, kinds, text_of
from tests.e2e.generate.vllm_servers import KEY, MODEL, vllm_http
from tests.models import CONTEXT_LENGTH

pytestmark = pytest.mark.vllm

SAID = (("system", "Be brief."), ("user", "Wann öffnet die Sternwarte? 🔭"))
CHAT = Chat(
    messages=[
        Message(role=role, content=said)
        for role, (_, said) in zip((ROLE_SYSTEM, ROLE_USER), SAID, strict=True)
    ]
)
MESSAGES = [{"role": role, "content": said} for role, said in SAID]
PROMPT = "The observatory stands on"
# With so many choices some do not end by themselves.
LONG = SamplingParameters(temperature=1.0, seed=7, max_tokens=400, n=8)


@dataclass(frozen=True)
class Remote:
    """The server as its users see it without us."""

    address: str
    session: aiohttp.ClientSession

    async def post(self, path: str, body: dict[str, Any]) -> Any:
        async with self.session.post(f"{self.address}/v1{path}", json=body) as response:
            assert response.status == 200
            return await response.json()

    async def metric(self, name: str) -> int:
        async with self.session.get(f"{self.address}/metrics") as response:
            text = await response.text()
        (value,) = re.findall(rf"^vllm:{name}\{{.*\}} ([\d.e+]+)$", text, re.M)
        return int(float(value))

    async def idle(self) -> None:
        """Wait until no request holds a slot of the engine, or waits for one."""
        while await self.metric("num_requests_running") + await self.metric("num_requests_waiting"):
            pass


@pytest.fixture(scope="module")
async def remote() -> AsyncIterator[Remote]:
    with vllm_http() as address:
        headers = {"Authorization": f"Bearer {KEY}"}
        async with aiohttp.ClientSession(headers=headers) as session:
            yield Remote(address, session)


@pytest.fixture(scope="module")
async def to_the_end(remote: Remote) -> int:
    """How many tokens a long answer has that nobody cuts off."""
    sampling = {"temperature": 1.0, "seed": 7, "max_tokens": 400, "n": 8}
    answer = await remote.post(
        "/chat/completions", {"model": MODEL, "messages": MESSAGES, **sampling}
    )
    tokens = int(answer["usage"]["completion_tokens"])
    assert tokens > 1000
    return tokens


@pytest.fixture(scope="module")
async def engine(remote: Remote) -> AsyncIterator[OpenAiEngine]:
    engine = OpenAiEngine(
        f"{remote.address}/v1", MODEL, name="far", api_key=KEY, max_tokens_default=20
    )
    await engine.start()
    yield engine
    await engine.close()


@pytest.fixture
async def serving(serve: Serve, engine: OpenAiEngine) -> AsyncIterator[Serving]:
    async with serve(engine) as serving:
        yield serving


def chat(**sampling: Any) -> GenerateRequest:
    return GenerateRequest(chat=CHAT, sampling=SamplingParameters(**sampling))


async def ask(serving: Serving, request: GenerateRequest) -> list[GenerateResponse]:
    return [event async for event in serving.stub.Generate(request, metadata=ALICE)]


async def complete(serving: Serving, request: GenerateRequest) -> CompleteResponse:
    return await serving.stub.Complete(CompleteRequest(request=request), metadata=ALICE)


async def refused(serving: Serving, request: GenerateRequest) -> grpc.aio.AioRpcError:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await ask(serving, request)
    assert KEY not in str(caught.value)
    return caught.value


@pytest.mark.parametrize("seed", [1, 11, 2**40])
async def test_a_chat_streams_what_it_gives_whole_and_what_the_remote_gives_without_us(
    serving: Serving, remote: Remote, seed: int
) -> None:
    request = chat(temperature=1.0, seed=seed, max_tokens=120)
    events = await ask(serving, request)
    whole = await complete(serving, request)
    direct = await remote.post(
        "/chat/completions",
        {
            "model": MODEL,
            "messages": MESSAGES,
            "temperature": 1.0,
            "seed": seed,
            "max_tokens": 120,
        },
    )
    assert text_of(events) == whole.text == direct["choices"][0]["message"]["content"]
    assert kinds(events)[0] == "started"
    assert kinds(events).count("text_delta") > 10
    assert kinds(events)[-1] == "finished"
    usage = events[-1].finished.usage
    assert usage.prompt_tokens == direct["usage"]["prompt_tokens"]
    assert usage.completion_tokens == direct["usage"]["completion_tokens"]
    counted = sum(event.text_delta.token_count for event in events)
    # The last tokens may have no text.
    assert usage.completion_tokens - 10 < counted <= usage.completion_tokens


async def test_a_prompt_is_continued_as_the_remote_continues_it(
    serving: Serving, remote: Remote
) -> None:
    sampling = {"temperature": 1.0, "seed": 5, "max_tokens": 60}
    request = GenerateRequest(prompt=PROMPT, sampling=SamplingParameters(**sampling))
    events = await ask(serving, request)
    whole = await complete(serving, request)
    direct = await remote.post("/completions", {"model": MODEL, "prompt": PROMPT, **sampling})
    assert text_of(events) == whole.text == direct["choices"][0]["text"]
    assert events[-1].finished.finish_reason == FINISH_REASON_LENGTH


@pytest.mark.parametrize("prompt", [True, False])
async def test_choices_and_their_log_probabilities_are_those_of_the_remote(
    serving: Serving, remote: Remote, prompt: bool
) -> None:
    sampling = {"temperature": 1.0, "seed": 3, "max_tokens": 12, "n": 3}
    request = chat(**sampling, logprobs=2)
    if prompt:
        request.prompt = PROMPT
        body = {"prompt": PROMPT, "logprobs": 2}
        path = "/completions"
    else:
        body = {"messages": MESSAGES, "logprobs": True, "top_logprobs": 2}
        path = "/chat/completions"
    answer = await complete(serving, request)
    direct = await remote.post(path, {"model": MODEL, **sampling, **body})
    choices = [answer, *answer.other_choices]
    assert len({choice.text for choice in choices}) == 3
    assert answer.finished.usage.completion_tokens == 36
    for ours, theirs in zip(choices, direct["choices"], strict=True):
        assert ours.text == (theirs["text"] if prompt else theirs["message"]["content"])
        told = theirs["logprobs"]
        probabilities = (
            told["token_logprobs"] if prompt else [one["logprob"] for one in told["content"]]
        )
        assert [one.logprob for one in ours.logprobs] == pytest.approx(probabilities, abs=1e-3)
        assert all(1 <= len(one.alternatives) <= 2 for one in ours.logprobs)


async def test_the_text_ends_before_a_stop_string(serving: Serving) -> None:
    whole = text_of(await ask(serving, chat(temperature=0, max_tokens=24)))
    stop = whole[4:9]
    events = await ask(serving, chat(temperature=0, max_tokens=24, stop=[stop]))
    assert text_of(events) == whole[: whole.index(stop)]
    assert events[-1].finished.finish_reason == FINISH_REASON_STOP


async def test_fields_that_only_vllm_has_reach_it(serving: Serving) -> None:
    greedy = text_of(await ask(serving, chat(temperature=0, max_tokens=16)))
    free = {"temperature": 1.0, "seed": 9, "max_tokens": 16}
    assert text_of(await ask(serving, chat(**free))) != greedy
    for narrowed in ({"top_k": 1}, {"min_p": 1.0}, {"top_p": 1e-6}):
        assert text_of(await ask(serving, chat(**free, **narrowed))) == greedy
    repeated = text_of(await ask(serving, chat(temperature=0, max_tokens=16, repetition_penalty=2)))
    assert repeated != greedy


@pytest.mark.parametrize("prompt", [True, False])
@pytest.mark.parametrize("form", FORMS)
async def test_an_output_has_the_form_that_is_asked_for(
    serving: Serving, form: str, prompt: bool
) -> None:
    constraint, holds = FORMS[form]
    request = chat(temperature=1.0, seed=4, max_tokens=400, n=8)
    if prompt:
        request.prompt = PROMPT
    request.constraint.CopyFrom(constraint)
    answer = await complete(serving, request)
    assert answer.finished.finish_reason == FINISH_REASON_STOP
    texts = [answer.text, *(other.text for other in answer.other_choices)]
    assert all(map(holds, texts)), texts
    # The model has a say in it.
    assert len(set(texts)) > 1


@pytest.mark.parametrize(
    ("constraint", "field", "said"),
    [
        (Constraint(json_schema='{"type": "banana"}'), "json_schema", "Invalid type: banana"),
        (Constraint(json_schema='{"not": {}}'), "json_schema", "Unimplemented keys"),
        (Constraint(regex="[0-9"), "regex", "unclosed character class"),
        (Constraint(grammar="root ::= missing"), "grammar", "Rule 'missing' not found"),
    ],
)
async def test_a_form_that_does_not_compile_there_is_named(
    serving: Serving, constraint: Constraint, field: str, said: str
) -> None:
    error = await refused(serving, GenerateRequest(chat=CHAT, constraint=constraint))
    assert error.code() == grpc.StatusCode.INVALID_ARGUMENT
    assert f"constraint.{field}: " in (error.details() or "")
    assert said in (error.details() or "")


async def test_a_form_that_fails_as_the_model_writes_is_no_failure_of_the_model(
    serving: Serving,
) -> None:
    """However often one tenant sends it, the others have the model."""
    impossible = Constraint(choice=Choice(options=["<|end|>"]))
    for _ in range(6):
        error = await refused(serving, GenerateRequest(chat=CHAT, constraint=impossible))
        assert error.code() == grpc.StatusCode.INVALID_ARGUMENT
        assert "constraint.choice: the output cannot be held" in (error.details() or "")
    request = GenerateRequest(chat=CHAT, constraint=FORMS["choice"][0])
    assert (await complete(serving, request)).text in OPTIONS


async def test_a_schema_reaches_a_server_that_has_the_api_alone(
    serve: Serve, remote: Remote
) -> None:
    constraint, holds = FORMS["json_schema"]
    engine = OpenAiEngine(f"{remote.address}/v1", MODEL, api_key=KEY, dialect="openai")
    await engine.start()
    async with serve(engine) as serving:
        request = chat(temperature=1.0, seed=4, max_tokens=400)
        request.constraint.CopyFrom(constraint)
        assert holds((await complete(serving, request)).text)
        for form in ("regex", "grammar", "choice"):
            request.constraint.CopyFrom(FORMS[form][0])
            error = await refused(serving, request)
            assert error.code() == grpc.StatusCode.UNIMPLEMENTED
            assert f"constraint.{form}" in (error.details() or "")
        prompt = GenerateRequest(prompt=PROMPT, constraint=constraint)
        error = await refused(serving, prompt)
        assert error.code() == grpc.StatusCode.UNIMPLEMENTED
        assert "constraint.json_schema" in (error.details() or "")
    await engine.close()


async def test_another_dialect_refuses_them(serve: Serve, remote: Remote) -> None:
    engine = OpenAiEngine(f"{remote.address}/v1", MODEL, api_key=KEY, dialect="openai")
    await engine.start()
    async with serve(engine) as serving:
        error = await refused(serving, chat(top_k=3))
        text = text_of(await ask(serving, chat(temperature=0, max_tokens=5)))
    await engine.close()
    assert error.code() == grpc.StatusCode.UNIMPLEMENTED
    assert "sampling.top_k" in (error.details() or "")
    assert text


@pytest.mark.parametrize("read", [0, 1, 3])
async def test_a_client_that_goes_away_frees_the_remote(
    serving: Serving, remote: Remote, to_the_end: int, read: int
) -> None:
    await remote.idle()
    before = await remote.metric("generation_tokens_total")
    call = serving.stub.Generate(GenerateRequest(chat=CHAT, sampling=LONG), metadata=ALICE)
    for _ in range(read):
        await call.read()
    call.cancel()
    while len(serving.running):
        await remote.idle()
    await remote.idle()
    assert await remote.metric("generation_tokens_total") - before < to_the_end / 2


async def test_a_deadline_frees_the_remote(
    serving: Serving, remote: Remote, to_the_end: int
) -> None:
    await remote.idle()
    before = await remote.metric("generation_tokens_total")
    request = GenerateRequest(chat=CHAT, sampling=LONG)
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await serving.stub.Complete(CompleteRequest(request=request), timeout=0.1)
    assert caught.value.code() == grpc.StatusCode.DEADLINE_EXCEEDED
    await remote.idle()
    assert await remote.metric("generation_tokens_total") - before < to_the_end / 2


async def test_a_prompt_that_fits_exactly_has_one_token_and_one_more_is_out_of_range(
    serving: Serving, engine: OpenAiEngine
) -> None:
    prompt = " a"
    while await engine.count_tokens(prompt) < CONTEXT_LENGTH - 1:
        prompt += " a"
    answer = await complete(serving, GenerateRequest(prompt=prompt))
    assert answer.finished.usage.prompt_tokens == CONTEXT_LENGTH - 1
    assert answer.finished.usage.completion_tokens == 1
    error = await refused(serving, GenerateRequest(prompt=f"{prompt} a"))
    assert error.code() == grpc.StatusCode.OUT_OF_RANGE
    assert "511 fit the context" in (error.details() or "")


async def test_the_remotes_own_word_on_a_long_prompt_is_out_of_range_too(
    serve: Serve, remote: Remote
) -> None:
    engine = OpenAiEngine(f"{remote.address}/v1", MODEL, api_key=KEY, dialect="openai")
    await engine.start()
    async with serve(engine) as serving:
        request = GenerateRequest(prompt=" a" * 600, sampling=SamplingParameters(max_tokens=5))
        error = await refused(serving, request)
    await engine.close()
    assert error.code() == grpc.StatusCode.OUT_OF_RANGE
    assert "512" in (error.details() or "")


async def test_what_the_remote_refuses_is_an_argument_error_in_its_words(serving: Serving) -> None:
    error = await refused(serving, chat(temperature=0, n=2))
    assert error.code() == grpc.StatusCode.INVALID_ARGUMENT
    assert "greedy" in (error.details() or "")


async def test_a_wrong_key_and_a_wrong_model_keep_the_engine_from_starting(remote: Remote) -> None:
    for model, key, words in ((MODEL, "sk-wrong", "openai_api_key"), ("big", KEY, '"small"')):
        engine = OpenAiEngine(f"{remote.address}/v1", model, api_key=key)
        with pytest.raises(FailedPreconditionError, match=words) as caught:
            await engine.start()
        assert key not in str(caught.value)
        await engine.close()


async def test_tokens_are_counted_by_the_remote_also_for_a_chat(
    serving: Serving, engine: OpenAiEngine
) -> None:
    counted = await serving.stub.CountTokens(CountTokensRequest(chat=CHAT), metadata=ALICE)
    answer = await complete(serving, chat(max_tokens=1))
    assert counted.token_count == answer.finished.usage.prompt_tokens
    assert counted.context_length == engine.context_length == CONTEXT_LENGTH
    assert await engine.count_tokens("The observatory") == 2
    assert await engine.count_tokens("") == 0


async def test_a_prompt_that_was_read_before_comes_from_the_cache(serving: Serving) -> None:
    request = GenerateRequest(
        prompt="The lamps are covered when the night is dark. " * 12,
        sampling=SamplingParameters(max_tokens=1),
    )
    await ask(serving, request)
    usage = (await ask(serving, request))[-1].finished.usage
    assert 0 < usage.cached_tokens < usage.prompt_tokens


@pytest.mark.usefixtures("library")
async def test_documents_are_read_by_the_remote_model(serving: Serving) -> None:
    request = GenerateRequest(
        prompt="How wide is the main mirror?",
        grounding=Grounding(collection="notes", top_k=1),
        sampling=SamplingParameters(temperature=0, max_tokens=12),
    )
    events = await ask(serving, request)
    assert kinds(events)[:2] == ["started", "sources"]
    assert events[-1].finished.usage.completion_tokens == 12


async def test_details_of_an_error_are_no_secret_and_name_the_field(serving: Serving) -> None:
    error = await refused(serving, chat(temperature=0, n=2))
    details = details_of(error)
    assert "BadRequest" in details
    assert KEY not in json.dumps({name: str(one) for name, one in details.items()})


async def test_a_look_at_the_engine_needs_no_token(engine: OpenAiEngine, remote: Remote) -> None:
    before = await remote.metric("prompt_tokens_total")
    await engine.check()
    await remote.idle()
    assert await remote.metric("prompt_tokens_total") == before
