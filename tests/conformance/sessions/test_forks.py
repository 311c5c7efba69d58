"""Forks, in every session store."""

from __future__ import annotations

import asyncio

import pytest
from groundwire_index.errors import (
    AlreadyExistsError,
    LimitExceededError,
    NotFoundError,
    ResourceExhaustedError,
)
from groundwire_server.engines.engine import Role
from groundwire_server.memory import shared_turns
from groundwire_server.memory.keys import SessionKeys
from groundwire_server.memory.redis_sessions import MAX_READ_BYTES, RedisSessions
from groundwire_server.memory.session import Answer, NewTurn, Parent, Sessions

from tests.conformance.sessions.servers import SetClock, bring_forward, keys_of
from tests.patience import until

MINUTE_S, HOUR_S = 60.0, 3600.0


def say(*contents: str) -> list[NewTurn]:
    return [NewTurn(Role.USER, content) for content in contents]


async def said_in(sessions: Sessions, tenant: str, session_id: str) -> str:
    page = await sessions.turns(tenant, session_id, after=0, limit=1000)
    assert [turn.number for turn in page.turns] == list(range(1, page.head + 1))
    return "".join(turn.content for turn in page.turns)


@pytest.fixture
async def parent(sessions: RedisSessions, tenant: str) -> str:
    await sessions.create(tenant, "ada", session_id="parent")
    await sessions.append(tenant, "parent", say(*"abcdef"))
    return "parent"


async def test_a_fork_begins_with_the_turns_of_its_parent_and_goes_its_own_way(
    sessions: RedisSessions, tenant: str, parent: str
) -> None:
    fork = await sessions.fork(tenant, "bob", parent, 4, new_session_id="fork", title="Else")
    assert fork == await sessions.get(tenant, "fork")
    assert (fork.id, fork.subject, fork.title) == ("fork", "bob", "Else")
    assert (fork.head, fork.turn_count, fork.token_count) == (4, 4, 4)
    assert fork.parent == Parent("parent", 4)
    assert await sessions.append(tenant, "fork", say("x", "y"), expected_head=4) == 6
    await sessions.append(tenant, parent, say("g"))
    assert await said_in(sessions, tenant, "fork") == "abcdxy"
    assert await said_in(sessions, tenant, parent) == "abcdefg"
    assert (await sessions.get(tenant, parent)).parent is None


async def test_a_fork_has_the_time_to_live_of_its_parent_unless_told_otherwise(
    sessions: RedisSessions, tenant: str
) -> None:
    await sessions.create(tenant, "ada", session_id="s", ttl_s=600)
    await sessions.append(tenant, "s", say("a"))
    same = await sessions.fork(tenant, "ada", "s", 1)
    assert same.expire_time
    assert (same.expire_time - same.create_time).total_seconds() == 600
    longer = await sessions.fork(tenant, "ada", "s", 1, ttl_s=6000)
    assert longer.expire_time
    assert (longer.expire_time - longer.create_time).total_seconds() == 6000
    stored = (await sessions.get(tenant, longer.id)).expire_time
    assert stored
    assert abs((stored - longer.expire_time).total_seconds()) < 30


@pytest.mark.parametrize("turn", [7, 2**53 + 1, 2**64 - 1])
async def test_a_fork_past_the_head_is_refused_and_nothing_is_made(
    sessions: RedisSessions, tenant: str, parent: str, turn: int
) -> None:
    with pytest.raises(LimitExceededError) as raised:
        await sessions.fork(tenant, "ada", parent, turn, new_session_id="fork")
    assert raised.value.metadata["head"] == "6"
    with pytest.raises(NotFoundError):
        await sessions.get(tenant, "fork")
    assert await sessions.forks(tenant, parent) == ()


async def test_a_fork_of_what_is_not_there_is_refused(sessions: RedisSessions, tenant: str) -> None:
    with pytest.raises(NotFoundError):
        await sessions.fork(tenant, "ada", "nowhere", 1)
    assert (await sessions.list(tenant, "ada", limit=10)).sessions == ()


async def test_a_fork_by_an_id_that_is_taken_is_refused_and_holds_nothing(
    sessions: RedisSessions, tenant: str, parent: str
) -> None:
    await sessions.create(tenant, "ada", session_id="taken")
    with pytest.raises(AlreadyExistsError):
        await sessions.fork(tenant, "ada", parent, 3, new_session_id="taken")
    assert await sessions.forks(tenant, parent) == ()
    assert await sessions.append(tenant, "taken", say("a")) == 1
    assert await sessions.delete(tenant, parent) == 6


@pytest.mark.parametrize("new_session_id", ["", "mine"])
async def test_forking_again_with_the_same_key_gives_the_first_answer(
    sessions: RedisSessions, tenant: str, parent: str, new_session_id: str
) -> None:
    async def fork() -> object:
        return await sessions.fork(
            tenant, "ada", parent, 3, new_session_id=new_session_id, ttl_s=600, idempotency_key="k"
        )

    first, *others = await asyncio.gather(*(fork() for _ in range(5)))
    assert all(other == first for other in others)
    assert len(await sessions.forks(tenant, parent)) == 1
    with pytest.raises(AlreadyExistsError, match="idempotency_key"):
        await sessions.fork(tenant, "ada", parent, 2, idempotency_key="k")
    with pytest.raises(AlreadyExistsError, match="idempotency_key"):
        await sessions.create(tenant, "ada", idempotency_key="k")
    await sessions.delete(tenant, parent)
    assert await fork() == first


async def test_a_fork_outlives_its_parent_whose_other_turns_are_removed(
    sessions: RedisSessions, tenant: str, parent: str
) -> None:
    await sessions.fork(tenant, "ada", parent, 2, new_session_id="short")
    await sessions.fork(tenant, "ada", parent, 4, new_session_id="long")
    assert await sessions.delete(tenant, parent) == 2
    with pytest.raises(NotFoundError):
        await sessions.get(tenant, parent)
    assert await said_in(sessions, tenant, "short") == "ab"
    assert await said_in(sessions, tenant, "long") == "abcd"
    assert (await sessions.get(tenant, "long")).parent == Parent(parent, 4)
    # Another session of the same id has nothing to do with it.
    await sessions.create(tenant, "ada", session_id=parent)
    await sessions.append(tenant, parent, say("n", "e", "w"))
    assert await sessions.forks(tenant, parent) == ()
    await sessions.fork(tenant, "ada", parent, 2, new_session_id="other")
    assert await said_in(sessions, tenant, "long") == "abcd"
    await sessions.append(tenant, "long", say("z"))
    assert await said_in(sessions, tenant, "long") == "abcdz"
    assert await said_in(sessions, tenant, "other") == "ne"
    assert await said_in(sessions, tenant, parent) == "new"


async def test_a_fork_outlives_a_parent_that_expires(sessions: RedisSessions, tenant: str) -> None:
    await sessions.create(tenant, "ada", session_id="s", ttl_s=MINUTE_S)
    await sessions.append(tenant, "s", say(*"abc"))
    fork = await sessions.fork(tenant, "ada", "s", 2, ttl_s=HOUR_S)
    await sessions.append(tenant, "s", say("d"))
    assert await said_in(sessions, tenant, "s") == "abcd"

    async def is_gone() -> bool:
        try:
            await sessions.get(tenant, "s")
        except NotFoundError:
            return True
        return False

    await bring_forward(sessions, tenant, MINUTE_S)
    await until(is_gone, "the parent has expired")
    assert await said_in(sessions, tenant, fork.id) == "ab"


async def test_a_read_of_the_parent_does_not_let_shared_turns_expire(
    sessions: RedisSessions, tenant: str
) -> None:
    await sessions.create(tenant, "ada", session_id="s", ttl_s=MINUTE_S)
    await sessions.append(tenant, "s", say(*"abc"))
    fork = await sessions.fork(tenant, "ada", "s", 2, ttl_s=HOUR_S)
    assert await said_in(sessions, tenant, "s") == "abc"
    parent = SessionKeys(tenant, "s")

    async def is_gone() -> bool:
        return parent.session not in await keys_of(sessions, tenant)

    await bring_forward(sessions, tenant, MINUTE_S)
    await until(is_gone, "the parent has expired")
    assert await said_in(sessions, tenant, fork.id) == "ab"


async def test_turns_that_no_fork_needs_any_more_are_removed(
    sessions: RedisSessions, tenant: str, parent: str
) -> None:
    async def kept() -> int:
        return int(await sessions._link._client.xlen(SessionKeys(tenant, parent).turns))

    await sessions.fork(tenant, "ada", parent, 2, new_session_id="short")
    await sessions.fork(tenant, "ada", parent, 4, new_session_id="long")
    assert await kept() == 6
    await sessions.delete(tenant, parent)
    assert await kept() == 4
    await sessions.delete(tenant, "long")
    assert await kept() == 2
    assert await said_in(sessions, tenant, "short") == "ab"


async def test_nothing_is_left_when_the_last_that_needs_it_goes(
    sessions: RedisSessions, tenant: str, parent: str
) -> None:
    await sessions.fork(tenant, "ada", parent, 4, new_session_id="child")
    await sessions.append(tenant, "child", say("x"))
    await sessions.fork(tenant, "ada", "child", 5, new_session_id="grandchild")
    await sessions.fork(tenant, "ada", "child", 2, new_session_id="other")
    for name in (parent, "child", "grandchild"):
        await sessions.delete(tenant, name)
    assert await said_in(sessions, tenant, "other") == "ab"
    await sessions.delete(tenant, "other")
    assert await keys_of(sessions, tenant) == []


async def test_a_parent_keeps_its_turns_when_its_forks_are_gone(
    sessions: RedisSessions, tenant: str
) -> None:
    await sessions.create(tenant, "ada", session_id="s", ttl_s=HOUR_S)
    await sessions.append(tenant, "s", say(*"abc"))
    await sessions.fork(tenant, "ada", "s", 3, new_session_id="fork")
    await sessions.delete(tenant, "fork")
    assert await said_in(sessions, tenant, "s") == "abc"
    await sessions.append(tenant, "s", say("d"))
    assert await sessions.delete(tenant, "s") == 4
    assert await keys_of(sessions, tenant) == []


async def test_forks_of_forks_read_through_all_they_share(
    sessions: RedisSessions, tenant: str
) -> None:
    await sessions.create(tenant, "ada", session_id="0")
    await sessions.append(tenant, "0", say("0a", "0b"))
    for number in range(1, 8):
        head = (await sessions.get(tenant, str(number - 1))).head
        fork = await sessions.fork(
            tenant, "ada", str(number - 1), head - 1, new_session_id=str(number)
        )
        assert fork.head == head - 1
        await sessions.append(tenant, str(number), say(f"{number}a", f"{number}b"))
    whole = "".join(f"{number}a" for number in range(8)) + "7b"
    assert await said_in(sessions, tenant, "7") == whole
    below = await sessions.fork(tenant, "ada", "7", 3)
    assert await said_in(sessions, tenant, below.id) == "0a1a2a"
    assert below.token_count == 3
    assert below.parent == Parent("7", 3)

    up, after = "", 0
    while page := (await sessions.turns(tenant, "7", after=after, limit=2)).turns:
        assert len(page) == 2 or after == 8
        up += "".join(turn.content for turn in page)
        after = page[-1].number
    down, before = "", 10
    while page := (await sessions.recent(tenant, "7", limit=4, before=before)).turns:
        down = "".join(turn.content for turn in page) + down
        before = page[0].number
    assert up == down == whole
    latest = await sessions.latest(tenant, "7", tokens=4)
    assert "".join(turn.content for turn in latest.turns) == whole[-16:]
    assert (latest.head, latest.subject) == (9, "ada")


async def test_large_turns_of_forks_come_in_shorter_pages_but_all_come(
    sessions: RedisSessions, tenant: str
) -> None:
    large = MAX_READ_BYTES // 3
    await sessions.create(tenant, "ada", session_id="s")
    for number in range(4):
        await sessions.append(tenant, "s", say(str(number) * large))
    fork = (await sessions.fork(tenant, "ada", "s", 4)).id
    for number in range(4, 8):
        await sessions.append(tenant, fork, say(str(number) * large))
    up, after = "", 0
    while page := (await sessions.turns(tenant, fork, after=after, limit=100)).turns:
        assert sum(len(turn.content) for turn in page) <= MAX_READ_BYTES
        up += "".join(turn.content[0] for turn in page)
        after = page[-1].number
    down, before = "", 9
    while page := (await sessions.recent(tenant, fork, limit=100, before=before)).turns:
        assert sum(len(turn.content) for turn in page) <= MAX_READ_BYTES
        down = "".join(turn.content[0] for turn in page) + down
        before = page[0].number
    assert up == down == "01234567"


async def test_branches_and_the_whole_thread_are_listed(
    sessions: RedisSessions, tenant: str, parent: str
) -> None:
    await sessions.fork(tenant, "ada", parent, 4, new_session_id="late")
    await sessions.fork(tenant, "bob", parent, 2, new_session_id="early")
    await sessions.fork(tenant, "ada", "late", 1, new_session_id="below")
    assert [one.id for one in await sessions.forks(tenant, parent)] == ["early", "late"]
    assert [one.id for one in await sessions.forks(tenant, "below")] == []
    for name in (parent, "late", "early", "below"):
        thread = await sessions.thread(tenant, name)
        assert [one.id for one in thread] == [parent, "early", "late", "below"]
    assert thread[3] == await sessions.get(tenant, "below")
    # What is between them may go.
    await sessions.delete(tenant, parent)
    await sessions.delete(tenant, "late")
    assert [one.id for one in await sessions.thread(tenant, "early")] == ["early", "below"]
    with pytest.raises(NotFoundError):
        await sessions.thread(tenant, parent)
    with pytest.raises(NotFoundError):
        await sessions.forks(tenant, parent)


async def test_forks_of_one_session_are_limited(
    sessions: RedisSessions, tenant: str, parent: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shared_turns, "MAX_FORKS", 2)
    first = await sessions.fork(tenant, "ada", parent, 1)
    await sessions.fork(tenant, "ada", parent, 1)
    with pytest.raises(ResourceExhaustedError, match="fork"):
        await sessions.fork(tenant, "ada", parent, 1)
    await sessions.delete(tenant, first.id)
    await sessions.fork(tenant, "ada", parent, 1)


async def test_a_tenant_forks_nothing_of_another(
    sessions: RedisSessions, tenant: str, parent: str
) -> None:
    with pytest.raises(NotFoundError):
        await sessions.fork(f"{tenant}-other", "ada", parent, 1)


# --- what turns add up to ---


def answer(content: str, model: str, latency_s: float, confidence: float | None) -> NewTurn:
    return NewTurn(Role.ASSISTANT, content, answer=Answer(model, latency_s, confidence))


async def test_stats_add_up_and_a_fork_has_those_of_what_it_shares(
    sessions: RedisSessions, clock: SetClock, tenant: str
) -> None:
    await sessions.create(tenant, "ada", session_id="s")
    empty = await sessions.stats(tenant, "s")
    assert (empty.turns, empty.tokens, empty.first_time, empty.last_time) == (0, 0, None, None)
    assert (empty.answers_by_model, empty.average_latency_s) == ({}, None)
    first = clock()
    await sessions.append(
        tenant, "s", [*say("one two"), answer("three", "small", 1.5, 0.75)], idempotency_key="k"
    )
    clock.advance(5)
    second = clock()
    await sessions.append(tenant, "s", [*say("four"), answer("five six", "large", 0.5, None)])
    clock.advance(5)
    await sessions.append(tenant, "s", [*say("seven"), answer("eight", "small", 1.0, 0.25)])
    stats = await sessions.stats(tenant, "s")
    assert (stats.turns, stats.tokens) == (6, 8)
    assert stats.answers_by_model == {"small": 2, "large": 1}
    assert stats.average_latency_s == pytest.approx(1.0)
    assert stats.average_confidence == pytest.approx(0.5)
    assert (stats.first_time, stats.last_time) == (first, clock())

    await sessions.fork(tenant, "ada", "s", 4, new_session_id="fork")
    shared = await sessions.stats(tenant, "fork")
    assert (shared.turns, shared.tokens) == (4, 6)
    assert shared.answers_by_model == {"small": 1, "large": 1}
    assert shared.average_latency_s == pytest.approx(1.0)
    assert shared.average_confidence == pytest.approx(0.75)
    assert (shared.first_time, shared.last_time) == (first, second)
    below = await sessions.fork(tenant, "ada", "fork", 2)
    assert (await sessions.stats(tenant, below.id)).answers_by_model == {"small": 1}
    await sessions.append(tenant, "fork", [answer("nine", "tiny", 2.5, None)])
    grown = await sessions.stats(tenant, "fork")
    assert grown.answers_by_model == {"small": 1, "large": 1, "tiny": 1}
    assert grown.average_latency_s == pytest.approx(1.5)
    assert (await sessions.stats(tenant, "s")) == stats
    turns = (await sessions.turns(tenant, "fork", after=0, limit=9)).turns
    assert turns[1].answer == Answer("small", 1.5, 0.75)
    assert turns[1].metadata == {}
    assert turns[0].answer is None
    with pytest.raises(NotFoundError):
        await sessions.stats(tenant, "nowhere")
