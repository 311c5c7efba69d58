"""What is remembered is found, as of any time; what is replaced is kept, and done once."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta

import pytest
from groundwire_index.errors import (
    AlreadyExistsError,
    ConflictError,
    DataLossError,
    FailedPreconditionError,
    InvalidArgumentError,
    NotFoundError,
)
from groundwire_index.open_collections import DATABASE
from groundwire_server.embedders.embedder import EmbedKind
from groundwire_server.memory.memories.forgetting import Asked
from groundwire_server.memory.memories.memory import (
    Memory,
    MemoryChange,
    MemoryKind,
    OfIds,
    OfSubject,
    Source,
)
from groundwire_server.memory.memories.store import Once

from tests.unit.memory.memories.conftest import SUBJECT, TENANT, Clock, Open, Opened

SOURCES = (Source("talk", 3), Source("talk:2", 1))


async def test_what_was_remembered_is_read_back_after_a_restart(
    opening: Open, clock: Clock
) -> None:
    since, until = clock.time - timedelta(days=3), clock.time + timedelta(days=3)
    with opening() as opened:
        written = await opened.remember(
            "Works at the harbour",
            kind=MemoryKind.EVENT,
            importance=0.25,
            sources=SOURCES,
            valid_from=since,
            expire_time=until,
        )
        assert (written.subject, written.create_time, written.valid_from) == (
            SUBJECT,
            clock.time,
            since,
        )
        assert [one.memory for one in await opened.recalled("harbour")] == [written]
    with opening() as opened:
        assert [one.memory for one in await opened.recalled("harbour")] == [written]
        assert await opened.listed() == [written]
    assert (written.sources, written.importance, written.expire_time) == (SOURCES, 0.25, until)


async def test_each_subject_and_tenant_has_its_own(opened: Opened) -> None:
    await opened.remember("ours")
    await opened.remember("his", subject="bob")
    await opened.remember("theirs", tenant="other")
    assert await opened.texts() == {"ours"}
    assert await opened.texts(subject="bob") == {"his"}
    assert await opened.texts(tenant="other") == {"theirs"}
    assert await opened.texts(tenant="nobody") == set()
    assert [one.text for one in await opened.listed("bob")] == ["his"]
    assert await opened.listed(tenant="nobody") == []


async def test_the_score_is_the_sum_of_its_parts(opened: Opened, clock: Clock) -> None:
    await opened.remember("the boat", importance=1.0, valid_from=clock.time - timedelta(days=30))
    await opened.remember("zzz", importance=0.0)
    best, other = await opened.recalled("the boat")
    assert best.memory.text == "the boat"
    assert best.semantic == pytest.approx(1.0, abs=1e-6)
    assert best.recency == pytest.approx(0.5)
    assert (other.recency, other.lexical) == (1.0, 0.0)
    assert 0 < best.lexical < 1
    for one in (best, other):
        parts = 0.6 * one.semantic + 0.2 * one.lexical + 0.1 * one.recency
        assert one.score == pytest.approx(parts + 0.1 * one.memory.importance)


async def test_importance_and_recency_decide_between_equals(opened: Opened, clock: Clock) -> None:
    for text, importance in (("boat a", 0.1), ("boat a", 0.9)):
        await opened.remember(text, importance=importance)
    first, second = await opened.recalled("boat a")
    assert (first.memory.importance, second.memory.importance) == (0.9, 0.1)
    clock.advance(days=60)
    newest = await opened.remember("boat a", importance=0.85)
    assert (await opened.recalled("boat a"))[0].memory == newest


async def test_what_was_found_by_words_alone_has_its_true_similarity(
    opened: Opened, clock: Clock
) -> None:
    query = "harpsichord"
    rare = f"{query} {query} {query} zzzzzz"
    await opened.remember(rare, importance=1.0)
    long_ago = clock.time - timedelta(days=1000)
    for number in range(210):
        # Its letters in another order: nearer by meaning.
        await opened.remember(f"hcrad prosih {number:b}", importance=0.0, valid_from=long_ago)
    (found,) = await opened.recalled(query, top_k=1)
    one, other = (await opened.embedder.embed([rare, query], EmbedKind.QUERY)).vectors
    assert (found.memory.text, found.semantic) == (rare, pytest.approx(float(one @ other)))
    assert found.lexical > 0


async def test_kinds_narrow_what_is_recalled_and_listed(opened: Opened) -> None:
    for kind in MemoryKind:
        await opened.remember(kind.value, kind=kind)
    wanted = (MemoryKind.EVENT, MemoryKind.PREFERENCE)
    assert await opened.texts(kinds=wanted) == {"event", "preference"}
    assert [one.text for one in await opened.listed(kinds=wanted)] == ["event", "preference"]


async def test_an_update_takes_the_place_and_the_past_stays(opened: Opened, clock: Clock) -> None:
    old = await opened.remember("lives in Rome", importance=0.9, sources=SOURCES)
    before = clock.time
    clock.advance(days=1)
    new = await opened.memories.update(TENANT, old.id, MemoryChange(text="lives in Oslo"))
    assert new == replace(
        old,
        id=new.id,
        text="lives in Oslo",
        create_time=clock.time,
        valid_from=clock.time,
        supersedes=old.id,
    )
    ended = replace(old, superseded_by=new.id, valid_until=clock.time)
    clock.advance(days=1)
    assert await opened.texts() == {"lives in Oslo"}
    assert [one.memory for one in await opened.recalled("x", as_of=before)] == [ended]
    assert [one.memory for one in await opened.recalled("x", as_of=new.valid_from)] == [new]
    assert await opened.texts(as_of=before - timedelta(seconds=1)) == set()
    assert await opened.listed() == [new]
    assert await opened.listed(include_superseded=True) == [new, ended]


async def test_an_update_without_a_text_needs_no_embedder(opened: Opened, clock: Clock) -> None:
    old = await opened.remember("lives in Rome")
    embedded = len(opened.embedder.calls)
    later = clock.time + timedelta(days=5)
    change = MemoryChange(importance=0.0, expire_time=later)
    new = await opened.memories.update(TENANT, old.id, change)
    assert (new.text, new.importance, new.expire_time) == ("lives in Rome", 0.0, later)
    assert len(opened.embedder.calls) == embedded
    (found,) = await opened.recalled("lives in Rome")
    assert (found.memory, found.semantic) == (new, pytest.approx(1.0, abs=1e-6))


async def test_only_the_last_version_can_be_updated(opened: Opened, clock: Clock) -> None:
    old = await opened.remember("one")
    new = await opened.memories.update(TENANT, old.id, MemoryChange(text="two"))
    with pytest.raises(ConflictError) as raised:
        await opened.memories.update(TENANT, old.id, MemoryChange(text="three"))
    assert raised.value.metadata == {"superseded_by": new.id}
    for tenant, memory_id in ((TENANT, "none"), ("other", new.id), ("nobody", new.id)):
        await opened.remember("theirs", tenant="other")
        with pytest.raises(NotFoundError):
            await opened.memories.update(tenant, memory_id, MemoryChange(text="three"))
    await opened.memories.update(
        TENANT, new.id, MemoryChange(expire_time=clock.advance(days=1) + timedelta(1))
    )
    assert await opened.texts() == {"two"}


async def test_of_updates_at_once_one_wins_and_the_others_learn_of_it(opened: Opened) -> None:
    old = await opened.remember("zero")
    changes = [MemoryChange(text=f"change {number}") for number in range(20)]
    outcomes = await asyncio.gather(
        *(opened.memories.update(TENANT, old.id, change) for change in changes),
        return_exceptions=True,
    )
    (winner,) = [one for one in outcomes if isinstance(one, Memory)]
    losers = [one for one in outcomes if isinstance(one, ConflictError)]
    assert [one.metadata["superseded_by"] for one in losers] == [winner.id] * 19
    assert len(await opened.listed(include_superseded=True)) == 2


async def test_what_is_forgotten_while_it_is_updated_does_not_come_back(opened: Opened) -> None:
    for number in range(10):
        held = await opened.remember(f"m{number}")
        await asyncio.gather(
            opened.memories.update(TENANT, held.id, MemoryChange(text="changed")),
            opened.memories.forget(Asked(TENANT, SUBJECT, OfSubject(SUBJECT))),
            return_exceptions=True,
        )
        assert await opened.listed(include_superseded=True) == []


async def test_calls_with_one_key_at_once_are_one(opened: Opened) -> None:
    once = Once("key", b"request")
    made = await asyncio.gather(*(opened.remember("one", once=once) for _ in range(10)))
    assert len({one.id for one in made}) == 1
    assert set(made) == set(await opened.listed())


async def test_what_has_expired_is_never_seen_again(opened: Opened, clock: Clock) -> None:
    held = clock.time
    brief = await opened.remember("brief", expire_time=held + timedelta(hours=1))
    await opened.remember("lasting")
    assert await opened.texts(as_of=held + timedelta(hours=2)) == {"lasting"}
    clock.advance(hours=1)
    assert await opened.texts() == {"lasting"}
    assert await opened.texts(as_of=held) == {"lasting"}
    assert [one.text for one in await opened.listed(include_superseded=True)] == ["lasting"]
    with pytest.raises(NotFoundError):
        await opened.memories.update(TENANT, brief.id, MemoryChange(text="again"))
    collection = opened.index.collection("memories/acme", "memories")
    assert collection.count().count == 2
    assert opened.memories.sweep() == 1
    assert collection.count().count == 1
    assert opened.memories.sweep() == 0


async def test_what_has_expired_is_removed_after_a_restart_without_any_call(
    opening: Open, clock: Clock
) -> None:
    with opening() as opened:
        for tenant in ("acme", "other"):
            soon = clock.time + timedelta(hours=1)
            await opened.remember("brief", tenant=tenant, expire_time=soon)
            await opened.remember("lasting", tenant=tenant)
    clock.advance(hours=1)
    with opening() as opened:
        assert opened.memories.sweep() == 2
        for tenant in ("acme", "other"):
            assert opened.index.collection(f"memories/{tenant}", "memories").count().count == 1


async def test_memories_that_are_damaged_do_not_keep_those_of_others(
    opening: Open, clock: Clock
) -> None:
    with opening() as opened:
        for tenant in ("acme", "other"):
            soon = clock.time + timedelta(hours=1)
            await opened.remember("brief", tenant=tenant, expire_time=soon)
    clock.advance(hours=1)
    next((opened.folder / "index").rglob(f"*/{DATABASE}")).unlink()
    left = []
    with opening() as opened:
        with pytest.raises(DataLossError):
            opened.memories.sweep()
        for tenant in ("acme", "other"):
            with suppress(DataLossError):
                collection = opened.index.collection(f"memories/{tenant}", "memories")
                left.append(collection.count().count)
    assert left == [0]


async def test_many_that_have_expired_do_not_hide_the_others(opened: Opened, clock: Clock) -> None:
    soon = clock.time + timedelta(minutes=1)
    for number in range(210):
        await opened.remember(f"boat {number}", expire_time=soon)
    await opened.remember("zzz")
    clock.advance(hours=1)
    assert await opened.texts("boat") == {"zzz"}


async def test_what_holds_from_later_on_is_not_recalled_before(
    opened: Opened, clock: Clock
) -> None:
    monday = clock.time + timedelta(days=3)
    early = await opened.remember("moves to Oslo", valid_from=monday)
    assert await opened.texts() == set()
    assert await opened.texts(as_of=monday) == {"moves to Oslo"}
    assert await opened.listed() == [early]
    new = await opened.memories.update(TENANT, early.id, MemoryChange(text="moves to Bergen"))
    assert new.valid_from == monday
    assert await opened.texts(as_of=monday) == {"moves to Bergen"}


async def test_a_life_that_would_never_begin_is_refused(opened: Opened, clock: Clock) -> None:
    now = clock.time
    day = timedelta(days=1)
    for valid_from, expire_time in ((None, now), (None, now - day), (now + day, now + day)):
        with pytest.raises(InvalidArgumentError) as raised:
            await opened.remember("x", valid_from=valid_from, expire_time=expire_time)
        assert raised.value.violations[0].field == "expire_time"
    held = await opened.remember("x")
    with pytest.raises(InvalidArgumentError):
        await opened.memories.update(TENANT, held.id, MemoryChange(expire_time=now))
    assert await opened.listed() == [held]


async def test_pages_are_newest_first_whatever_is_written_between_them(
    opened: Opened, clock: Clock
) -> None:
    written = []
    for number in range(25):
        written.append(await opened.remember(f"m{number}"))
        clock.advance(seconds=1)
        await opened.remember(f"his {number}", subject="bob")
    first = await opened.memories.page(TENANT, SUBJECT, limit=10)
    assert [one.text for one in first.memories] == [f"m{n}" for n in range(24, 14, -1)]
    new = await opened.memories.update(TENANT, written[14].id, MemoryChange(text="changed"))
    await opened.memories.forget(Asked(TENANT, SUBJECT, OfIds((written[13].id,))))
    rest = await opened.memories.page(TENANT, SUBJECT, cursor=first.next_cursor, limit=100)
    assert [one.text for one in rest.memories] == [f"m{n}" for n in range(12, -1, -1)]
    assert (await opened.listed())[0] == new
    for other in ({"subject": "bob"}, {"subject": SUBJECT, "include_superseded": True}):
        with pytest.raises(InvalidArgumentError) as raised:
            await opened.memories.page(TENANT, cursor=first.next_cursor, **other)
        assert raised.value.violations[0].field == "cursor"


Write = Callable[[Opened, Once], Awaitable[object]]


async def _remembers(opened: Opened, once: Once) -> object:
    return await opened.remember("again", once=once)


async def _updates(opened: Opened, once: Once) -> object:
    listed = await opened.listed(include_superseded=True)
    old = listed[-1] if listed else await opened.remember("first")
    return await opened.memories.update(TENANT, old.id, MemoryChange(text="again"), once)


@pytest.mark.parametrize("write", [_remembers, _updates])
async def test_a_key_is_answered_once(opening: Open, clock: Clock, write: Write) -> None:
    once = Once("key", b"request")
    with opening() as opened:
        first = await write(opened, once)
    clock.advance(hours=1)
    with opening() as opened:
        assert await write(opened, once) == first
        assert await opened.texts() == {"again"}
        with pytest.raises(AlreadyExistsError):
            await write(opened, Once("key", b"another"))
        assert await opened.listed() == [first]
        await opened.memories.forget(Asked(TENANT, SUBJECT, OfSubject(SUBJECT)))
        if write is _remembers:
            with pytest.raises(NotFoundError) as raised:
                await write(opened, once)
            assert raised.value.reason == "MEMORY_FORGOTTEN"
        assert await opened.listed() == []


async def test_a_first_answer_stays_what_it_was(opened: Opened) -> None:
    once = Once("key", b"request")
    first = await opened.remember("one", once=once)
    await opened.memories.update(TENANT, first.id, MemoryChange(text="two"))
    assert await opened.remember("one", once=once) == first


async def test_memories_of_another_embedder_are_listed_and_forgotten_alone(opening: Open) -> None:
    with opening() as opened:
        held = await opened.remember("one")
    with opening(model="other") as opened:
        for call in (
            lambda: opened.remember("two"),
            lambda: opened.recalled("one"),
            lambda: opened.memories.update(TENANT, held.id, MemoryChange(text="two")),
        ):
            with pytest.raises(FailedPreconditionError, match="Forget them") as raised:
                await call()
            assert raised.value.reason == "EMBEDDER_MISMATCH"
        assert await opened.listed() == [held]
        await opened.memories.forget(Asked(TENANT, SUBJECT, OfSubject(SUBJECT)))
        assert await opened.listed() == []


async def test_the_collections_of_memories_are_in_no_list(opened: Opened) -> None:
    await opened.remember("one")
    assert opened.index.list_collections(TENANT) == []
    with pytest.raises(NotFoundError):
        opened.index.collection(TENANT, "memories")
