"""What the server removes of itself, in every session store."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from groundwire_server.engines.engine import Role
from groundwire_server.memory.keys import SessionKeys
from groundwire_server.memory.redis_sessions import RedisSessions
from groundwire_server.memory.retention import Policies, Retention
from groundwire_server.memory.session import NewTurn

from tests.conformance.sessions.servers import SetClock, bring_forward, keys_of
from tests.patience import until

DAY_S = 86_400.0
SAY = [NewTurn(Role.USER, "hello")]


def of(tenant: str, **kept: float) -> Policies:
    return Policies(by_tenant={tenant: Retention(**kept)})


async def ids_of(sessions: RedisSessions, tenant: str, subject: str = "ada") -> list[str]:
    page = await sessions.list(tenant, subject, limit=1000)
    return [session.id for session in page.sessions]


@pytest.fixture
async def five(sessions: RedisSessions, clock: SetClock, tenant: str) -> list[str]:
    """Sessions of one subject, one a day, the last now."""
    for number in range(5):
        clock.advance(DAY_S)
        await sessions.create(tenant, "ada", session_id=str(number))
        await sessions.append(tenant, str(number), SAY)
    return [str(number) for number in range(4, -1, -1)]


async def test_nothing_is_removed_unless_it_is_told(
    sessions: RedisSessions, clock: SetClock, tenant: str, five: list[str]
) -> None:
    clock.advance(1000 * DAY_S)
    swept = await sessions.retention.sweep(Policies(by_tenant={f"{tenant}-other": Retention(1)}))
    assert (swept.idle, swept.surplus) == (0, 0)
    assert await ids_of(sessions, tenant) == five


async def test_sessions_that_nobody_uses_are_removed_and_counted(
    sessions: RedisSessions, clock: SetClock, tenant: str, five: list[str]
) -> None:
    clock.advance(2)
    await sessions.turns(tenant, "0", after=0, limit=1)
    swept = await sessions.retention.sweep(of(tenant, idle_days=1.5))
    assert (swept.idle, swept.surplus) == (2, 0)
    assert await ids_of(sessions, tenant) == ["0", "4", "3"]
    removals = (await sessions.list(tenant, "ada", limit=1)).removals
    assert removals.sessions == 2
    assert removals.time
    assert abs((removals.time - clock()).total_seconds()) < 1
    assert (await sessions.retention.sweep(of(tenant, idle_days=1.5))).idle == 0
    assert (await sessions.list(tenant, "eve", limit=1)).removals.sessions == 0


async def test_a_subject_keeps_the_sessions_that_it_used_last(
    sessions: RedisSessions, clock: SetClock, tenant: str, five: list[str]
) -> None:
    clock.advance(2)
    await sessions.append(tenant, "1", SAY)
    await sessions.create(tenant, "bob", session_id="other")
    # Those that have ended are none of them.
    await sessions.create(tenant, "ada", session_id="short", ttl_s=0.02)

    async def is_over() -> bool:
        return "short" not in await ids_of(sessions, tenant)

    await until(is_over, "a session has expired")
    swept = await sessions.retention.sweep(of(tenant, sessions_per_subject=3))
    assert (swept.idle, swept.surplus) == (0, 2)
    assert await ids_of(sessions, tenant) == ["1", "4", "3"]
    assert await ids_of(sessions, tenant, "bob") == ["other"]


async def test_a_tenant_keeps_as_many_turns_as_it_may_in_the_sessions_used_last(
    sessions: RedisSessions, clock: SetClock, tenant: str, five: list[str]
) -> None:
    clock.advance(2)
    await sessions.create(tenant, "bob", session_id="bobs")
    await sessions.append(tenant, "bobs", SAY * 2)
    clock.advance(2)
    # What it shares is not its own.
    await sessions.fork(tenant, "ada", "0", 1, new_session_id="fork")
    swept = await sessions.retention.sweep(of(tenant, turns=5))
    assert (swept.idle, swept.surplus, swept.size) == (0, 0, 2)
    assert set(await ids_of(sessions, tenant)) == {"fork", "4", "3", "2"}
    assert await ids_of(sessions, tenant, "bob") == ["bobs"]
    assert (await sessions.list(tenant, "ada", limit=1)).removals.sessions == 2
    assert (await sessions.retention.sweep(of(tenant, turns=1))).size == 4
    assert await ids_of(sessions, tenant) == ["fork"]
    assert await ids_of(sessions, tenant, "bob") == []


async def test_a_tenant_keeps_as_many_bytes_as_it_may_in_the_sessions_used_last(
    sessions: RedisSessions, clock: SetClock, tenant: str, five: list[str]
) -> None:
    clock.advance(2)
    await sessions.append(tenant, "1", [NewTurn(Role.USER, "x" * 10_000)])
    assert (await sessions.retention.sweep(of(tenant, bytes=20_000))).size == 0
    assert (await sessions.retention.sweep(of(tenant, bytes=10_200))).size == 3
    assert await ids_of(sessions, tenant) == ["1", "4"]
    assert (await sessions.retention.sweep(of(tenant, bytes=9_999))).size == 2
    assert await ids_of(sessions, tenant) == []


@pytest.mark.parametrize("limit", ["turns", "bytes"])
async def test_turns_that_only_forks_need_any_more_count_with_the_one_used_last(
    sessions: RedisSessions, clock: SetClock, tenant: str, limit: str
) -> None:
    long = [NewTurn(Role.USER, "x" * 500)]
    await sessions.create(tenant, "ada", session_id="gone")
    await sessions.append(tenant, "gone", long * 40)
    for name in ("first", "last"):
        clock.advance(2)
        await sessions.fork(tenant, "ada", "gone", 20, new_session_id=name)
    clock.advance(2)
    # It holds them by one that is gone too.
    await sessions.fork(tenant, "ada", "last", 20, new_session_id="below")
    for name in ("first", "below"):
        await sessions.append(tenant, name, long * 2)
    for name in ("gone", "last"):
        await sessions.delete(tenant, name)
    # The id is another's by now.
    clock.advance(-10)
    await sessions.create(tenant, "ada", session_id="gone")
    clock.advance(20)
    await sessions.append(tenant, "gone", long)
    clock.advance(-10)

    one = (await sessions._views.described(tenant, "gone")).own_bytes if limit == "bytes" else 1
    # 20 that are held, and of the three that are there 2, 2 and 1.
    kept, half = of(tenant, **{limit: 25 * one}), of(tenant, **{limit: 12 * one})
    assert (await sessions.retention.sweep(kept)).size == 0
    assert await ids_of(sessions, tenant) == ["gone", "below", "first"]
    await sessions.append(tenant, "gone", long)
    assert (await sessions.retention.sweep(kept)).size == 1
    assert await ids_of(sessions, tenant) == ["gone", "below"]
    assert (await sessions.retention.sweep(half)).size == 1
    assert await ids_of(sessions, tenant) == ["gone"]
    assert (await sessions.retention.sweep(half)).size == 0


async def test_many_turns_that_only_forks_need_are_measured_part_by_part(
    sessions: RedisSessions, clock: SetClock, tenant: str
) -> None:
    await sessions.create(tenant, "ada", session_id="gone")
    for _ in range(25):
        await sessions.append(tenant, "gone", SAY * 100)
    await sessions.fork(tenant, "ada", "gone", 2500, new_session_id="fork")
    await sessions.delete(tenant, "gone")
    assert (await sessions.retention.sweep(of(tenant, turns=2500))).size == 0
    assert (await sessions.retention.sweep(of(tenant, turns=2499))).size == 1


async def test_a_use_that_did_not_come_to_the_list_counts_all_the_same(
    sessions: RedisSessions,
    clock: SetClock,
    tenant: str,
    five: list[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def lost(*_: object) -> None:
        """The server died before it."""

    clock.advance(2)
    with monkeypatch.context() as patch:
        patch.setattr(sessions._uses, "note", lost)
        await sessions.append(tenant, "0", SAY)
    assert await ids_of(sessions, tenant) == five
    await sessions.retention.sweep(of(tenant, idle_days=1.5, sessions_per_subject=2))
    assert set(await ids_of(sessions, tenant)) == {"0", "4"}


async def test_a_session_that_is_used_while_it_is_judged_is_kept(
    sessions: RedisSessions,
    clock: SetClock,
    tenant: str,
    five: list[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    delete = sessions._births.delete

    async def used_before(tenant: str, session_id: str, **options: object) -> object:
        await sessions.append(tenant, session_id, SAY)
        return await delete(tenant, session_id, **options)

    clock.advance(2)
    monkeypatch.setattr(sessions._births, "delete", used_before)
    swept = await sessions.retention.sweep(of(tenant, idle_days=1.5))
    assert swept.idle == 0
    assert set(await ids_of(sessions, tenant)) == set(five)


async def test_what_redis_names_twice_counts_once(
    sessions: RedisSessions, tenant: str, five: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    keys = sessions._link.keys

    async def each_twice(pattern: str) -> AsyncIterator[str]:
        async for key in keys(pattern):
            yield key
            yield key

    monkeypatch.setattr(sessions._link, "keys", each_twice)
    assert (await sessions.retention.sweep(of(tenant, turns=5))).size == 0
    assert await ids_of(sessions, tenant) == five


async def test_a_fork_outlives_a_parent_that_retention_removes(
    sessions: RedisSessions, clock: SetClock, tenant: str, five: list[str]
) -> None:
    await sessions.fork(tenant, "ada", "0", 1, new_session_id="fork")
    assert (await sessions.retention.sweep(of(tenant, idle_days=3.5))).idle == 1
    page = await sessions.turns(tenant, "fork", after=0, limit=10)
    assert [turn.content for turn in page.turns] == ["hello"]


async def test_what_expired_forks_have_held_is_freed(
    sessions: RedisSessions, clock: SetClock, tenant: str
) -> None:
    await sessions.create(tenant, "ada", session_id="s")
    await sessions.append(tenant, "s", SAY * 3)
    await sessions.fork(tenant, "ada", "s", 2, new_session_id="short", ttl_s=60)
    await sessions.fork(tenant, "ada", "short", 1, new_session_id="below", ttl_s=60)
    await sessions.delete(tenant, "s")

    async def are_over() -> bool:
        there = {SessionKeys(tenant, name).session for name in ("short", "below")}
        return not there & set(await keys_of(sessions, tenant))

    await bring_forward(sessions, tenant, 60)
    await until(are_over, "the forks have expired")
    # It may be that they are about to be made.
    assert (await sessions.retention.sweep(Policies())).freed == 0
    clock.advance(7200)
    # Letting go of one may take others with it, whichever comes first.
    for _ in range(2):
        await sessions.retention.sweep(Policies())
    assert await keys_of(sessions, tenant) == []
