"""Generate with what is remembered of someone: it goes in, as far as it matters and fits."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import grpc
import pytest
from groundwire.v1.generate_service_pb2 import CompleteRequest, CompleteResponse, GenerateRequest
from groundwire.v1.generation_pb2 import (
    ROLE_SYSTEM,
    ROLE_USER,
    STORE_OUTCOME_STORED,
    Chat,
    Grounding,
    Message,
)
from groundwire_index import Index
from groundwire_index.errors import UnavailableError
from groundwire_server.embedders.embedder import Embedder
from groundwire_server.engines.engine import Role
from groundwire_server.memory.known import HEADING
from groundwire_server.memory.memories.memory import Memory, MemoryKind, NewMemory
from groundwire_server.memory.memories.receipts import Receipts
from groundwire_server.memory.memories.store import Memories
from groundwire_server.memory.redis_sessions import RedisSessions
from groundwire_server.memory.session import NewTurn

from tests.e2e.generate.serving import ALICE, BOB, Serve, Serving
from tests.unit.grounding.scripted_engine import ScriptedEngine, saying

FERRY = "Works on a ferry."


@pytest.fixture
def memories(index: Index, embedder: Embedder, tmp_path: Path) -> Memories:
    return Memories(lambda: index, embedder, Receipts(tmp_path / "memories"))


async def remember(memories: Memories, text: str, subject: str = "ada") -> str:
    new = NewMemory(subject, text, MemoryKind.FACT)
    return (await memories.remember("alice", new)).id


async def complete(
    serving: Serving, request: GenerateRequest, who: Sequence[tuple[str, str]] = ALICE
) -> CompleteResponse:
    answer: CompleteResponse = await serving.stub.Complete(
        CompleteRequest(request=request), metadata=who
    )
    return answer


def system_of(engine: ScriptedEngine) -> str:
    first = engine.requests[-1].messages[0]
    return first.content if first.role is Role.SYSTEM else ""


async def test_what_matters_of_a_subject_joins_the_system_message_and_is_named(
    serve: Serve, memories: Memories
) -> None:
    known = await remember(memories, FERRY)
    await remember(memories, "Lives in a lighthouse.", subject="bob")
    engine = ScriptedEngine(saying("A ferry"))
    chat = Chat(
        messages=[
            Message(role=ROLE_SYSTEM, content="Be brief."),
            Message(role=ROLE_USER, content="Where do I work?"),
        ]
    )
    async with serve(engine, recall=memories.for_context) as serving:
        answer = await complete(serving, GenerateRequest(chat=chat, subject="ada"))
    assert system_of(engine) == f"Be brief.\n\n{HEADING}\n- {FERRY}"
    assert list(answer.finished.memory_ids) == [known]
    assert not answer.finished.degraded


async def test_a_session_brings_in_what_is_known_of_its_subject(
    serve: Serve, memories: Memories, sessions: RedisSessions, session_id: str
) -> None:
    await sessions.create("alice", "ada", session_id=session_id)
    await sessions.append("alice", session_id, [NewTurn(Role.ASSISTANT, "Welcome.")])
    known = await remember(memories, FERRY)
    other = await remember(memories, "Repairs engines.", subject="bob")
    engine = ScriptedEngine(saying("A ferry"))
    async with serve(engine, recall=memories.for_context) as serving:
        asked = GenerateRequest(prompt="Where do I work?", session_id=session_id)
        answer = await complete(serving, asked)
        assert [one.content for one in engine.requests[0].messages] == [
            f"{HEADING}\n- {FERRY}",
            "Welcome.",
            "Where do I work?",
        ]
        asked.subject = "bob"
        of_bob = await complete(serving, asked)
    assert list(answer.finished.memory_ids) == [known]
    assert answer.finished.stored == STORE_OUTCOME_STORED
    assert list(of_bob.finished.memory_ids) == [other]
    # What was recalled is no part of what was said.
    stored = (await sessions.turns("alice", session_id, after=0, limit=9)).turns
    assert [turn.content for turn in stored[1:3]] == ["Where do I work?", "A ferry"]


async def test_a_grounded_answer_has_both_sources_and_what_is_known(
    serve: Serve, memories: Memories, library: Index
) -> None:
    known = await remember(memories, "Has two children under six.")
    engine = ScriptedEngine(saying("Twelve euros [1]."))
    asked = GenerateRequest(
        prompt="What do tickets cost?", subject="ada", grounding=Grounding(collection="notes")
    )
    async with serve(engine, recall=memories.for_context) as serving:
        answer = await complete(serving, asked)
    assert system_of(engine).endswith(f"\n\n{HEADING}\n- Has two children under six.")
    assert "Tickets cost 12 euros" in engine.requests[0].messages[-1].content
    assert list(answer.finished.memory_ids) == [known]


async def test_without_a_subject_and_a_session_nothing_is_recalled(
    serve: Serve, memories: Memories
) -> None:
    await remember(memories, FERRY, subject="default")
    engine = ScriptedEngine(saying("So"))
    async with serve(engine, recall=memories.for_context) as serving:
        answer = await complete(serving, GenerateRequest(prompt="Where do I work?"))
    assert engine.requests[0].prompt == "Where do I work?"
    assert not answer.finished.memory_ids


async def test_another_tenant_recalls_nothing_of_it(serve: Serve, memories: Memories) -> None:
    await remember(memories, FERRY)
    engine = ScriptedEngine(saying("So"))
    async with serve(engine, recall=memories.for_context) as serving:
        asked = GenerateRequest(prompt="Where do I work?", subject="ada")
        answer = await complete(serving, asked, BOB)
    assert [one.content for one in engine.requests[0].messages] == ["Where do I work?"]
    assert not answer.finished.memory_ids


async def test_memories_take_a_quarter_of_the_room_and_the_best_go_in(
    serve: Serve, memories: Memories
) -> None:
    best = await remember(memories, "word " * 15 + "where do I work")
    for _ in range(5):
        await remember(memories, "word " * 19)
    engine = ScriptedEngine(saying("So"), context_length=200)
    async with serve(engine, recall=memories.for_context) as serving:
        asked = GenerateRequest(prompt="Where do I work?", subject="ada")
        answer = await complete(serving, asked)
    # 200 less 64 for the answer and 4 for the question: 132, of which 33; each takes 20 and 8.
    assert list(answer.finished.memory_ids) == [best]


async def test_memories_that_cannot_be_recalled_are_missed_and_that_is_told(
    serve: Serve,
) -> None:
    async def failing(tenant: str, subject: str, query: str) -> Sequence[Memory]:
        raise UnavailableError("the index is not open", reason="STARTING")

    engine = ScriptedEngine(saying("So"))
    async with serve(engine, recall=failing) as serving:
        answer = await complete(serving, GenerateRequest(prompt="Why?", subject="ada"))
    assert answer.text == "So"
    assert answer.finished.degraded_reason == "memories could not be recalled"


async def test_a_subject_that_is_none_is_refused_before_any_work(serve: Serve) -> None:
    engine = ScriptedEngine(saying("So"))
    async with serve(engine) as serving:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await complete(serving, GenerateRequest(prompt="Why?", subject="a\nb"))
    assert caught.value.code() == grpc.StatusCode.INVALID_ARGUMENT
    assert "subject" in (caught.value.details() or "")
    assert not engine.requests
