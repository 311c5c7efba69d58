"""Random creating, appending, forking and deleting, beside a model of a few dictionaries."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from uuid import uuid4

import pytest
from groundwire_index.errors import LimitExceededError, NotFoundError
from groundwire_server.engines.engine import Role
from groundwire_server.memory.redis_sessions import RedisSessions
from groundwire_server.memory.session import NewTurn, Parent
from hypothesis import given, settings
from hypothesis import strategies as st

NAMES = "abcde"
# What is done, to whom, and how much: forks of forks, ids that are used again, turns in between.
STEPS = st.lists(
    st.tuples(
        st.sampled_from(["create", "append", "append", "fork", "fork", "delete"]),
        st.sampled_from(NAMES),
        st.sampled_from(NAMES),
        st.integers(1, 6),
    ),
    max_size=40,
)


@dataclass
class Known:
    """A session as it should be."""

    turns: list[str]
    parent: Parent | None = None


@settings(
    max_examples=25,
)
@given(steps=STEPS)
async def test_every_session_is_as_the_model_has_it(
    sessions: RedisSessions, steps: list[tuple[str, str, str, int]]
) -> None:
    tenant = f"tenant-{uuid4()}"
    known: dict[str, Known] = {}
    for number, (what, name, other, count) in enumerate(steps):
        await _step(sessions, tenant, known, what, name, other, count, str(number))
        await _compare(sessions, tenant, known)
    for name in list(known):
        await sessions.delete(tenant, name)
    left = [key async for key in sessions._link.keys(f"gw:{{{tenant}:*")]
    assert left == []


async def _step(
    sessions: RedisSessions,
    tenant: str,
    known: dict[str, Known],
    what: str,
    name: str,
    other: str,
    count: int,
    said: str,
) -> None:
    there = known.get(name)
    if what == "create" and there is None:
        await sessions.create(tenant, "ada", session_id=name)
        known[name] = Known([])
    elif what == "append" and there is not None:
        contents = [f"{said}.{at}" for at in range(count)]
        await sessions.append(tenant, name, [NewTurn(Role.USER, text) for text in contents])
        there.turns += contents
    elif what == "delete" and there is not None:
        await sessions.delete(tenant, name)
        del known[name]
    elif what == "fork" and other not in known:
        fork = sessions.fork(tenant, "ada", name, count, new_session_id=other)
        if there is None:
            with pytest.raises(NotFoundError):
                await fork
        elif count > len(there.turns):
            with pytest.raises(LimitExceededError):
                await fork
        else:
            await fork
            known[other] = Known(there.turns[:count], Parent(name, count))


async def _compare(sessions: RedisSessions, tenant: str, known: dict[str, Known]) -> None:
    listed = (await sessions.list(tenant, "ada", limit=100)).sessions
    assert {session.id for session in listed} == set(known)
    for session in listed:
        expected = known[session.id]
        assert session.head == len(expected.turns)
        assert session.token_count == len(expected.turns)
        assert session.parent == expected.parent
    for name, expected in known.items():
        up, middle = await asyncio.gather(
            sessions.turns(tenant, name, after=0, limit=1000),
            sessions.recent(tenant, name, limit=3, before=max(1, len(expected.turns))),
        )
        assert [turn.content for turn in up.turns] == expected.turns
        assert [turn.number for turn in up.turns] == list(range(1, up.head + 1))
        end = max(1, len(expected.turns)) - 1
        assert [turn.content for turn in middle.turns] == expected.turns[max(0, end - 3) : end]
