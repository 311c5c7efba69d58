"""A client goes away while its session is answered: the answer is finished all the same."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import ExitStack

import grpc
import pytest
from groundwire.v1.generate_service_pb2 import CompleteRequest, GenerateRequest
from groundwire_index.errors import UnavailableError
from groundwire_server.engines.engine import EngineEvent, EngineRequest, Role, TextPiece
from groundwire_server.interceptors.admission import Admission
from groundwire_server.memory.redis_sessions import RedisSessions
from groundwire_server.services.left_answers import LeftAnswers

from tests.e2e.generate.serving import ALICE, Serve, Serving, rest_of
from tests.patience import PATIENCE_S, during, in_time, longer_each_time, until
from tests.unit.grounding.scripted_engine import ScriptedEngine, saying

FIRST = TextPiece("The", 1)


class Watched(LeftAnswers):
    """Tells when it is given an answer, and when all have ended."""

    def __init__(self) -> None:
        self.calls = Admission(1)
        super().__init__(self.calls.in_progress)
        self.taken = asyncio.Event()

    def take(self, answer: asyncio.Task[None], held: ExitStack) -> bool:
        self.taken.set()
        return super().take(answer, held)

    async def ended(self) -> None:
        assert self.calls.running == 1
        assert await self.calls.wait_idle(PATIENCE_S)


@pytest.fixture
async def left() -> AsyncIterator[Watched]:
    left = Watched()
    yield left
    await left.close()


@pytest.fixture
async def asked(sessions: RedisSessions, session_id: str) -> GenerateRequest:
    await sessions.create("alice", "al", session_id=session_id)
    return GenerateRequest(prompt="Why?", session_id=session_id, request_id="r")


async def said(sessions: RedisSessions, session_id: str) -> list[tuple[Role, str]]:
    read = await sessions.turns("alice", session_id, after=0, limit=100)
    return [(turn.role, turn.content) for turn in read.turns]


async def leave(serving: Serving, request: GenerateRequest, left: Watched) -> None:
    """Ask, read the first token, and go away."""
    call = serving.stub.Generate(request, metadata=ALICE)
    await call.read()
    assert (await call.read()).text_delta.text == "The"
    call.cancel()
    await in_time(left.taken.wait())


async def test_after_the_first_token_the_exchange_is_stored_once(
    serve: Serve,
    sessions: RedisSessions,
    session_id: str,
    left: Watched,
    asked: GenerateRequest,
) -> None:
    hold = asyncio.Event()
    engine = ScriptedEngine([FIRST, hold, *saying(" dome", " opens")])
    async with serve(engine, left=left) as serving:
        await leave(serving, asked, left)
        # It is still there, under its id.
        again = serving.stub.Generate(asked, metadata=ALICE)
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await again.read()
        assert caught.value.code() == grpc.StatusCode.ALREADY_EXISTS
        hold.set()
        await left.ended()
        assert len(serving.running) == engine.running == 0
    assert await said(sessions, session_id) == [
        (Role.USER, "Why?"),
        (Role.ASSISTANT, "The dome opens"),
    ]


async def test_it_is_not_stored_in_another_session_that_has_its_id_by_then(
    serve: Serve,
    sessions: RedisSessions,
    session_id: str,
    left: Watched,
    asked: GenerateRequest,
) -> None:
    hold = asyncio.Event()
    async with serve(ScriptedEngine([FIRST, hold, *saying(" dome")]), left=left) as serving:
        await leave(serving, asked, left)
        await sessions.delete("alice", session_id)
        await sessions.create("alice", "bob", session_id=session_id)
        hold.set()
        await left.ended()
    assert await said(sessions, session_id) == []


async def test_so_is_what_was_to_be_given_as_a_whole(
    serve: Serve,
    sessions: RedisSessions,
    session_id: str,
    left: Watched,
    asked: GenerateRequest,
) -> None:
    begun, hold = asyncio.Event(), asyncio.Event()

    class Telling(ScriptedEngine):
        async def generate(self, request: EngineRequest) -> AsyncGenerator[EngineEvent, None]:
            async for event in super().generate(request):
                yield event
                if isinstance(event, TextPiece):
                    begun.set()

    async with serve(Telling([FIRST, hold, *saying(" dome")]), left=left) as serving:
        call = serving.stub.Complete(CompleteRequest(request=asked), metadata=ALICE)
        whole = asyncio.ensure_future(call)
        await during(call, begun.wait())
        call.cancel()
        await in_time(left.taken.wait())
        hold.set()
        await left.ended()
        with pytest.raises(asyncio.CancelledError):
            await whole
    assert [text for _, text in await said(sessions, session_id)] == ["Why?", "The dome"]


async def test_before_the_first_token_it_ends(
    serve: Serve,
    sessions: RedisSessions,
    session_id: str,
    left: Watched,
    asked: GenerateRequest,
) -> None:
    engine = ScriptedEngine([asyncio.Event()])
    async with serve(engine, left=left) as serving:
        call = serving.stub.Generate(asked, metadata=ALICE)
        assert (await call.read()).WhichOneof("event") == "started"
        call.cancel()
        await in_time(engine.closed.wait())
    assert not left.taken.is_set()
    assert await said(sessions, session_id) == []


async def test_without_a_session_it_ends(serve: Serve, left: Watched) -> None:
    engine = ScriptedEngine([FIRST, asyncio.Event()])
    async with serve(engine, left=left) as serving:
        call = serving.stub.Generate(GenerateRequest(prompt="Why?"), metadata=ALICE)
        await call.read()
        await call.read()
        call.cancel()
        await in_time(engine.closed.wait())
    assert not left.taken.is_set()


async def test_past_its_deadline_it_ends(
    serve: Serve,
    sessions: RedisSessions,
    session_id: str,
    left: Watched,
    asked: GenerateRequest,
) -> None:
    engine = ScriptedEngine([FIRST, asyncio.Event()])
    async with serve(engine, left=left) as serving:
        for deadline_s in longer_each_time(0.5):
            call = serving.stub.Generate(asked, metadata=ALICE, timeout=deadline_s)
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await rest_of(call)
            assert caught.value.code() == grpc.StatusCode.DEADLINE_EXCEEDED
            await until(lambda: not serving.running)
            if engine.requests:
                break
        await in_time(engine.closed.wait())
        # The client's time is up a little before the server's: it may have been taken for one
        # that went away.
        assert await left.calls.wait_idle(PATIENCE_S)
    assert await said(sessions, session_id) == []


async def test_it_can_be_aborted_by_its_id(
    serve: Serve,
    sessions: RedisSessions,
    session_id: str,
    left: Watched,
    asked: GenerateRequest,
) -> None:
    engine = ScriptedEngine([FIRST, asyncio.Event()])
    async with serve(engine, left=left) as serving:
        await leave(serving, asked, left)
        serving.running.abort("alice", "r")
        await left.ended()
        assert engine.running == 0
    assert await said(sessions, session_id) == []


async def test_a_server_that_stops_ends_it(
    serve: Serve,
    sessions: RedisSessions,
    session_id: str,
    left: Watched,
    asked: GenerateRequest,
) -> None:
    engine = ScriptedEngine([FIRST, asyncio.Event()])
    async with serve(engine, left=left) as serving:
        await leave(serving, asked, left)
        await left.close()
        assert engine.running == left.calls.running == 0
    assert await said(sessions, session_id) == []


@pytest.mark.parametrize("leaves_first", [True, False])
async def test_a_server_whose_grace_is_over_waits_for_none(
    serve: Serve,
    sessions: RedisSessions,
    session_id: str,
    left: Watched,
    asked: GenerateRequest,
    leaves_first: bool,
) -> None:
    engine = ScriptedEngine([FIRST, asyncio.Event()])
    async with serve(engine, left=left) as serving:
        if leaves_first:
            await leave(serving, asked, left)
            left.calls.cut_off()
        else:
            # As the server cuts its clients off itself.
            left.calls.cut_off()
            await leave(serving, asked, left)
        assert await left.calls.wait_idle(30)
        assert engine.running == 0
    assert await said(sessions, session_id) == []


@pytest.mark.parametrize(
    ("error", "said"),
    [(UnavailableError("it fell over"), "it fell over"), (TimeoutError(), "its time is over")],
)
async def test_what_goes_wrong_with_it_is_in_the_log(
    serve: Serve,
    left: Watched,
    asked: GenerateRequest,
    caplog: pytest.LogCaptureFixture,
    error: Exception,
    said: str,
) -> None:
    hold = asyncio.Event()
    engine = ScriptedEngine([FIRST, hold, error])
    async with serve(engine, left=left) as serving:
        await leave(serving, asked, left)
        hold.set()
        await left.ended()
    assert f"whose client had gone was not finished: {said}" in caplog.text
