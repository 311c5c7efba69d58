"""Summaries where sessions are: of which turns, for whom, and how long."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from groundwire_index.errors import NotFoundError
from groundwire_server.engines.engine import Role
from groundwire_server.memory import session_views
from groundwire_server.memory.keys import SubjectKeys
from groundwire_server.memory.redis_sessions import RedisSessions
from groundwire_server.memory.session import NewTurn
from groundwire_server.memory.subject_list import Listed, SubjectLists
from groundwire_server.memory.summaries.summary import Summary

from tests.conformance.sessions.servers import SetClock

ID = "talk"


def say(*contents: str) -> list[NewTurn]:
    return [NewTurn(Role.USER, content) for content in contents]


def about(clock: SetClock, last: int, text: str = "They met.") -> Summary:
    return Summary(text, 1, last, last, "m", clock())


async def put(sessions: RedisSessions, tenant: str, session_id: str, summary: Summary) -> bool:
    store = sessions.summaries
    return await store.put(tenant, session_id, await store.look(tenant, session_id), summary)


async def summary_of(sessions: RedisSessions, tenant: str, session_id: str) -> Summary | None:
    read = await sessions.latest(tenant, session_id, tokens=100)
    assert read.summary == (await sessions.summaries.look(tenant, session_id)).summary
    return read.summary


@pytest.fixture
async def talk(sessions: RedisSessions, tenant: str) -> str:
    await sessions.create(tenant, "ada", session_id=ID)
    await sessions.append(tenant, ID, say(*"abcdef"))
    return ID


async def test_a_session_has_none_at_first_and_then_the_last_one(
    sessions: RedisSessions, tenant: str, talk: str, clock: SetClock
) -> None:
    assert await summary_of(sessions, tenant, talk) is None
    for summary in (about(clock, 4), replace(about(clock, 6, "Они — {ok} «é»\n- so"), first=2)):
        assert await put(sessions, tenant, talk, summary)
        assert await summary_of(sessions, tenant, talk) == summary
    assert len((await sessions.turns(tenant, talk, after=0, limit=9)).turns) == 6


async def test_of_two_that_replace_the_same_one_the_first_stays(
    sessions: RedisSessions, tenant: str, talk: str, clock: SetClock
) -> None:
    before = await sessions.summaries.look(tenant, talk)
    first = about(clock, 4, "first")
    assert await sessions.summaries.put(tenant, talk, before, first)
    assert not await sessions.summaries.put(tenant, talk, before, about(clock, 4, "second"))
    assert await summary_of(sessions, tenant, talk) == first


async def test_it_goes_with_its_session_and_is_not_put_into_the_next_of_that_id(
    sessions: RedisSessions, tenant: str, talk: str, clock: SetClock
) -> None:
    await put(sessions, tenant, talk, about(clock, 4))
    before = await sessions.summaries.look(tenant, talk)
    await sessions.delete(tenant, talk)
    with pytest.raises(NotFoundError):
        await sessions.summaries.put(tenant, talk, before, about(clock, 6))
    await sessions.create(tenant, "ada", session_id=talk)
    with pytest.raises(NotFoundError):
        await sessions.summaries.put(tenant, talk, before, about(clock, 6))
    assert await summary_of(sessions, tenant, talk) is None


@pytest.mark.parametrize(("at_turn", "is_there"), [(3, False), (4, True), (6, True)])
async def test_a_fork_has_it_if_it_has_all_its_turns(
    sessions: RedisSessions,
    tenant: str,
    talk: str,
    clock: SetClock,
    at_turn: int,
    is_there: bool,
) -> None:
    summary = about(clock, 4)
    await put(sessions, tenant, talk, summary)
    fork = await sessions.fork(tenant, "bob", talk, at_turn)
    assert await summary_of(sessions, tenant, fork.id) == (summary if is_there else None)
    # From then on each has its own.
    await put(sessions, tenant, talk, about(clock, 6, "later"))
    await sessions.delete(tenant, talk)
    again = await sessions.fork(tenant, "bob", fork.id, at_turn)
    assert await summary_of(sessions, tenant, again.id) == (summary if is_there else None)


async def test_to_look_and_to_summarise_is_no_use_of_a_session(
    sessions: RedisSessions, tenant: str, clock: SetClock
) -> None:
    await sessions.create(tenant, "ada", session_id=ID, ttl_s=600)
    await sessions.append(tenant, ID, say(*"abc"))
    await sessions.create(tenant, "ada", session_id="later")
    clock.advance(60)
    used = (await sessions.get(tenant, ID)).use_time
    page = await sessions.summaries.turns(tenant, ID, after=1, limit=9)
    assert [turn.content for turn in page.turns] == ["b", "c"]
    await put(sessions, tenant, ID, about(clock, 3))
    assert (await sessions.get(tenant, ID)).use_time == used
    await sessions.turns(tenant, ID, after=1, limit=9)
    assert (await sessions.get(tenant, ID)).use_time > used


async def test_what_is_forgotten_is_gone_from_all_that_share_it_and_not_summarised_again(
    sessions: RedisSessions, tenant: str, talk: str, clock: SetClock
) -> None:
    await put(sessions, tenant, talk, about(clock, 4))
    fork = await sessions.fork(tenant, "bob", talk, 5)
    bare = await sessions.fork(tenant, "bob", talk, 2)
    assert await sessions.summaries.forget(tenant, [talk, fork.id]) == 2
    for session_id, head in ((talk, 6), (fork.id, 5), (bare.id, 2)):
        left = await summary_of(sessions, tenant, session_id)
        assert left
        assert (left.text, left.last, left.tokens) == ("", head, head)
    # A fork of what is left begins where it may.
    later = await summary_of(sessions, tenant, (await sessions.fork(tenant, "bob", talk, 3)).id)
    assert later
    assert (later.text, later.last, later.tokens) == ("", 3, 3)
    assert await sessions.summaries.forget(tenant, [talk, "missing"]) == 0


async def test_what_forks_have_of_a_session_that_is_gone_is_forgotten_too(
    sessions: RedisSessions, tenant: str, talk: str, clock: SetClock
) -> None:
    await put(sessions, tenant, talk, about(clock, 4))
    fork = await sessions.fork(tenant, "bob", talk, 5)
    second = await sessions.fork(tenant, "bob", fork.id, 4)
    await sessions.delete(tenant, talk)
    assert await sessions.summaries.forget(tenant, [talk]) == 2
    for session_id in (fork.id, second.id):
        left = await summary_of(sessions, tenant, session_id)
        assert left
        assert left.text == ""


async def test_those_of_a_subject_are_forgotten_and_no_others(
    sessions: RedisSessions, tenant: str, talk: str, clock: SetClock
) -> None:
    await sessions.create(tenant, "bob", session_id="other")
    await sessions.append(tenant, "other", say(*"ab"))
    for session_id, last in ((talk, 6), ("other", 2)):
        await put(sessions, tenant, session_id, about(clock, last))
    assert await sessions.summaries.forget_subject(tenant, "ada") == 1
    other = await summary_of(sessions, tenant, "other")
    assert other == about(clock, 2)


async def test_a_fork_does_not_summarise_what_was_forgotten_before_the_summary_of_its_parent(
    sessions: RedisSessions, tenant: str, talk: str, clock: SetClock
) -> None:
    await sessions.summaries.forget(tenant, [talk])
    await sessions.append(tenant, talk, say(*"ghij"))
    await put(sessions, tenant, talk, replace(about(clock, 10), first=7))
    for at_turn, forgotten in ((8, 6), (6, 6), (3, 3)):
        fork = await sessions.fork(tenant, "bob", talk, at_turn)
        left = await summary_of(sessions, tenant, fork.id)
        assert left
        assert (left.text, left.last) == ("", forgotten)


@pytest.mark.parametrize("at_turn", [3, 5])
async def test_what_is_forgotten_while_a_fork_is_made_is_forgotten_of_it(
    sessions: RedisSessions,
    tenant: str,
    talk: str,
    clock: SetClock,
    at_turn: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    await put(sessions, tenant, talk, about(clock, 4))
    enlist = SubjectLists.enlist

    async def forget_and_enlist(lists: SubjectLists, keys: SubjectKeys, listed: Listed) -> None:
        await sessions.summaries.forget(tenant, [talk])
        await enlist(lists, keys, listed)

    monkeypatch.setattr(SubjectLists, "enlist", forget_and_enlist)
    fork = await sessions.fork(tenant, "bob", talk, at_turn)
    left = await summary_of(sessions, tenant, fork.id)
    assert left
    assert (left.text, left.last) == ("", at_turn)


async def test_a_fork_that_is_made_while_something_is_forgotten_forgets_it_too(
    sessions: RedisSessions,
    tenant: str,
    talk: str,
    clock: SetClock,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    await put(sessions, tenant, talk, about(clock, 4))
    replaced, forks = sessions.summaries.put, []

    async def fork_and_put(*args: Any, **options: Any) -> bool:
        if not forks:
            forks.append(await sessions.fork(tenant, "bob", talk, 5))
        return await replaced(*args, **options)

    monkeypatch.setattr(sessions.summaries, "put", fork_and_put)
    assert await sessions.summaries.forget(tenant, [talk]) == 2
    left = await summary_of(sessions, tenant, forks[0].id)
    assert left
    assert left.text == ""


async def test_all_that_share_turns_forget_however_many_they_are(
    sessions: RedisSessions,
    tenant: str,
    talk: str,
    clock: SetClock,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(session_views, "MAX_THREAD", 2)
    await put(sessions, tenant, talk, about(clock, 4))
    for _ in range(3):
        await sessions.fork(tenant, "bob", talk, 5)
    assert len(await sessions.thread(tenant, talk)) == 2
    assert await sessions.summaries.forget(tenant, [talk]) == 4
