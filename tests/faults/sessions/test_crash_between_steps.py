"""A server that dies between any two steps of a call: nothing is lost, left over, or met twice."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from groundwire_index.errors import NotFoundError
from groundwire_server.engines.engine import Role
from groundwire_server.memory.redis_server import RedisServer
from groundwire_server.memory.redis_sessions import RedisSessions
from groundwire_server.memory.retention import Policies
from groundwire_server.memory.session import NewTurn

from tests.conformance.sessions.servers import SetClock, closing, sessions_on

# More than any call has.
MOST_STEPS = 12


class Crash(BaseException):
    """The process is gone: nothing cleans up after it."""


class Doomed:
    """Runs so many steps of a store on Redis, and dies before or after the next."""

    def __init__(self, store: RedisSessions, steps: int, *, after: bool) -> None:
        self._run = store._link.run
        self._left = steps
        self._after = after
        self.died = False
        store._link.run = self.run  # type: ignore[method-assign]

    async def run(self, *args: Any, **options: Any) -> Any:
        if self.died:
            raise Crash
        self._left -= 1
        if self._left >= 0:
            return await self._run(*args, **options)
        self.died = True
        if self._after:
            await self._run(*args, **options)
        raise Crash


Call = Callable[[RedisSessions, str], Awaitable[object]]

CALLS: dict[str, Call] = {
    "create": lambda store, tenant: store.create(tenant, "ada", idempotency_key="k"),
    "create with an id": lambda store, tenant: store.create(
        tenant, "ada", session_id="new", idempotency_key="k"
    ),
    "create where turns are held": lambda store, tenant: store.create(
        tenant, "ada", session_id="gone", idempotency_key="k"
    ),
    "fork": lambda store, tenant: store.fork(tenant, "ada", "parent", 2, idempotency_key="k"),
    "fork of a fork": lambda store, tenant: store.fork(
        tenant, "ada", "child", 1, idempotency_key="k"
    ),
    "append": lambda store, tenant: store.append(tenant, "parent", say("d"), idempotency_key="k"),
}
DELETED = ["parent", "child", "last", "alone"]


def say(*contents: str) -> list[NewTurn]:
    return [NewTurn(Role.USER, content) for content in contents]


@pytest.fixture
def clock() -> SetClock:
    return SetClock()


async def prepare(store: RedisSessions, tenant: str) -> None:
    """A session with a fork with a fork; a fork of one that is gone; and one by itself."""
    await store.create(tenant, "ada", session_id="parent")
    await store.append(tenant, "parent", say(*"abc"))
    await store.fork(tenant, "ada", "parent", 2, new_session_id="child")
    await store.create(tenant, "ada", session_id="gone")
    await store.append(tenant, "gone", say(*"xyz"))
    await store.fork(tenant, "ada", "gone", 2, new_session_id="last")
    await store.delete(tenant, "gone")
    await store.create(tenant, "ada", session_id="alone")


async def turns_of(store: RedisSessions, tenant: str) -> dict[str, str]:
    """Every session that is listed, with what was said in it."""
    found = {}
    for session in (await store.list(tenant, "ada", limit=100)).sessions:
        page = await store.turns(tenant, session.id, after=0, limit=100)
        assert session.id not in found
        found[session.id] = "".join(turn.content for turn in page.turns)
    return found


async def assert_nothing_is_left(store: RedisSessions, clock: SetClock, tenant: str) -> None:
    """What a crash left goes with the upkeep, and what is there with its sessions."""
    there = await turns_of(store, tenant)
    clock.advance(7200)
    await store.retention.sweep(Policies())
    assert await turns_of(store, tenant) == there
    for name in there:
        await store.delete(tenant, name)
    left = [key async for key in store._link.keys(f"gw:{{{tenant}:*")]
    assert [key for key in left if ":answer:" not in key and ":claim" not in key] == []


STARTS = {"parent": "abc", "child": "ab", "last": "xy", "alone": ""}


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("call", CALLS)
async def test_a_write_that_was_cut_off_is_done_once_when_it_is_tried_again(
    server: RedisServer, clock: SetClock, tenant: str, call: str, after: bool
) -> None:
    for steps in range(MOST_STEPS):
        mine = f"{tenant}-{steps}"
        async with closing(sessions_on(server, clock=clock)) as store:
            await prepare(store, mine)
        async with closing(sessions_on(server, clock=clock)) as doomed:
            fate = Doomed(doomed, steps, after=after)
            if await _ends(CALLS[call](doomed, mine)):
                break
        assert fate.died
        async with closing(sessions_on(server, clock=clock)) as store:
            found = await turns_of(store, mine)
            assert {name: found[name] for name in STARTS} | {"parent": "abc"} == STARTS
            # Whatever is there is listed, and what is listed is there.
            assert len(found) <= len(STARTS) + 1
            await CALLS[call](store, mine)
            await CALLS[call](store, mine)
            found = await turns_of(store, mine)
            assert found.pop("parent") == ("abcd" if call == "append" else "abc")
            new = [text for name, text in found.items() if name not in STARTS]
            expected = {"fork": ["ab"], "fork of a fork": ["a"], "append": []}
            assert new == expected.get(call, [""])
            await assert_nothing_is_left(store, clock, mine)
    else:
        pytest.fail("a call has more steps than this test looks at")
    assert steps > 0


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("name", DELETED)
async def test_a_session_whose_deletion_was_cut_off_is_there_or_gone_as_a_whole(
    server: RedisServer, clock: SetClock, tenant: str, name: str, after: bool
) -> None:
    for steps in range(MOST_STEPS):
        mine = f"{tenant}-{steps}"
        async with closing(sessions_on(server, clock=clock)) as store:
            await prepare(store, mine)
        async with closing(sessions_on(server, clock=clock)) as doomed:
            Doomed(doomed, steps, after=after)
            if await _ends(doomed.delete(mine, name)):
                break
        async with closing(sessions_on(server, clock=clock)) as store:
            found = await turns_of(store, mine)
            assert found in (STARTS, {key: STARTS[key] for key in STARTS if key != name})
            try:
                await store.delete(mine, name)
            except NotFoundError:
                assert name not in found
            assert name not in await turns_of(store, mine)
            await assert_nothing_is_left(store, clock, mine)
    else:
        pytest.fail("a call has more steps than this test looks at")
    assert steps > 0


async def _ends(call: Awaitable[object]) -> bool:
    try:
        await call
    except Crash:
        return False
    return True
