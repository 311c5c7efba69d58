"""Lists of a subject's sessions, in every session store."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from groundwire_index.errors import InvalidArgumentError
from groundwire_server.engines.engine import Role
from groundwire_server.memory.redis_sessions import RedisSessions
from groundwire_server.memory.session import NewTurn

from tests.conformance.sessions.servers import SetClock
from tests.patience import until

SAY = [NewTurn(Role.USER, "hello")]


async def ids_of(sessions: RedisSessions, tenant: str, subject: str = "ada") -> list[str]:
    page = await sessions.list(tenant, subject, limit=1000)
    assert page.cursor == ""
    return [session.id for session in page.sessions]


async def test_sessions_are_listed_by_subject_latest_use_first(
    sessions: RedisSessions, clock: SetClock, tenant: str
) -> None:
    for name in "abcd":
        clock.advance(2)
        await sessions.create(tenant, "ada", session_id=name, title=name.upper())
    await sessions.create(tenant, "bob", session_id="other")
    assert await ids_of(sessions, tenant) == ["d", "c", "b", "a"]
    clock.advance(2)
    await sessions.append(tenant, "b", SAY)
    clock.advance(2)
    await sessions.turns(tenant, "a", after=0, limit=1)
    assert await ids_of(sessions, tenant) == ["a", "b", "d", "c"]
    clock.advance(2)
    await sessions.get(tenant, "c")
    assert await ids_of(sessions, tenant) == ["a", "b", "d", "c"]
    page = await sessions.list(tenant, "ada", limit=1)
    assert page.sessions == (await sessions.get(tenant, "a"),)
    assert await ids_of(sessions, tenant, "bob") == ["other"]
    assert await ids_of(sessions, tenant, "eve") == []
    assert await ids_of(sessions, f"{tenant}-other") == []


async def test_pages_are_of_the_list_as_it_was_whatever_is_used_meanwhile(
    sessions: RedisSessions, clock: SetClock, tenant: str
) -> None:
    for number in range(25):
        clock.advance(2)
        await sessions.create(tenant, "ada", session_id=f"{number:02}")
    met, cursor = [], ""
    while True:
        page = await sessions.list(tenant, "ada", cursor=cursor, limit=4)
        met += [session.id for session in page.sessions]
        clock.advance(2)
        # One that was met, and one that is still to come; one more comes, and one goes.
        await sessions.append(tenant, met[0], SAY)
        await sessions.append(tenant, "01", SAY)
        await sessions.create(tenant, "ada")
        if len(met) == 4:
            await sessions.delete(tenant, "07")
        if not page.cursor:
            break
        # A page that is asked for again is the same.
        if page.cursor and cursor:
            again = await sessions.list(tenant, "ada", cursor=cursor, limit=4)
            assert [one.id for one in again.sessions] == [one.id for one in page.sessions]
        cursor = page.cursor
    assert met == [f"{number:02}" for number in range(24, -1, -1) if number != 7]


async def test_those_that_were_deleted_or_have_expired_are_not_listed(
    sessions: RedisSessions, tenant: str
) -> None:
    await sessions.create(tenant, "ada", session_id="kept")
    await sessions.create(tenant, "ada", session_id="deleted")
    await sessions.create(tenant, "ada", session_id="expired", ttl_s=0.05)
    await sessions.delete(tenant, "deleted")

    async def is_over() -> bool:
        return await ids_of(sessions, tenant) == ["kept"]

    await until(is_over, "what has expired is not listed")


async def test_a_session_that_is_about_to_be_there_is_not_taken_off_the_list(
    sessions: RedisSessions, tenant: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    create = sessions._births._created

    async def listed_before(*asked: Any) -> Any:
        assert await ids_of(sessions, tenant) == []
        return await create(*asked)

    monkeypatch.setattr(sessions._births, "_created", listed_before)
    await sessions.create(tenant, "ada", session_id="s")
    assert await ids_of(sessions, tenant) == ["s"]


async def test_an_id_that_is_used_again_is_listed_once_for_whom_it_belongs_to(
    sessions: RedisSessions, tenant: str
) -> None:
    await sessions.create(tenant, "ada", session_id="s")
    await sessions.delete(tenant, "s")
    await sessions.create(tenant, "bob", session_id="s")
    assert await ids_of(sessions, tenant) == []
    assert await ids_of(sessions, tenant, "bob") == ["s"]
    with pytest.raises(Exception, match="exists already"):
        await sessions.create(tenant, "ada", session_id="s")
    assert await ids_of(sessions, tenant) == []


async def test_creating_again_with_the_same_key_lists_one(
    sessions: RedisSessions, tenant: str
) -> None:
    for _ in range(3):
        await sessions.create(tenant, "ada", idempotency_key="k")
    assert len(await ids_of(sessions, tenant)) == 1


@pytest.mark.parametrize("cursor", ["x", "0" * 32, f"{'0' * 32}.4", f"{'0' * 32}.-1", "{}.1"])
async def test_a_cursor_that_leads_nowhere_is_refused(
    sessions: RedisSessions, tenant: str, cursor: str
) -> None:
    await sessions.create(tenant, "ada")
    with pytest.raises(InvalidArgumentError, match="cursor"):
        await sessions.list(tenant, "ada", cursor=cursor, limit=10)


async def test_a_cursor_is_of_one_tenant_and_subject(sessions: RedisSessions, tenant: str) -> None:
    for _ in range(3):
        await sessions.create(tenant, "ada")
    cursor = (await sessions.list(tenant, "ada", limit=1)).cursor
    assert len((await sessions.list(tenant, "ada", cursor=cursor, limit=9)).sessions) == 2
    for stranger in ((tenant, "bob"), (f"{tenant}-other", "ada")):
        with pytest.raises(InvalidArgumentError, match="cursor"):
            await sessions.list(*stranger, cursor=cursor, limit=9)


async def test_the_time_of_use_is_told(
    sessions: RedisSessions, clock: SetClock, tenant: str
) -> None:
    created = await sessions.create(tenant, "ada", session_id="s")
    clock.advance(60)
    await sessions.append(tenant, "s", SAY)
    used = (await sessions.get(tenant, "s")).use_time
    assert used - created.use_time == timedelta(seconds=60)
