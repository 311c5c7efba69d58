"""What is due: tenants in turn, each once, and later what was put off."""

from __future__ import annotations

import asyncio

import pytest
from groundwire_server.memory import due as module
from groundwire_server.memory.due import Due, Named


class Clock:
    def __init__(self) -> None:
        self.time = 100.0

    def __call__(self) -> float:
        return self.time


async def taken(due: Due, count: int) -> list[str]:
    return [f"{one.tenant}/{one.session_id}" for one in [await due.next() for _ in range(count)]]


async def test_tenants_take_turns_and_each_session_comes_once() -> None:
    due = Due()
    for session in ("a1", "a2", "a3", "a1"):
        due.note("a", session)
    due.note("b", "b1")
    due.note("c", "c1")
    assert len(due) == 5
    assert await taken(due, 5) == ["a/a1", "b/b1", "c/c1", "a/a2", "a/a3"]
    due.note("a", "a1")
    assert await taken(due, 1) == ["a/a1"]


async def test_it_is_waited_for() -> None:
    due = Due()
    waiting = asyncio.ensure_future(due.next())
    await asyncio.sleep(0)
    due.note("a", "s")
    assert await waiting == Named("a", "s")


async def test_what_is_put_off_comes_later_and_not_before() -> None:
    clock = Clock()
    due = Due(now=clock)
    due.put_off(Named("a", "s"), 30)
    due.note("a", "s")
    due.note("a", "t")
    assert await taken(due, 1) == ["a/t"]
    waiting = asyncio.ensure_future(due.next())
    await asyncio.sleep(0)
    clock.time += 31
    due.note("a", "u")
    assert (await waiting).session_id == "u"
    assert await taken(due, 1) == ["a/s"]


async def test_what_is_noted_before_it_is_put_off_waits_too_and_counts_once() -> None:
    clock = Clock()
    due = Due(now=clock)
    due.note("a", "s")
    due.put_off(Named("a", "s"), 30)
    due.note("a", "t")
    assert len(due) == 2
    assert await taken(due, 1) == ["a/t"]
    clock.time += 31
    due.note("a", "t")
    assert await taken(due, 2) == ["a/t", "a/s"]
    assert len(due) == 0


async def test_what_is_put_off_for_no_time_comes_by_itself() -> None:
    due = Due()
    due.put_off(Named("a", "s"), 0.0)
    assert await taken(due, 1) == ["a/s"]


async def test_there_is_a_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST", 2)
    due = Due()
    for session in "abc":
        due.note("t", session)
    due.put_off(Named("t", "d"), 1)
    assert len(due) == 2
