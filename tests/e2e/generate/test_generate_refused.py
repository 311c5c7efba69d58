"""What is wrong with a request is told with its field and what is allowed, before any work."""

from __future__ import annotations

from typing import Any

import grpc
import pytest
from google.protobuf.json_format import ParseDict
from google.rpc.error_details_pb2 import BadRequest
from groundwire.v1.generate_service_pb2 import (
    CompleteRequest,
    CountTokensRequest,
    GenerateRequest,
)
from groundwire_server.memory.redis_sessions import RedisSessions

from tests.e2e.generate.serving import ALICE, Serve, Serving, details_of
from tests.unit.grounding.scripted_engine import ScriptedEngine, saying

USER = {"role": "ROLE_USER", "content": "Why?"}
CHAT = {"messages": [USER]}
DOME = {"name": "dome"}
NOTES = {"collection": "notes"}
BROKEN = {"type": "object", "properties": {"a": {"type": "banana"}}}

WRONG: list[tuple[dict[str, Any], str, str]] = [
    # Sampling, at the first value that is too much or too little.
    ({"sampling": {"n": 17}}, "sampling.n", "1 to 16"),
    ({"sampling": {"n": 0}}, "sampling.n", "1 to 16"),
    ({"sampling": {"n": 2**32 - 1}}, "sampling.n", "1 to 16"),
    ({"sampling": {"logprobs": 21}}, "sampling.logprobs", "at most 20"),
    ({"sampling": {"temperature": 2.1}}, "sampling.temperature", "0 to 2"),
    ({"sampling": {"temperature": "NaN"}}, "sampling.temperature", "0 to 2"),
    ({"sampling": {"top_p": 0}}, "sampling.top_p", "1"),
    ({"sampling": {"max_tokens": 0}}, "sampling.max_tokens", "1"),
    ({"sampling": {"max_tokens": -1}}, "sampling.max_tokens", "1"),
    ({"sampling": {"stop": ["a"] * 17}}, "sampling.stop", "0 to 16"),
    # Forms.
    ({"constraint": {"json_schema": "{"}}, "constraint.json_schema", "is not JSON"),
    ({"constraint": {"json_schema": "[]"}}, "constraint.json_schema", "must be a JSON object"),
    ({"constraint": {"regex": "a" * 16_385}}, "constraint.regex", "16,384"),
    ({"constraint": {"choice": {"options": []}}}, "constraint.choice.options", "1 to 1,000"),
    ({"constraint": {}}, "constraint", "set one of"),
    # Tools.
    (
        {"chat": CHAT, "tools": [DOME, {"name": "sky", "parameters": BROKEN}]},
        "tools[1].parameters.properties.a.type",
        "is no JSON schema",
    ),
    (
        {"chat": CHAT, "tools": [{"name": "sky", "parameters": {"type": "string"}}]},
        "tools[0].parameters.type",
        '"object"',
    ),
    ({"chat": CHAT, "tools": [{"name": "a b"}]}, "tools[0].name", "[A-Za-z0-9_-]"),
    ({"chat": CHAT, "tool_choice": {"name": "sky"}}, "tool_choice.name", "no tools"),
    (
        {"chat": CHAT, "tools": [DOME], "tool_choice": {"name": "sky"}},
        "tool_choice.name",
        "there are: dome",
    ),
    # What contradicts something else.
    ({"tools": [DOME]}, "tools", "`chat`"),
    ({"chat": CHAT, "tools": [DOME], "constraint": {"regex": "a"}}, "constraint", "tools"),
    ({"constraint": {"regex": "a"}, "grounding": NOTES}, "constraint", "grounding"),
    ({"session_id": "s", "sampling": {"n": 2}}, "sampling.n", "must be 1"),
    (
        {"session_id": "s", "chat": {"messages": [USER, USER]}},
        "chat.messages",
        "one user message",
    ),
    # Chats.
    ({"chat": {}}, "chat.messages", "1 to 10,000"),
    (
        {"chat": {"messages": [USER, {"role": "ROLE_ASSISTANT", "content": "So."}]}},
        "chat.messages[1].role",
        "ROLE_USER or ROLE_TOOL",
    ),
    (
        {"chat": {**CHAT, "template_arguments": {"tokenize": False}}},
        "chat.template_arguments.tokenize",
        "is said",
    ),
    ({"prompt": ""}, "prompt", "other than white space"),
    ({"prompt": "a" * (2**20 + 1)}, "prompt", "1,048,576"),
    ({"grounding": {**NOTES, "top_k": 101}}, "grounding.top_k", "1 to 100"),
]


def request(**fields: Any) -> GenerateRequest:
    given = fields if "chat" in fields or "prompt" in fields else {"prompt": "Why?", **fields}
    return ParseDict(given, GenerateRequest())


async def refusal(serving: Serving, asked: GenerateRequest, *, whole: bool) -> grpc.aio.AioRpcError:
    if whole:
        call = serving.stub.Complete(CompleteRequest(request=asked), metadata=ALICE)
    else:
        call = serving.stub.Generate(asked, metadata=ALICE).read()
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call
    return caught.value


@pytest.mark.parametrize("whole", [False, True], ids=["generate", "complete"])
@pytest.mark.usefixtures("library")
async def test_a_wrong_field_is_named_with_what_is_allowed(serve: Serve, whole: bool) -> None:
    engine = ScriptedEngine(saying("So."), context_length=1000)
    async with serve(engine) as serving:
        wrong = []
        for fields, field, allowed in WRONG:
            error = await refusal(serving, request(**fields), whole=whole)
            assert error.code() == grpc.StatusCode.INVALID_ARGUMENT, fields
            detail = details_of(error)["BadRequest"]
            assert isinstance(detail, BadRequest)
            (violation,) = detail.field_violations
            assert violation.field == (f"request.{field}" if whole else field)
            wrong += [(field, violation.description)] * (allowed not in violation.description)
        assert wrong == []
        assert not len(serving.running)
    assert engine.requests == []


@pytest.mark.parametrize("name", ["legal-2", "scripted/legal", "gpt", "Scripted"])
async def test_a_model_or_adapter_that_is_not_there_is_told_with_those_that_are(
    serve: Serve, name: str
) -> None:
    engine = ScriptedEngine(saying("So."))
    engine.adapters = ("legal",)
    async with serve(engine) as serving:
        asked = request(model=name)
        errors = [await refusal(serving, asked, whole=whole) for whole in (False, True)]
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await serving.stub.CountTokens(CountTokensRequest(model=name, text="a"))
        for error in (*errors, caught.value):
            assert error.code() == grpc.StatusCode.NOT_FOUND
            assert f'no model "{name}"' in (error.details() or "")
            assert '"scripted", "legal"' in (error.details() or "")
        known = await serving.stub.Complete(CompleteRequest(request=request(model="legal")))
    assert known.text == "So."
    assert len(engine.requests) == 1
    assert engine.requests[0].adapter == "legal"


@pytest.mark.usefixtures("library")
@pytest.mark.parametrize("grounded", [False, True])
async def test_a_question_that_fits_exactly_is_answered_and_one_token_more_is_out_of_range(
    serve: Serve, sessions: RedisSessions, session_id: str, grounded: bool
) -> None:
    """Where the prompt is packed, room for the answer is kept: 64 tokens here."""
    await sessions.create("alice", "al", session_id=session_id)
    fields: dict[str, Any] = {"session_id": session_id}
    if grounded:
        # Nothing is found: the instructions and the question are all there is.
        fields["grounding"] = {**NOTES, "min_score": 2.0}
    probe = ScriptedEngine(saying("So."), context_length=4000)
    async with serve(probe) as serving:
        await serving.stub.Complete(
            CompleteRequest(request=request(prompt="a", **fields)), metadata=ALICE
        )
    (read,) = probe.requests
    frame = await probe.count_tokens(read.messages) - 1
    await sessions.delete("alice", session_id)
    await sessions.create("alice", "al", session_id=session_id)
    engine = ScriptedEngine(saying("So."), context_length=1000)
    most = 1000 - 64 - frame
    async with serve(engine) as serving:
        over = request(prompt="a " * (most + 1), **fields)
        for whole in (False, True):
            error = await refusal(serving, over, whole=whole)
            assert error.code() == grpc.StatusCode.OUT_OF_RANGE
            assert "longer than 936 tokens" in (error.details() or "")
        assert engine.requests == []
        fits = request(prompt="a " * most, **fields)
        await serving.stub.Complete(CompleteRequest(request=fits), metadata=ALICE)
    assert len(engine.requests) == 1
    assert engine.requests[0].sampling.max_tokens == 64
