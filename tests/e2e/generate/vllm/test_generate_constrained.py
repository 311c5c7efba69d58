"""Outputs that must have a form, from the real vLLM engine; its model would say anything."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import grpc
import jsonschema
import pytest
from google.rpc.error_details_pb2 import BadRequest
from groundwire.v1.generate_service_pb2 import CompleteRequest, CompleteResponse, GenerateRequest
from groundwire.v1.generation_pb2 import (
    FINISH_REASON_LENGTH,
    FINISH_REASON_STOP,
    FINISH_REASON_TOOL_CALLS,
    ROLE_USER,
    STORE_OUTCOME_STORED,
    TOOL_CHOICE_MODE_REQUIRED,
    Chat,
    Choice,
    Constraint,
    Message,
    SamplingParameters,
    ToolChoice,
)
from groundwire_server.engines.vllm import VllmEngine
from groundwire_server.memory.redis_sessions import RedisSessions
from groundwire_server.services.generation_constraint import MAX_FORM_BYTES

from tests.e2e.generate.forms import FORMS, OPTIONS, VISIT
from tests.e2e.generate.serving import ALICE, Serve, Serving, details_of, text_of

pytestmark = pytest.mark.vllm

SEEDS = range(20)
CHAT = Chat(messages=[Message(role=ROLE_USER, content="When does it open?")])


def request(constraint: Constraint, *, seed: int = 1, **sampling: Any) -> GenerateRequest:
    given = {"temperature": 1.0, "max_tokens": 400, "seed": seed, **sampling}
    return GenerateRequest(chat=CHAT, constraint=constraint, sampling=SamplingParameters(**given))


async def complete(serving: Serving, asked: GenerateRequest) -> CompleteResponse:
    return await serving.stub.Complete(CompleteRequest(request=asked))


async def refusal(serving: Serving, asked: GenerateRequest) -> tuple[str, str]:
    """The field and the description with which a stream is refused, before its first event."""
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await serving.stub.Generate(asked, metadata=ALICE).read()
    assert caught.value.code() == grpc.StatusCode.INVALID_ARGUMENT
    detail = details_of(caught.value)["BadRequest"]
    assert isinstance(detail, BadRequest)
    (violation,) = detail.field_violations
    return violation.field, violation.description


@pytest.mark.parametrize("form", FORMS)
async def test_every_output_has_the_form_streamed_and_at_once(
    serve: Serve, engine: VllmEngine, form: str
) -> None:
    constraint, holds = FORMS[form]

    async def said(serving: Serving, seed: int) -> str:
        asked = request(constraint, seed=seed)
        events = [event async for event in serving.stub.Generate(asked)]
        assert events[-1].finished.finish_reason == FINISH_REASON_STOP
        gathered = await complete(serving, asked)
        assert gathered.finished.finish_reason == FINISH_REASON_STOP
        assert gathered.text == text_of(events)
        assert holds(gathered.text), gathered.text
        return gathered.text

    async with serve(engine) as serving:
        texts = await asyncio.gather(*(said(serving, seed) for seed in SEEDS))
    # The model has a say in it.
    assert len(set(texts)) > 1


async def test_each_of_several_answers_has_the_form(serve: Serve, engine: VllmEngine) -> None:
    constraint, holds = FORMS["choice"]
    async with serve(engine) as serving:
        answer = await complete(serving, request(constraint, n=8))
    texts = [answer.text, *(other.text for other in answer.other_choices)]
    assert len(texts) == 8
    assert all(map(holds, texts))


async def test_a_schema_that_joins_others_is_kept_whatever_was_asked_before(
    serve: Serve, engine: VllmEngine
) -> None:
    joined = json.dumps({"allOf": [{"type": "string"}, {"enum": ["yes", "no", 3]}]})
    async with serve(engine) as serving:
        await complete(serving, request(FORMS["regex"][0]))
        answers = [
            await complete(serving, request(Constraint(json_schema=joined), seed=seed))
            for seed in range(6)
        ]
    assert {json.loads(answer.text) for answer in answers} <= {"yes", "no"}


async def test_an_output_that_is_cut_off_is_the_beginning_of_one_with_the_form(
    serve: Serve, engine: VllmEngine
) -> None:
    constraint = FORMS["choice"][0]
    async with serve(engine) as serving:
        whole = await complete(serving, request(constraint))
        cut = await complete(serving, request(constraint, max_tokens=3))
    assert cut.finished.finish_reason == FINISH_REASON_LENGTH
    assert whole.text.startswith(cut.text)
    assert len(cut.text) < len(whole.text)


async def test_a_session_keeps_a_constrained_answer(
    serve: Serve, engine: VllmEngine, sessions: RedisSessions, session_id: str
) -> None:
    await sessions.create("alice", "al", session_id=session_id)
    constraint, holds = FORMS["regex"]
    asked = request(constraint)
    asked.session_id = session_id
    async with serve(engine) as serving:
        answer = await serving.stub.Complete(CompleteRequest(request=asked), metadata=ALICE)
    assert answer.finished.stored == STORE_OUTCOME_STORED
    assert holds(answer.text)
    turns = (await sessions.turns("alice", session_id, after=0, limit=10)).turns
    assert turns[-1].content == answer.text


@pytest.mark.parametrize(
    ("constraint", "field", "said"),
    [
        (Constraint(json_schema='{"type": "banana"}'), "json_schema", "Invalid type: banana"),
        (
            Constraint(json_schema='{"properties": 5}'),
            "json_schema",
            "properties must be an object",
        ),
        (Constraint(json_schema='{"required": [1]}'), "json_schema", "got 1"),
        (Constraint(json_schema='{"$ref": "#/$defs/none"}'), "json_schema", "does not exist"),
        (Constraint(json_schema='{"not": {}}'), "json_schema", 'Unimplemented keys: ["not"]'),
        (Constraint(json_schema='{"type": "string", "pattern": "("}'), "json_schema", "unclosed"),
        (Constraint(json_schema='{"a":' * 70 + "1" + "}" * 70), "json_schema", "64 levels"),
        (Constraint(regex="[0-9"), "regex", "unclosed character class"),
        (Constraint(regex=r"(a)\1"), "regex", "backreferences are not supported"),
        (Constraint(regex="(?=a)b"), "regex", "look-around"),
        (Constraint(grammar="root ::= missing"), "grammar", "Rule 'missing' not found"),
        (Constraint(grammar='first ::= "a"'), "grammar", "No 'root' rule found"),
        (Constraint(grammar="root ::= " + "(" * 2000), "grammar", "recursion depth"),
        (Constraint(grammar="start: missing"), "grammar", 'unknown name: "missing"'),
    ],
)
async def test_a_form_that_does_not_compile_is_refused_before_the_engine_works(
    serve: Serve, engine: VllmEngine, constraint: Constraint, field: str, said: str
) -> None:
    asked = request(constraint)
    async with serve(engine) as serving:
        named, description = await refusal(serving, asked)
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await complete(serving, asked)
    assert named == f"constraint.{field}"
    assert said in description
    assert caught.value.details() == f"request.constraint.{field}: {description}"
    assert engine._vllm.get_num_unfinished_requests() == 0


@pytest.mark.parametrize(
    ("constraint", "field"),
    [
        (Constraint(regex="(a{1000}){1000}"), "regex"),
        (Constraint(grammar="start: /a/{1000000}"), "grammar"),
        (Constraint(choice=Choice(options=["<|end|>"])), "choice"),
    ],
)
async def test_a_form_that_fails_as_the_model_writes_is_no_failure_of_the_model(
    serve: Serve, engine: VllmEngine, constraint: Constraint, field: str
) -> None:
    """However often one tenant sends it, the others have the model."""
    async with serve(engine) as serving:
        for _ in range(6):
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await complete(serving, request(constraint))
            assert caught.value.code() == grpc.StatusCode.INVALID_ARGUMENT
            assert f"constraint.{field}: the output cannot be held" in (
                caught.value.details() or ""
            )
        assert (await complete(serving, request(FORMS["choice"][0]))).text in OPTIONS


@pytest.mark.parametrize("keyword", ["items", "additionalProperties", "anyOf", "properties"])
async def test_the_longest_chain_of_references_does_not_bring_the_engine_down(
    serve: Serve, engine: VllmEngine, keyword: str
) -> None:
    def link(number: int) -> Any:
        following = {"$ref": f"#/$defs/{number + 1}"}
        return {
            keyword: {"anyOf": [following], "properties": {"": following}}.get(keyword, following)
        }

    def schema(length: int) -> str:
        links = {str(number): link(number) for number in range(length)}
        chain = {"$ref": "#/$defs/0", "$defs": {**links, str(length): {}}}
        return json.dumps(chain, separators=(",", ":"))

    length = next(n for n in range(1000) if len(schema(n + 1)) > MAX_FORM_BYTES)
    async with serve(engine) as serving:
        answer = await complete(
            serving, request(Constraint(json_schema=schema(length)), max_tokens=4)
        )
        await engine.check()
    assert answer.finished.usage.completion_tokens


NAMED = ToolChoice(name="visit")
REQUIRED = ToolChoice(mode=TOOL_CHOICE_MODE_REQUIRED)


def calling(choice: ToolChoice, *schemas: dict[str, Any], **sampling: Any) -> GenerateRequest:
    """Of the tools "visit", "visit-1" and so on, which have these schemas."""
    asked = request(Constraint(), **sampling)
    asked.ClearField("constraint")
    asked.tool_choice.CopyFrom(choice)
    for number, schema in enumerate(schemas):
        tool = asked.tools.add(name=f"visit-{number}" if number else "visit")
        tool.parameters.update(schema)
    return asked


@pytest.mark.parametrize("choice", [NAMED, REQUIRED], ids=["named", "required"])
async def test_calls_that_are_demanded_have_arguments_that_their_schemas_admit(
    serve: Serve, engine: VllmEngine, choice: ToolChoice
) -> None:
    """Also without a parser: the form of the calls is ours."""
    schemas = {"visit": VISIT, "visit-1": {"type": "object", "additionalProperties": False}}
    async with serve(engine) as serving:
        answer = await complete(serving, calling(choice, *schemas.values(), n=8))
    called = []
    for one in (answer, *answer.other_choices):
        reason = one.finished.finish_reason if one is answer else one.finish_reason
        assert one.text == ""
        assert one.tool_calls
        assert reason in (FINISH_REASON_TOOL_CALLS, FINISH_REASON_LENGTH)
        # A random model may call until it has no tokens left: the last call may be a part.
        called += one.tool_calls if reason == FINISH_REASON_TOOL_CALLS else one.tool_calls[:-1]
    for call in called:
        jsonschema.validate(json.loads(call.arguments), schemas[call.name])
    assert {call.name for call in called} == ({"visit"} if choice is NAMED else set(schemas))
    assert len({call.arguments for call in called if call.name == "visit"}) > 1
    assert len({call.id for call in called}) == len(called)


async def test_a_forced_call_streams_what_it_gives_at_once(
    serve: Serve, engine: VllmEngine
) -> None:
    asked = calling(REQUIRED, VISIT)
    async with serve(engine) as serving:
        deltas = [event.tool_call_delta async for event in serving.stub.Generate(asked)]
        answer = await complete(serving, asked)
    for number, call in enumerate(answer.tool_calls):
        pieces = [delta for delta in deltas if delta.index == number]
        assert "".join(delta.arguments for delta in pieces) == call.arguments
    assert len(deltas) > 2 * len(answer.tool_calls)


async def test_without_a_parser_the_model_may_not_decide_whether_to_call(
    serve: Serve, engine: VllmEngine
) -> None:
    async with serve(engine) as serving:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await complete(serving, calling(ToolChoice(), VISIT))
    assert caught.value.code() == grpc.StatusCode.FAILED_PRECONDITION
    assert "vllm_tool_parser" in str(caught.value.details())


@pytest.mark.parametrize("choice", [NAMED, REQUIRED], ids=["named", "required"])
@pytest.mark.parametrize(
    ("schema", "said"),
    [
        ({"properties": {"a": {"$ref": "#/$defs/none"}}}, "does not exist"),
        ({"properties": {"a": {"type": "string", "pattern": "("}}}, "unclosed"),
        ({"not": {}}, 'Unimplemented keys: ["not"]'),
    ],
)
async def test_the_schema_of_a_tool_that_does_not_compile_is_named(
    serve: Serve, engine: VllmEngine, choice: ToolChoice, schema: dict[str, Any], said: str
) -> None:
    schemas = (schema,) if choice is NAMED else (VISIT, schema)
    async with serve(engine) as serving:
        field, description = await refusal(serving, calling(choice, *schemas))
    assert field == f"tools[{len(schemas) - 1}].parameters"
    assert said in description
    assert "x-guidance" not in description
