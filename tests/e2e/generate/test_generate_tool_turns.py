"""Tools in a session, whose calls and results are turns of it, and tools beside sources."""

from __future__ import annotations

from typing import Any

import grpc
import pytest
from google.protobuf.json_format import ParseDict
from google.rpc.error_details_pb2 import BadRequest
from groundwire.v1.generate_service_pb2 import CompleteRequest, CompleteResponse, GenerateRequest
from groundwire.v1.generation_pb2 import (
    FINISH_REASON_STOP,
    FINISH_REASON_TOOL_CALLS,
    STORE_OUTCOME_STORED,
    STORE_OUTCOME_UNSPECIFIED,
)
from groundwire_server.engines.engine import (
    ChoiceEnd,
    FinishReason,
    GenerationEnd,
    Message,
    Role,
    TextPiece,
    ToolCallPiece,
    Usage,
)
from groundwire_server.engines.tools import ToolCall
from groundwire_server.memory.redis_sessions import RedisSessions
from groundwire_server.memory.session import NewTurn, Turn

from tests.e2e.generate.serving import ALICE, Serve, Serving, details_of, kinds
from tests.unit.grounding.scripted_engine import ScriptedEngine, Step, saying

QUESTION = "How wide is the main mirror, and does it rain?"
CITED = "The main mirror is 2.4 metres wide [1]."
CALLS = (ToolCall("c-1", "sky", '{"city": "Jena"}'), ToolCall("c-2", "dome", "{}"))


def calling(*pieces: str, said: str = "") -> list[Step]:
    """Calls the sky with arguments of these pieces, and the dome."""
    return [
        *([TextPiece(said, 1)] if said else []),
        ToolCallPiece(0, "c-1", "sky", "", 1),
        *(ToolCallPiece(0, "", "", piece, 1) for piece in pieces or ('{"city": ', '"Jena"}')),
        ToolCallPiece(1, "c-2", "dome", "{}", 1),
        ChoiceEnd(FinishReason.TOOL_CALLS),
        GenerationEnd(Usage()),
    ]


def result(call_id: str, content: str = "It rains.") -> dict[str, str]:
    return {"role": "ROLE_TOOL", "name": call_id, "content": content}


def asking(*said: str | dict[str, str], **fields: Any) -> GenerateRequest:
    messages = [
        {"role": "ROLE_USER", "content": one} if isinstance(one, str) else one for one in said
    ]
    tools = [{"name": "sky"}, {"name": "dome"}]
    return ParseDict({"chat": {"messages": messages}, "tools": tools, **fields}, GenerateRequest())


async def complete(serving: Serving, asked: GenerateRequest) -> CompleteResponse:
    return await serving.stub.Complete(CompleteRequest(request=asked), metadata=ALICE)


async def refusal(serving: Serving, asked: GenerateRequest) -> str:
    """The field that is wrong."""
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await serving.stub.Generate(asked, metadata=ALICE).read()
    assert caught.value.code() == grpc.StatusCode.INVALID_ARGUMENT
    detail = details_of(caught.value)["BadRequest"]
    assert isinstance(detail, BadRequest)
    (violation,) = detail.field_violations
    return violation.field


async def turns_of(sessions: RedisSessions, session_id: str) -> tuple[Turn, ...]:
    return (await sessions.turns("alice", session_id, after=0, limit=100)).turns


@pytest.fixture
async def session(sessions: RedisSessions, session_id: str) -> str:
    await sessions.create("alice", "al", session_id=session_id)
    return session_id


async def test_calls_and_their_results_are_turns_of_the_session(
    serve: Serve, sessions: RedisSessions, session: str
) -> None:
    engine = ScriptedEngine(calling(said="Let me look."))
    async with serve(engine) as serving:
        first = await complete(serving, asking(QUESTION, session_id=session))
        engine.script = saying("It rains.")
        results = [result("c-2", "open"), result("c-1")]
        second = await complete(serving, asking(*results, session_id=session))
        await complete(serving, asking("And now?", session_id=session))
    assert first.finished.finish_reason == FINISH_REASON_TOOL_CALLS
    assert first.finished.stored == second.finished.stored == STORE_OUTCOME_STORED
    turns = await turns_of(sessions, session)
    spoken = (
        Message(Role.USER, QUESTION),
        Message(Role.ASSISTANT, "Let me look.", tool_calls=CALLS),
        Message(Role.TOOL, "open", "c-2"),
        Message(Role.TOOL, "It rains.", "c-1"),
        Message(Role.ASSISTANT, "It rains."),
    )
    assert tuple(turn.message for turn in turns[:5]) == spoken
    assert engine.requests[1].messages == spoken[:4]
    assert engine.requests[2].messages == (*spoken, Message(Role.USER, "And now?"))
    assert turns[1].answer is not None


async def test_who_repeats_a_request_is_given_the_calls_again_that_the_session_has(
    serve: Serve, sessions: RedisSessions, session: str
) -> None:
    engine = ScriptedEngine(calling(said="Let me look."))
    asked = asking(QUESTION, session_id=session, request_id="r-1")
    async with serve(engine) as serving:
        first = await complete(serving, asked)
        # A model would make others, to which no results could be given.
        engine.script = saying("I know without a look.")
        again = [await complete(serving, asked) for _ in range(2)]
        for one in again:
            assert (one.text, one.tool_calls) == (first.text, first.tool_calls)
            assert one.finished.finish_reason == FINISH_REASON_TOOL_CALLS
            assert one.finished.stored == STORE_OUTCOME_STORED
            assert (one.model, one.finished.usage.completion_tokens) == (first.model, 0)
        results = asking(result("c-1"), result("c-2"), session_id=session, request_id="r-2")
        for _ in range(2):
            answer = await complete(serving, results)
            assert answer.text == "I know without a look."
    roles = [turn.role for turn in await turns_of(sessions, session)]
    assert roles == [Role.USER, Role.ASSISTANT, Role.TOOL, Role.TOOL, Role.ASSISTANT]
    assert engine.requests[1].messages == engine.requests[2].messages


async def test_results_that_come_again_have_the_further_calls_again_that_they_led_to(
    serve: Serve, sessions: RedisSessions, session: str
) -> None:
    engine = ScriptedEngine(calling())
    async with serve(engine) as serving:
        await complete(serving, asking(QUESTION, session_id=session, request_id="r"))
        results = asking(result("c-1"), result("c-2"), session_id=session, request_id="r")
        first, again = [await complete(serving, results) for _ in range(2)]
    assert again.tool_calls == first.tool_calls
    assert len(await turns_of(sessions, session)) == 5
    assert len(engine.requests) == 2


async def test_a_request_that_allows_other_tools_is_another_request(
    serve: Serve, sessions: RedisSessions, session: str
) -> None:
    engine = ScriptedEngine(calling())
    async with serve(engine) as serving:
        asked = asking(QUESTION, session_id=session, request_id="r")
        await complete(serving, asked)
        del asked.tools[1:]
        engine.script = saying("I cannot know.")
        answer = await complete(serving, asked)
    assert answer.text == "I cannot know."
    assert len(await turns_of(sessions, session)) == 4


@pytest.mark.usefixtures("library")
async def test_calls_beside_sources_are_given_again_with_them(
    serve: Serve, sessions: RedisSessions, session: str
) -> None:
    engine = ScriptedEngine(calling(said=CITED))
    grounding = {"collection": "notes", "top_k": 1, "require_sources": True}
    asked = asking(QUESTION, session_id=session, request_id="r", grounding=grounding)
    async with serve(engine) as serving:
        first, again = [await complete(serving, asked) for _ in range(2)]
    assert first.citations
    assert (again.text, again.citations, again.passages) == (
        first.text,
        first.citations,
        first.passages,
    )
    assert again.tool_calls == first.tool_calls
    assert len(await turns_of(sessions, session)) == 2
    assert len(engine.requests) == 1


async def test_an_instruction_between_their_results_is_none_of_them(
    serve: Serve, sessions: RedisSessions, session: str
) -> None:
    asked = NewTurn(Role.USER, QUESTION), NewTurn(Role.ASSISTANT, "", tool_calls=CALLS)
    first, second = (NewTurn(Role.TOOL, "It rains.", name=call.id) for call in CALLS)
    turns = [*asked, first, NewTurn(Role.SYSTEM, "Be brief."), second]
    await sessions.append("alice", session, turns)
    engine = ScriptedEngine(saying("It does."))
    async with serve(engine) as serving:
        await complete(serving, asking("So?", session_id=session))
    spoken = [
        Message(turn.role, turn.content, turn.name, turn.tool_calls)
        for turn in turns
        if turn.role is not Role.SYSTEM
    ]
    assert engine.requests[0].messages == (*spoken, Message(Role.USER, "So?"))


async def test_a_new_question_abandons_calls_that_have_no_results(
    serve: Serve, sessions: RedisSessions, session: str
) -> None:
    engine = ScriptedEngine(calling())
    async with serve(engine) as serving:
        await complete(serving, asking(QUESTION, session_id=session))
        engine.script = saying("Fine.")
        await complete(serving, asking("Never mind.", session_id=session))
    assert engine.requests[1].messages == (
        Message(Role.USER, QUESTION),
        Message(Role.USER, "Never mind."),
    )
    assert (await turns_of(sessions, session))[1].tool_calls == CALLS


@pytest.mark.parametrize(
    ("results", "field"),
    [
        ([result("c-1")], "chat.messages"),
        ([result("c-1"), result("c-3")], "chat.messages[1].name"),
        ([result("c-1"), result("c-1")], "chat.messages[1].name"),
        (
            [{"role": "ROLE_SYSTEM", "content": "Be brief."}, result("c-3")],
            "chat.messages[1].name",
        ),
    ],
)
async def test_results_of_other_calls_are_refused_before_the_model_works(
    serve: Serve, sessions: RedisSessions, session: str, results: list[Any], field: str
) -> None:
    engine = ScriptedEngine(calling())
    async with serve(engine) as serving:
        await complete(serving, asking(QUESTION, session_id=session))
        assert await refusal(serving, asking(*results, session_id=session)) == field
        engine.script = saying("Fine.")
        await complete(serving, asking(result("c-2"), result("c-1"), session_id=session))
        # They have their results now.
        both = asking(result("c-2"), result("c-1"), session_id=session)
        assert await refusal(serving, both) == "chat.messages[0].name"
    assert len(engine.requests) == 2


@pytest.mark.parametrize("arguments", ['{"city": ', "[1]", "rain", '{"a": NaN}'])
async def test_a_call_that_no_model_could_read_again_is_not_stored(
    serve: Serve, sessions: RedisSessions, session: str, arguments: str
) -> None:
    async with serve(ScriptedEngine(calling(arguments))) as serving:
        answer = await complete(serving, asking(QUESTION, session_id=session))
    assert answer.finished.stored == STORE_OUTCOME_UNSPECIFIED
    assert [call.arguments for call in answer.tool_calls] == [arguments, "{}"]
    assert await turns_of(sessions, session) == ()


@pytest.mark.parametrize("nothing", ["", " "])
async def test_a_call_without_arguments_has_an_empty_object_of_them(
    serve: Serve, sessions: RedisSessions, session: str, nothing: str
) -> None:
    engine = ScriptedEngine(
        [
            ToolCallPiece(0, "c-1", "sky", nothing, 1),
            ToolCallPiece(1, "c-2", "dome", "", 1),
            ToolCallPiece(1, "", "", nothing, 1),
            ChoiceEnd(FinishReason.TOOL_CALLS),
            GenerationEnd(Usage()),
        ]
    )
    async with serve(engine) as serving:
        answer = await complete(serving, asking(QUESTION, session_id=session))
        results = [result("c-1"), result("c-2")]
        engine.script = saying("It rains.")
        after = await complete(serving, asking(*results, session_id=session))
    assert [call.arguments.strip() for call in answer.tool_calls] == ["{}", "{}"]
    assert answer.finished.stored == after.finished.stored == STORE_OUTCOME_STORED
    (_, called, *_) = await turns_of(sessions, session)
    assert [call.arguments.strip() for call in called.tool_calls] == ["{}", "{}"]


async def test_a_call_that_is_cut_off_before_its_arguments_has_none(
    serve: Serve, sessions: RedisSessions, session: str
) -> None:
    cut_off = [
        ToolCallPiece(0, "c-1", "sky", "", 1),
        ChoiceEnd(FinishReason.LENGTH),
        GenerationEnd(Usage()),
    ]
    async with serve(ScriptedEngine(cut_off)) as serving:
        answer = await complete(serving, asking(QUESTION, session_id=session))
    assert [call.arguments for call in answer.tool_calls] == [""]
    assert await turns_of(sessions, session) == ()


async def test_results_for_a_question_too_long_ago_are_refused_and_nothing_is_lost(
    serve: Serve, sessions: RedisSessions, session: str
) -> None:
    call = ToolCall("c-1", "sky", "{}")
    round_of_calls = [
        NewTurn(Role.ASSISTANT, "", tool_calls=(call,)),
        NewTurn(Role.TOOL, "It rains.", name="c-1"),
    ]
    turns = [NewTurn(Role.USER, QUESTION), *(32 * round_of_calls), round_of_calls[0]]
    await sessions.append("alice", session, turns)
    engine = ScriptedEngine(saying("It rains."))
    async with serve(engine) as serving:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await complete(serving, asking(result("c-1"), session_id=session))
        assert caught.value.code() == grpc.StatusCode.FAILED_PRECONDITION
        told = caught.value.details() or ""
        for part in ("last 64 turns", "ask a question", "all turns are kept"):
            assert part in told
        answer = await complete(serving, asking("So, does it rain?", session_id=session))
    assert answer.finished.stored == STORE_OUTCOME_STORED
    assert len(await turns_of(sessions, session)) == len(turns) + 2
    assert engine.requests[0].messages[-1] == Message(Role.USER, "So, does it rain?")


@pytest.mark.usefixtures("library")
@pytest.mark.parametrize("require_sources", [False, True])
async def test_a_model_with_sources_may_call_tools_and_then_cite(
    serve: Serve, session: str, require_sources: bool
) -> None:
    grounding = {"collection": "notes", "top_k": 1, "require_sources": require_sources}
    engine = ScriptedEngine(calling())
    async with serve(engine) as serving:
        asked = asking(QUESTION, grounding=grounding, session_id=session)
        events = [event async for event in serving.stub.Generate(asked, metadata=ALICE)]
        engine.script = saying(CITED, " It rains.")
        results = asking(result("c-2"), result("c-1"), grounding=grounding, session_id=session)
        answer = await complete(serving, results)
    assert kinds(events)[:2] == ["started", "sources"]
    assert "tool_call_delta" in kinds(events)
    called = events[-1].finished
    assert called.finish_reason == FINISH_REASON_TOOL_CALLS
    assert not called.HasField("confidence")
    assert answer.finished.finish_reason == FINISH_REASON_STOP
    assert [one.source for one in answer.citations] == [1]
    assert answer.text.endswith("It rains.")
    assert answer.finished.confidence > 0
    # The passage of the question, not of the results.
    assert "2.4 metres" in answer.passages[0].text
    system, question, made, *read = engine.requests[1].messages
    assert "What your tools return" in system.content
    assert "2.4 metres" in question.content
    assert made.tool_calls == CALLS
    assert [one.name for one in read] == ["c-2", "c-1"]
