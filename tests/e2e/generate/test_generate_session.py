"""Generate in a session: the history goes in, the exchange is stored, and failures are told."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from pathlib import Path

import grpc
import pytest
from groundwire.v1.generate_service_pb2 import CompleteRequest, CompleteResponse, GenerateRequest
from groundwire.v1.generation_pb2 import (
    FINISH_REASON_ABORTED,
    ROLE_SYSTEM,
    ROLE_USER,
    STORE_OUTCOME_CONFLICT,
    STORE_OUTCOME_FAILED,
    STORE_OUTCOME_STORED,
    STORE_OUTCOME_UNSPECIFIED,
    Chat,
    Message,
    SamplingParameters,
)
from groundwire_server.engines import engine as domain
from groundwire_server.engines.engine import FinishReason, Role, TextPiece
from groundwire_server.memory.redis_server import RedisServer
from groundwire_server.memory.redis_sessions import RedisSessions
from groundwire_server.memory.session import NewTurn
from groundwire_server.memory.summaries.summary import Summary

from tests.e2e.generate.serving import ALICE, BOB, Serve, Serving, rest_of
from tests.patience import PATIENCE_S, during, in_time
from tests.unit.grounding.scripted_engine import ScriptedEngine, saying


async def ask(
    serving: Serving, session_id: str, prompt: str, *, request_id: str = ""
) -> CompleteResponse:
    request = GenerateRequest(prompt=prompt, session_id=session_id, request_id=request_id)
    answer: CompleteResponse = await serving.stub.Complete(
        CompleteRequest(request=request), metadata=ALICE
    )
    return answer


async def said(sessions: RedisSessions, session_id: str) -> list[tuple[Role, str]]:
    read = await sessions.turns("alice", session_id, after=0, limit=100)
    return [(turn.role, turn.content) for turn in read.turns]


async def test_an_exchange_is_stored_and_comes_before_the_next_question(
    serve: Serve, sessions: RedisSessions, session_id: str
) -> None:
    await sessions.create("alice", "al", session_id=session_id)
    engine = ScriptedEngine(saying("The", " dome"))
    async with serve(engine) as serving:
        first = await ask(serving, session_id, "What opens?")
        await ask(serving, session_id, "When?")
    assert first.finished.stored == STORE_OUTCOME_STORED
    assert await said(sessions, session_id) == [
        (Role.USER, "What opens?"),
        (Role.ASSISTANT, "The dome"),
        (Role.USER, "When?"),
        (Role.ASSISTANT, "The dome"),
    ]
    assert engine.requests[1].messages == (
        domain.Message(Role.USER, "What opens?"),
        domain.Message(Role.ASSISTANT, "The dome"),
        domain.Message(Role.USER, "When?"),
    )


async def test_a_request_that_is_repeated_is_answered_as_before_and_stored_once(
    serve: Serve, sessions: RedisSessions, session_id: str
) -> None:
    await sessions.create("alice", "al", session_id=session_id)
    engine = ScriptedEngine(saying("The", " dome"))
    async with serve(engine) as serving:
        await ask(serving, session_id, "Who?", request_id="r-1")
        for _ in range(3):
            answer = await ask(serving, session_id, "What opens?", request_id="r-2")
            assert answer.finished.stored == STORE_OUTCOME_STORED
    asked = [turn for turn in await said(sessions, session_id) if turn[0] is Role.USER]
    assert asked == [(Role.USER, "Who?"), (Role.USER, "What opens?")]
    assert engine.requests[3].messages == engine.requests[1].messages


async def test_a_request_id_may_be_used_again_for_what_is_asked_later(
    serve: Serve, sessions: RedisSessions, session_id: str
) -> None:
    await sessions.create("alice", "al", session_id=session_id)
    asked = [("Why?", "r-1"), ("Why?", "r-2"), ("And?", "r-2"), ("Why?", "r-2"), ("Why?", "")]
    async with serve(ScriptedEngine(saying("So"))) as serving:
        for question, request_id in asked:
            await ask(serving, session_id, question, request_id=request_id)
    stored = [content for role, content in await said(sessions, session_id) if role is Role.USER]
    assert stored == [question for question, _ in asked]


async def test_what_is_known_of_an_answer_is_stored_with_it_and_adds_up(
    serve: Serve, sessions: RedisSessions, session_id: str
) -> None:
    await sessions.create("alice", "al", session_id=session_id)
    engine = ScriptedEngine(saying("The", " dome"))
    async with serve(engine) as serving:
        await ask(serving, session_id, "What opens?")
        await ask(serving, session_id, "When?")
    question, answer, *_ = (await sessions.turns("alice", session_id, after=0, limit=9)).turns
    assert question.answer is None
    assert answer.answer
    assert (answer.answer.model, answer.answer.confidence) == (engine.model, None)
    assert 0 < answer.answer.latency_s < 60
    assert answer.metadata == {}
    stats = await sessions.stats("alice", session_id)
    assert stats.answers_by_model == {engine.model: 2}
    assert stats.average_latency_s


async def test_an_answer_that_its_engine_cuts_off_is_not_stored(
    serve: Serve, sessions: RedisSessions, session_id: str
) -> None:
    await sessions.create("alice", "al", session_id=session_id)
    engine = ScriptedEngine(saying("The do", reason=FinishReason.ABORTED))
    async with serve(engine) as serving:
        answer = await ask(serving, session_id, "What opens?")
    assert answer.finished.finish_reason == FINISH_REASON_ABORTED
    assert answer.finished.stored == STORE_OUTCOME_UNSPECIFIED
    assert await said(sessions, session_id) == []


async def test_a_system_message_leads_the_prompt_and_is_not_stored(
    serve: Serve, sessions: RedisSessions, session_id: str
) -> None:
    await sessions.create("alice", "al", session_id=session_id)
    await sessions.append("alice", session_id, [NewTurn(Role.ASSISTANT, "Welcome.")])
    engine = ScriptedEngine(saying("So"))
    chat = Chat(
        messages=[
            Message(role=ROLE_SYSTEM, content="Be brief."),
            Message(role=ROLE_USER, content="Why?"),
        ]
    )
    async with serve(engine) as serving:
        await serving.stub.Complete(
            CompleteRequest(request=GenerateRequest(chat=chat, session_id=session_id)),
            metadata=ALICE,
        )
    assert [(one.role, one.content) for one in engine.requests[0].messages] == [
        (Role.SYSTEM, "Be brief."),
        (Role.ASSISTANT, "Welcome."),
        (Role.USER, "Why?"),
    ]
    assert (await said(sessions, session_id))[1:] == [(Role.USER, "Why?"), (Role.ASSISTANT, "So")]


async def test_history_that_does_not_fit_is_left_out_oldest_first(
    serve: Serve, sessions: RedisSessions, session_id: str
) -> None:
    await sessions.create("alice", "al", session_id=session_id)
    for name in ("one", "two"):
        turns = [NewTurn(Role.USER, f"{name} " * 40), NewTurn(Role.ASSISTANT, f"{name} " * 40)]
        await sessions.append("alice", session_id, turns)
    engine = ScriptedEngine(saying("So"), context_length=200)
    async with serve(engine) as serving:
        await ask(serving, session_id, "Why?")
    assert [one.content.split()[0] for one in engine.requests[0].messages] == ["two", "two", "Why?"]


async def test_the_same_request_id_may_be_used_for_the_next_exchange(
    serve: Serve, sessions: RedisSessions, session_id: str
) -> None:
    await sessions.create("alice", "al", session_id=session_id)
    async with serve(ScriptedEngine(saying("So"))) as serving:
        for prompt in ("Why?", "And?"):
            answer = await serving.stub.Complete(
                CompleteRequest(
                    request=GenerateRequest(prompt=prompt, session_id=session_id, request_id="r")
                ),
                metadata=ALICE,
            )
            assert answer.finished.stored == STORE_OUTCOME_STORED
    assert len(await said(sessions, session_id)) == 4


async def test_another_writer_in_between_is_a_conflict_and_keeps_its_turn(
    serve: Serve, sessions: RedisSessions, session_id: str
) -> None:
    await sessions.create("alice", "al", session_id=session_id)
    hold = asyncio.Event()
    engine = ScriptedEngine([hold, *saying("So")])
    async with serve(engine) as serving:
        asked = asyncio.ensure_future(ask(serving, session_id, "Why?"))
        await during(asked, engine.entered.wait())
        await sessions.append("alice", session_id, [NewTurn(Role.USER, "Me first")])
        hold.set()
        answer = await asked
    assert answer.text == "So"
    assert answer.finished.stored == STORE_OUTCOME_CONFLICT
    assert await said(sessions, session_id) == [(Role.USER, "Me first")]


async def test_a_session_deleted_meanwhile_is_a_failure_that_is_told(
    serve: Serve, sessions: RedisSessions, session_id: str
) -> None:
    await sessions.create("alice", "al", session_id=session_id)
    hold = asyncio.Event()
    engine = ScriptedEngine([hold, *saying("So")])
    async with serve(engine) as serving:
        asked = asyncio.ensure_future(ask(serving, session_id, "Why?"))
        await during(asked, engine.entered.wait())
        await sessions.delete("alice", session_id)
        hold.set()
        answer = await asked
    assert answer.text == "So"
    assert answer.finished.stored == STORE_OUTCOME_FAILED


async def test_where_answers_are_dropped_a_client_that_leaves_leaves_nothing_behind(
    serve: Serve, sessions: RedisSessions, session_id: str
) -> None:
    await sessions.create("alice", "al", session_id=session_id)
    engine = ScriptedEngine([TextPiece("The", 1), asyncio.Event()])
    async with serve(engine) as serving:
        request = GenerateRequest(prompt="Why?", session_id=session_id)
        call = serving.stub.Generate(request, metadata=ALICE)
        await call.read()
        assert (await call.read()).text_delta.text == "The"
        call.cancel()
        await in_time(engine.closed.wait())
    assert await said(sessions, session_id) == []


async def test_an_aborted_answer_is_not_stored(
    serve: Serve, sessions: RedisSessions, session_id: str
) -> None:
    await sessions.create("alice", "al", session_id=session_id)
    engine = ScriptedEngine([TextPiece("The", 1), asyncio.Event()])
    async with serve(engine) as serving:
        request = GenerateRequest(prompt="Why?", session_id=session_id, request_id="r")
        call = serving.stub.Generate(request, metadata=ALICE)
        await call.read()
        await call.read()
        serving.running.abort("alice", "r")
        (last,) = await rest_of(call)
    assert last.finished.finish_reason == FINISH_REASON_ABORTED
    assert last.finished.stored == STORE_OUTCOME_UNSPECIFIED
    assert await said(sessions, session_id) == []


@pytest.mark.parametrize("metadata", [ALICE, BOB])
async def test_an_unknown_session_is_refused_before_any_work(
    serve: Serve, sessions: RedisSessions, session_id: str, metadata: tuple[tuple[str, str], ...]
) -> None:
    if metadata == BOB:
        await sessions.create("alice", "al", session_id=session_id)
    engine = ScriptedEngine(saying("So"))
    async with serve(engine) as serving:
        request = GenerateRequest(prompt="Why?", session_id=session_id)
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await serving.stub.Generate(request, metadata=metadata).read()
    assert caught.value.code() == grpc.StatusCode.NOT_FOUND
    assert not engine.requests


async def test_a_question_longer_than_the_context_is_refused_with_the_limit(
    serve: Serve, sessions: RedisSessions, session_id: str
) -> None:
    await sessions.create("alice", "al", session_id=session_id)
    engine = ScriptedEngine(saying("So"), context_length=100)
    request = GenerateRequest(
        prompt="why " * 200, session_id=session_id, sampling=SamplingParameters(max_tokens=20)
    )
    async with serve(engine) as serving:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await serving.stub.Complete(CompleteRequest(request=request), metadata=ALICE)
    assert caught.value.code() == grpc.StatusCode.OUT_OF_RANGE
    assert "80 tokens" in (caught.value.details() or "")
    assert not engine.requests


class TestRedisGone:
    """The store goes away while the server serves."""

    async def test_before_the_answer_the_call_is_refused_and_without_a_session_all_goes_on(
        self, serve: Serve, tmp_path: Path, session_id: str
    ) -> None:
        engine = ScriptedEngine(saying("So"))
        sessions = _sessions_at(f"unix://{tmp_path / 'nobody.sock'}")
        async with serve(engine, sessions=sessions) as serving:
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await ask(serving, session_id, "Why?")
            answer = await ask(serving, "", "Why?")
        await sessions.close()
        assert caught.value.code() == grpc.StatusCode.UNAVAILABLE
        assert answer.text == "So"
        assert len(engine.requests) == 1

    async def test_after_the_answer_has_begun_it_is_finished_and_the_loss_is_told(
        self, serve: Serve, tmp_path: Path, session_id: str
    ) -> None:
        redis = RedisServer(tmp_path)
        await redis.start()
        sessions = _sessions_at(redis.url)
        await sessions.create("alice", "al", session_id=session_id)
        hold = asyncio.Event()
        engine = ScriptedEngine([hold, *saying("So")])
        async with serve(engine, sessions=sessions) as serving:
            asked = asyncio.ensure_future(ask(serving, session_id, "Why?"))
            await during(asked, engine.entered.wait())
            await redis.close()
            hold.set()
            answer = await asked
        await sessions.close()
        assert answer.text == "So"
        assert answer.finished.stored == STORE_OUTCOME_FAILED


def _sessions_at(url: str) -> RedisSessions:
    async def count(text: str) -> int:
        return len(text.split())

    return RedisSessions(url, count_tokens=count, timeout_s=PATIENCE_S)


async def test_the_summary_of_a_session_leads_and_takes_half_of_the_room_at_most(
    serve: Serve, sessions: RedisSessions, session_id: str
) -> None:
    await sessions.create("alice", "al", session_id=session_id)
    await sessions.append("alice", session_id, [NewTurn(Role.ASSISTANT, "Welcome.")])
    store = sessions.summaries

    async def summarised(text: str) -> None:
        before = await store.look("alice", session_id)
        summary = Summary(text, 1, 1, 1, "m", datetime.now(UTC))
        assert await store.put("alice", session_id, before, summary)

    engine = ScriptedEngine(saying("So"), context_length=200)
    async with serve(engine) as serving:
        await summarised("They met.")
        await ask(serving, session_id, "Why?")
        await summarised("word " * 80)
        await ask(serving, session_id, "And?")
    first, second = ([one.content for one in request.messages] for request in engine.requests)
    assert first == [
        "Summary of turns 1 to 1 of this conversation:\nThey met.",
        "Welcome.",
        "Why?",
    ]
    assert second == ["Welcome.", "Why?", "So", "And?"]
