"""Tenants take turns, what cannot wait is refused at once, and no turn is ever lost."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Sequence

import pytest
from groundwire_index.errors import ResourceExhaustedError
from groundwire_server.engines.fair_queue import Claim, FairQueue, Limits
from groundwire_server.waiting import Waiting
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.patience import PATIENCE_S

ROOMY = Limits(running=1, queued=1000, queued_tokens=10**6)


class Clock:
    def __init__(self) -> None:
        self.time = 100.0

    def __call__(self) -> float:
        return self.time


class Users:
    """Requests that have the model until they are told to end."""

    def __init__(self, queue: FairQueue) -> None:
        self.queue = queue
        self.begun: list[str] = []
        self._ends: dict[str, asyncio.Event] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}

    async def come(self, name: str, claim: Claim) -> None:
        self._ends[name] = asyncio.Event()
        self._tasks[name] = asyncio.create_task(self._use(name, claim))
        await settle()

    async def end(self, name: str) -> None:
        self._ends[name].set()
        await settle()

    async def leave(self, *names: str) -> None:
        for name in names:
            self._tasks[name].cancel()
        await settle()

    async def end_all(self) -> None:
        for event in self._ends.values():
            event.set()
        async with asyncio.timeout(PATIENCE_S):
            await asyncio.gather(*self._tasks.values(), return_exceptions=True)

    def refusal(self, name: str) -> ResourceExhaustedError | None:
        task = self._tasks[name]
        if not task.done() or task.cancelled():
            return None
        error = task.exception()
        assert error is None or isinstance(error, ResourceExhaustedError)
        return error

    async def _use(self, name: str, claim: Claim) -> None:
        async with self.queue.turn(claim):
            self.begun.append(name)
            await self._ends[name].wait()


async def settle() -> None:
    """Let every task go as far as it can."""
    for _ in range(8):
        await asyncio.sleep(0)


async def filled(users: Users, tenant: str, count: int, *, tokens: int = 1) -> None:
    for number in range(count):
        await users.come(f"{tenant}{number}", Claim(tenant, tokens, cost=tokens))


async def test_as_many_run_as_may_and_the_others_follow_in_order() -> None:
    users = Users(FairQueue("m", Limits(2, 10, 100)))
    await filled(users, "a", 4)
    assert users.begun == ["a0", "a1"]
    assert users.queue.waiting == Waiting(2, 2)
    await users.end("a1")
    await users.end("a0")
    assert users.begun == ["a0", "a1", "a2", "a3"]
    await users.end_all()
    assert (users.queue.running, users.queue.waiting) == (0, Waiting())


async def test_a_flood_of_one_tenant_delays_itself() -> None:
    users = Users(FairQueue("m", ROOMY))
    await filled(users, "flood", 100)
    await filled(users, "b", 2)
    for name in ("flood0", "b0", "flood1", "b1"):
        await users.end(name)
    assert set(users.begun[:5]) == {"flood0", "flood1", "flood2", "b0", "b1"}
    await users.end_all()


async def test_turns_are_shared_by_what_they_cost() -> None:
    users = Users(FairQueue("m", ROOMY))
    await filled(users, "long", 30, tokens=1000)
    await filled(users, "short", 300, tokens=100)
    for _ in range(110):
        await users.end(users.begun[-1])
    counts = Counter(name.rstrip("0123456789") for name in users.begun)
    assert counts["short"] == pytest.approx(10 * counts["long"], rel=0.2)
    await users.end_all()


async def test_who_waited_for_nothing_gains_nothing_by_it() -> None:
    users = Users(FairQueue("m", ROOMY))
    await filled(users, "a", 50)
    for number in range(40):
        await users.end(f"a{number}")
    await filled(users, "late", 50)
    begun = len(users.begun)
    for _ in range(10):
        await users.end(users.begun[-1])
    late = sum(name.startswith("late") for name in users.begun[begun:])
    assert 4 <= late <= 6
    await users.end_all()


async def test_a_tenants_own_requests_go_by_priority_then_by_time() -> None:
    users = Users(FairQueue("m", ROOMY))
    for name, priority in (("first", 0), ("low", 5), ("high", -1), ("low2", 5)):
        await users.come(name, Claim("a", priority=priority))
    for _ in range(3):
        await users.end(users.begun[-1])
    assert users.begun == ["first", "high", "low", "low2"]
    await users.end_all()


@pytest.mark.parametrize(
    ("limits", "tokens"), [(Limits(1, 2, 1000), 10), (Limits(1, 100, 25), 10)], ids=str
)
async def test_a_full_queue_refuses_and_says_when_to_come_back(limits: Limits, tokens: int) -> None:
    users = Users(FairQueue("phi", limits))
    await filled(users, "a", 3, tokens=tokens)
    with pytest.raises(
        ResourceExhaustedError, match=r"phi.*2 requests with 20 tokens wait"
    ) as all_:
        async with users.queue.turn(Claim("a", tokens)):
            pass
    assert all_.value.reason == "QUEUE_FULL"
    assert all_.value.retry_after_s == pytest.approx(3.0)
    await users.end_all()


async def test_a_tenant_that_fills_the_queue_gives_way_to_one_that_does_not() -> None:
    users = Users(FairQueue("m", Limits(1, 4, 1000)))
    await filled(users, "a", 5)
    await filled(users, "b", 3)
    everyone = [f"a{number}" for number in range(5)] + ["b0", "b1", "b2"]
    assert [name for name in everyone if users.refusal(name)] == ["a3", "a4", "b2"]
    assert users.queue.waiting.requests == 4
    await users.end_all()


async def test_what_would_be_refused_is_known_before_its_tokens_are() -> None:
    users = Users(FairQueue("m", Limits(1, 1, 1000)))
    users.queue.check(Claim("a"))
    await filled(users, "a", 2)
    with pytest.raises(ResourceExhaustedError):
        users.queue.check(Claim("a"))
    await users.leave("a1")
    users.queue.check(Claim("a"))
    await users.end_all()


async def test_who_would_begin_after_his_deadline_is_refused_at_once() -> None:
    clock = Clock()
    users = Users(FairQueue("m", ROOMY, now=clock))
    await users.come("first", Claim("a"))
    clock.time += 2.0
    await users.end("first")
    await filled(users, "b", 3)
    for name, seconds in (("soon", 3.9), ("late", 4.1)):
        await users.come(name, Claim("a", deadline=clock.time + seconds))
    refusal = users.refusal("soon")
    assert refusal is not None
    assert refusal.reason == "DEADLINE_OUT_OF_REACH"
    assert "4.0 s" in refusal.message
    assert users.refusal("late") is None
    await users.end_all()


async def test_those_who_leave_at_the_same_moment_take_no_turn_with_them() -> None:
    users = Users(FairQueue("m", ROOMY))
    await filled(users, "a", 4)
    await users.leave("a0", "a1", "a2")
    assert users.begun == ["a0", "a3"]
    await users.end_all()
    assert (users.queue.running, users.queue.waiting) == (0, Waiting())


async def test_a_place_just_left_can_be_given_to_a_tenant_that_has_less() -> None:
    users = Users(FairQueue("m", Limits(1, 3, 100)))
    await filled(users, "flood", 4)
    leaving = asyncio.create_task(users.leave("flood3"))
    await users.come("b", Claim("b", 1))
    await leaving
    assert users.refusal("b") is None
    await users.end("flood0")
    assert users.begun == ["flood0", "b"]
    await users.end_all()
    assert (users.queue.running, users.queue.waiting) == (0, Waiting())


async def test_who_leaves_just_as_the_turn_comes_passes_it_on() -> None:
    users = Users(FairQueue("m", ROOMY))
    async with users.queue.turn(Claim("a")):
        await filled(users, "b", 2)
    await users.leave("b0")
    assert users.begun == ["b1"]
    await users.end_all()


CALLS = st.lists(
    st.tuples(
        st.sampled_from(["come", "end", "leave"]),
        st.sampled_from("abc"),
        st.integers(0, 50),
        st.integers(0, 30),
    ),
    max_size=60,
)


@given(calls=CALLS)
@settings(max_examples=150)
def test_whoever_comes_and_goes_no_turn_is_lost(
    calls: Sequence[tuple[str, str, int, int]],
) -> None:
    asyncio.run(_whoever_comes_and_goes(calls))


async def _whoever_comes_and_goes(calls: Sequence[tuple[str, str, int, int]]) -> None:
    limits = Limits(running=2, queued=5, queued_tokens=120)
    users, names = Users(FairQueue("m", limits)), list[str]()
    for what, tenant, tokens, which in calls:
        if what == "come":
            names.append(f"{tenant}{len(names)}")
            await users.come(names[-1], Claim(tenant, tokens, cost=1 + tokens, priority=which % 3))
        elif names:
            name = names[which % len(names)]
            await (users.end(name) if what == "end" else users.leave(name))
        waiting = users.queue.waiting
        assert users.queue.running <= limits.running
        assert waiting.requests <= limits.queued
        assert waiting.tokens <= limits.queued_tokens
        assert users.queue.running == limits.running or not waiting.requests
    await users.end_all()
    assert (users.queue.running, users.queue.waiting) == (0, Waiting())
    async with asyncio.timeout(PATIENCE_S), users.queue.turn(Claim("last")):
        pass
