"""An answer can be ended from outside, at any point, and only then."""

from __future__ import annotations

import asyncio

import pytest
from groundwire_server.grounding.abort import cancelled_by, was_aborted


async def test_a_task_is_cancelled_by_the_event_and_may_go_on() -> None:
    aborted = asyncio.Event()
    asyncio.get_running_loop().call_soon(aborted.set)
    with pytest.raises(asyncio.CancelledError), cancelled_by(aborted):
        await asyncio.Event().wait()
    assert was_aborted(aborted)
    await asyncio.sleep(0)


@pytest.mark.parametrize("turns", [0, 1])
async def test_an_event_that_comes_too_late_cancels_nothing(turns: int) -> None:
    aborted = asyncio.Event()
    with cancelled_by(aborted):
        await asyncio.sleep(0)
        aborted.set()
        for _ in range(turns):
            await asyncio.sleep(0)
    await asyncio.sleep(0)
    await asyncio.sleep(0)


async def test_a_client_that_leaves_while_it_is_aborted_has_left() -> None:
    aborted = asyncio.Event()
    outcome: list[bool] = []

    async def answer() -> None:
        try:
            with cancelled_by(aborted):
                await asyncio.Event().wait()
        except asyncio.CancelledError:
            outcome.append(was_aborted(aborted))
            raise

    task = asyncio.create_task(answer())
    await asyncio.sleep(0)
    aborted.set()
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    task.cancel()
    await asyncio.wait({task})
    assert task.cancelled()
    assert outcome == [False]
