"""What an answer has used is counted once, when it has ended, however that was."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from dataclasses import dataclass, replace
from functools import partial

import grpc
import pytest
from groundwire.v1.generate_service_pb2 import CompleteRequest, GenerateRequest
from groundwire_server.engines.engine import Accepted, EngineEvent, EngineRequest, TextPiece
from groundwire_server.identity import Identity
from groundwire_server.interceptors.errors import errors
from groundwire_server.interceptors.identity import identity
from groundwire_server.interceptors.usage import UsageCounting
from groundwire_server.memory.redis_sessions import RedisSessions
from groundwire_server.usage.call import CallUsage
from groundwire_server.usage.ledger import Ledger
from groundwire_server.usage.redis_usage import RedisUsage

from tests.e2e.generate.serving import ALICE, Serve, Serving, rest_of
from tests.e2e.generate.test_generate_left import Watched
from tests.patience import PATIENCE_S, in_time
from tests.unit.grounding.scripted_engine import ScriptedEngine, saying

ASKED = GenerateRequest(prompt="Why?")
FIRST = TextPiece("The", 1)


class Engine(ScriptedEngine):
    """Knows from the beginning that a prompt has seven tokens."""

    async def generate(self, request: EngineRequest) -> AsyncGenerator[EngineEvent, None]:
        async for event in super().generate(request):
            yield replace(event, prompt_tokens=7) if isinstance(event, Accepted) else event


@dataclass
class Recorded:
    """One call."""

    caller: Identity
    model: str
    prompt_tokens: int
    completion_tokens: int
    is_timed: bool
    failed: bool


class Noting(Ledger):
    """A ledger that tells what is written into it."""

    def __init__(self) -> None:
        super().__init__(RedisUsage("redis://nowhere", days=1, subjects=1), subjects=1)
        self.calls: asyncio.Queue[Recorded] = asyncio.Queue()

    def record(
        self, caller: Identity, call: CallUsage, latency_s: float | None, *, failed: bool
    ) -> None:
        self.calls.put_nowait(
            Recorded(
                caller,
                call.model,
                call.prompt_tokens,
                call.completion_tokens,
                latency_s is not None,
                failed,
            )
        )


@pytest.fixture
def ledger() -> Noting:
    return Noting()


@pytest.fixture
def counting(serve: Serve, ledger: Noting) -> Serve:
    return partial(serve, interceptors=(errors, identity, UsageCounting(ledger)))


def answered(completion_tokens: int, **changes: object) -> Recorded:
    whole = Recorded(Identity("alice"), "scripted", 7, completion_tokens, True, False)
    return replace(whole, **changes)  # type: ignore[arg-type]


async def leave(serving: Serving, request: GenerateRequest) -> None:
    """Ask, read the first token, and go away."""
    call = serving.stub.Generate(request, metadata=ALICE)
    while (await call.read()).WhichOneof("event") != "text_delta":
        pass
    call.cancel()


async def test_an_answer_that_is_whole_has_the_tokens_that_its_end_tells(
    counting: Serve, ledger: Noting
) -> None:
    async with counting(Engine(saying("The dome", " opens"))) as serving:
        async for _ in serving.stub.Generate(ASKED, metadata=ALICE):
            pass
        assert await in_time(ledger.calls.get()) == answered(3)
        await serving.stub.Complete(CompleteRequest(request=ASKED), metadata=ALICE)
        assert await in_time(ledger.calls.get()) == answered(3)


async def test_one_that_its_client_left_has_what_was_generated_until_then(
    counting: Serve, ledger: Noting
) -> None:
    engine = Engine([FIRST, asyncio.Event()])
    async with counting(engine) as serving:
        await leave(serving, ASKED)
        assert await in_time(ledger.calls.get()) == answered(1, is_timed=False)


async def test_one_that_is_finished_for_its_session_is_counted_when_that_is_done(
    counting: Serve, ledger: Noting, sessions: RedisSessions, session_id: str
) -> None:
    await sessions.create("alice", "al", session_id=session_id)
    left, hold = Watched(), asyncio.Event()
    engine = Engine([FIRST, hold, *saying("The dome", " opens")])
    async with counting(engine, left=left) as serving:
        await leave(serving, GenerateRequest(prompt="Why?", session_id=session_id))
        await in_time(left.taken.wait())
        assert ledger.calls.empty()
        hold.set()
        assert await in_time(ledger.calls.get()) == answered(3, is_timed=False)
        assert await left.calls.wait_idle(PATIENCE_S)
    assert ledger.calls.empty()


async def test_one_that_fails_on_its_way_has_used_what_it_had_and_is_an_error(
    counting: Serve, ledger: Noting
) -> None:
    async with counting(Engine([FIRST, RuntimeError("broken")])) as serving:
        with pytest.raises(grpc.aio.AioRpcError):
            await serving.stub.Complete(CompleteRequest(request=ASKED), metadata=ALICE)
        assert await in_time(ledger.calls.get()) == answered(1, is_timed=False, failed=True)


async def test_one_that_never_began_is_of_the_model_that_was_asked(
    counting: Serve, ledger: Noting
) -> None:
    asked = GenerateRequest(prompt="Why?", session_id="nothing")
    async with counting(Engine([])) as serving:
        with pytest.raises(grpc.aio.AioRpcError):
            await serving.stub.Complete(CompleteRequest(request=asked), metadata=ALICE)
        expected = answered(0, prompt_tokens=0, is_timed=False, failed=True)
        assert await in_time(ledger.calls.get()) == expected


async def test_an_aborted_answer_has_used_what_was_generated(
    counting: Serve, ledger: Noting
) -> None:
    async with counting(Engine([FIRST, asyncio.Event()])) as serving:
        call = serving.stub.Generate(GenerateRequest(prompt="Why?", request_id="r"), metadata=ALICE)
        while (await call.read()).WhichOneof("event") != "text_delta":
            pass
        serving.running.abort("alice", "r")
        await rest_of(call)
        assert await in_time(ledger.calls.get()) == answered(1)
