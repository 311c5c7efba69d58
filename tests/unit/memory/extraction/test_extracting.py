"""Memories are looked for in each turn of a user once, and kept with where they came from."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, Iterator
from pathlib import Path

import pytest
from groundwire_index import Index
from groundwire_index.errors import UnavailableError
from groundwire_server.engines.engine import EngineEvent, EngineRequest, Role
from groundwire_server.engines.served_model import ServedModel
from groundwire_server.memory.asking import LAST
from groundwire_server.memory.background import Done
from groundwire_server.memory.due import Named
from groundwire_server.memory.extraction.extracting import Extracting
from groundwire_server.memory.memories.forgetting import Asked
from groundwire_server.memory.memories.memory import (
    Extraction,
    Memory,
    MemoryChange,
    MemoryKind,
    OfSession,
    OfSubject,
    Source,
)
from groundwire_server.memory.memories.receipts import Receipts
from groundwire_server.memory.memories.store import Memories
from groundwire_server.memory.redis_sessions import RedisSessions
from groundwire_server.memory.session import NewTurn

from tests.unit.grounding.scripted_engine import ScriptedEngine, saying
from tests.unit.retrieve.letters import LettersEmbedder

FERRY = {"turn": 1, "kind": "fact", "text": "Works on a ferry.", "confidence": 0.9}


@pytest.fixture
def memories(sessions: RedisSessions, tmp_path: Path) -> Iterator[Memories]:
    with Index.open(tmp_path / "index", background=False) as index:
        yield Memories(
            lambda: index,
            LettersEmbedder(),
            Receipts(tmp_path / "memories"),
            summaries=sessions.summaries,
        )


@pytest.fixture
async def talk(sessions: RedisSessions, tenant: str) -> Named:
    session = await sessions.create(tenant, "ada")
    turns = [
        NewTurn(Role.USER, "I work on a ferry."),
        NewTurn(Role.ASSISTANT, "You live in Bergen, as I recall."),
    ]
    await sessions.append(tenant, session.id, turns)
    return Named(tenant, session.id)


def proposing(*candidates: dict[str, object]) -> ScriptedEngine:
    return ScriptedEngine(saying(json.dumps(candidates)))


def extracting(
    sessions: RedisSessions,
    memories: Memories,
    engine: ScriptedEngine,
    verdicts: list[str] | None = None,
) -> Extracting:
    return Extracting(
        sessions.summaries,
        memories,
        ServedModel(engine),
        confidence=0.7,
        nobody="default",
        on_verdict=[].append if verdicts is None else verdicts.append,
    )


async def known(memories: Memories, tenant: str) -> list[Memory]:
    return list((await memories.page(tenant, "ada")).memories)


async def test_what_the_user_has_said_is_remembered_with_its_turn(
    sessions: RedisSessions, memories: Memories, talk: Named
) -> None:
    verdicts: list[str] = []
    bergen = {"turn": 2, "kind": "fact", "text": "Lives in Bergen.", "confidence": 1}
    doubtful = {**FERRY, "text": "Work ferry.", "confidence": 0.1}
    engine = proposing(FERRY, bergen, doubtful, FERRY)
    work = extracting(sessions, memories, engine, verdicts)
    assert await work(talk) is Done.MADE
    (memory,) = await known(memories, talk.tenant)
    assert (memory.text, memory.kind, memory.subject) == (FERRY["text"], MemoryKind.FACT, "ada")
    assert memory.sources == (Source(talk.session_id, 1),)
    assert memory.extraction == Extraction("scripted", 0.9)
    assert verdicts == ["stored", "unsupported", "doubtful", "known"]
    # The model was shown nothing but the user's own words, last of all.
    (request,) = engine.requests
    assert request.messages[1].content == "[1] I work on a ferry."
    assert (request.priority, request.tenant) == (LAST, talk.tenant)
    assert await work(talk) is Done.NOTHING
    changed = await memories.update(talk.tenant, memory.id, MemoryChange(importance=1.0))
    assert changed.extraction == memory.extraction
    said = await memories.update(talk.tenant, changed.id, MemoryChange(text="Works at sea."))
    assert said.extraction is None


async def test_only_what_is_new_is_looked_at_and_a_fork_looks_at_its_own(
    sessions: RedisSessions, memories: Memories, talk: Named
) -> None:
    engine = proposing()
    work = extracting(sessions, memories, engine)
    fork = await sessions.fork(talk.tenant, "ada", talk.session_id, 2)
    assert await work(Named(talk.tenant, fork.id)) is Done.NOTHING
    await work(talk)
    for session_id, text in ((talk.session_id, "I sail."), (fork.id, "I swim.")):
        await sessions.append(talk.tenant, session_id, [NewTurn(Role.USER, text)])
        assert await work(Named(talk.tenant, session_id)) is Done.MADE
    shown = [request.messages[1].content for request in engine.requests]
    assert shown == ["[1] I work on a ferry.", "[3] I sail.", "[3] I swim."]


async def test_turns_of_others_cost_no_look(
    sessions: RedisSessions, memories: Memories, tenant: str
) -> None:
    session = await sessions.create(tenant, "ada")
    await sessions.append(tenant, session.id, [NewTurn(Role.ASSISTANT, "Welcome.")])
    engine = proposing()
    assert await extracting(sessions, memories, engine)(Named(tenant, session.id)) is Done.MADE
    assert engine.requests == []


async def test_of_those_who_do_not_say_who_they_are_nothing_is_remembered(
    sessions: RedisSessions, memories: Memories, tenant: str
) -> None:
    session = await sessions.create(tenant, "default")
    await sessions.append(tenant, session.id, [NewTurn(Role.USER, "I work on a ferry.")])
    engine = proposing(FERRY)
    assert await extracting(sessions, memories, engine)(Named(tenant, session.id)) is Done.NOTHING
    assert engine.requests == []


async def test_what_failed_is_looked_at_again_and_stored_once(
    sessions: RedisSessions, memories: Memories, talk: Named
) -> None:
    with pytest.raises(UnavailableError):
        await extracting(sessions, memories, ScriptedEngine([UnavailableError("down")]))(talk)

    class Crashing(Memories):
        """Stores, and is never heard of again."""

        def __init__(self) -> None:
            self.recall = memories.recall  # type: ignore[method-assign]

        async def remember(self, *arguments: object) -> Memory:  # type: ignore[override]
            await memories.remember(*arguments)  # type: ignore[arg-type]
            raise UnavailableError("killed")

    with pytest.raises(UnavailableError):
        await extracting(sessions, Crashing(), proposing(FERRY))(talk)
    (first,) = await known(memories, talk.tenant)
    assert await extracting(sessions, memories, proposing(FERRY))(talk) is Done.MADE
    assert await known(memories, talk.tenant) == [first]


@pytest.mark.parametrize("by_subject", [False, True])
async def test_with_the_session_or_the_subject_it_is_forgotten_and_not_found_again(
    sessions: RedisSessions, memories: Memories, talk: Named, by_subject: bool
) -> None:
    target = OfSubject("ada") if by_subject else OfSession(talk.session_id)
    await extracting(sessions, memories, proposing(FERRY))(talk)
    await sessions.append(talk.tenant, talk.session_id, [NewTurn(Role.USER, "I sail.")])
    receipt = await memories.forget(Asked(talk.tenant, "ada", target))
    assert receipt.removed["memory"] == 1
    assert await extracting(sessions, memories, proposing(FERRY))(talk) is Done.NOTHING
    assert await known(memories, talk.tenant) == []


async def test_what_is_forgotten_while_a_model_looks_is_not_stored_afterwards(
    sessions: RedisSessions, memories: Memories, talk: Named
) -> None:
    class Meanwhile(ScriptedEngine):
        async def generate(self, request: EngineRequest) -> AsyncGenerator[EngineEvent, None]:
            await memories.forget(Asked(talk.tenant, "ada", OfSession(talk.session_id)))
            async for event in super().generate(request):
                yield event

    engine = Meanwhile(saying(json.dumps([FERRY])))
    assert await extracting(sessions, memories, engine)(talk) is Done.AGAIN
    assert await known(memories, talk.tenant) == []


async def test_what_is_forgotten_while_it_is_stored_is_taken_back(
    sessions: RedisSessions, memories: Memories, talk: Named
) -> None:
    class Meanwhile(Memories):
        """Forgets the subject just before the first is stored."""

        def __init__(self) -> None:
            self.recall = memories.recall  # type: ignore[method-assign]
            self.forget = memories.forget  # type: ignore[method-assign]

        async def remember(self, *arguments: object) -> Memory:  # type: ignore[override]
            await memories.forget(Asked(talk.tenant, "ada", OfSubject("ada")))
            return await memories.remember(*arguments)  # type: ignore[arg-type]

    assert await extracting(sessions, Meanwhile(), proposing(FERRY))(talk) is Done.AGAIN
    assert await known(memories, talk.tenant) == []
    assert await extracting(sessions, memories, proposing(FERRY))(talk) is Done.NOTHING
