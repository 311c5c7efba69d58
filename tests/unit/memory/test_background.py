"""Work that nobody waits for: what fails is done again, more and more rarely."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest
from groundwire_index.errors import DataLossError, GroundwireError, NotFoundError, UnavailableError
from groundwire_server.memory.background import (
    BUSY_S,
    PAUSE_S,
    REST,
    RETRY_S,
    Background,
    Done,
)
from groundwire_server.memory.due import Due, Named

S = Named("t", "s")


class Recorded(Due):
    """Puts nothing off, and says for how long it would have."""

    def __init__(self) -> None:
        super().__init__()
        self.put_off_for: list[float] = []

    def put_off(self, named: Named, seconds: float) -> None:
        self.put_off_for.append(seconds)
        self.note(named.tenant, named.session_id)


async def worked(
    *script: Done | GroundwireError | TimeoutError,
) -> tuple[Recorded, list[float], list[str]]:
    """Work by a script; what was put off, the pauses, and what was counted."""
    due, pauses, counted, left = Recorded(), [], [], list(script)
    over = asyncio.Event()
    clock = [0.0]

    async def work(named: Named) -> Done:
        assert named == S
        clock[0] += 2.0
        if not left:
            over.set()
            await asyncio.Event().wait()
        step = left.pop(0)
        if isinstance(step, Done):
            return step
        raise step

    async def sleep(seconds: float) -> None:
        pauses.append(seconds)
        due.note(S.tenant, S.session_id)
        await asyncio.sleep(0)

    background = Background(
        "work", due, work, on_done=counted.append, sleep=sleep, now=lambda: clock[0]
    )
    due.note(S.tenant, S.session_id)
    await background.start()
    await over.wait()
    await background.check()
    await background.close()
    await background.close()
    return due, pauses, counted


async def test_it_rests_longer_than_it_has_worked() -> None:
    due, pauses, counted = await worked(Done.MADE, Done.NOTHING)
    assert pauses == [2 * REST, 2 * REST]
    assert counted == ["made"]
    assert due.put_off_for == []


async def test_what_fails_for_a_session_is_put_off_for_longer_each_time() -> None:
    damaged = DataLossError("damaged")
    due, pauses, counted = await worked(damaged, damaged, damaged, Done.MADE, damaged)
    assert due.put_off_for == [RETRY_S, 2 * RETRY_S, 4 * RETRY_S, RETRY_S]
    assert pauses == [2 * REST] * 5
    assert counted == ["failed", "failed", "failed", "made", "failed"]


@pytest.mark.parametrize("error", [UnavailableError("the model is down"), TimeoutError()])
async def test_what_fails_for_everybody_is_left_alone_for_longer_each_time(
    error: GroundwireError | TimeoutError,
) -> None:
    _, pauses, _ = await worked(error, error, error, Done.NOTHING, error)
    assert pauses == [PAUSE_S, 2 * PAUSE_S, 4 * PAUSE_S, 2 * REST, PAUSE_S]


async def test_it_does_not_wait_for_ever() -> None:
    errors: Sequence[GroundwireError] = [UnavailableError("down")] * 40
    due, pauses, _ = await worked(*errors)
    assert max(pauses) == 300
    assert max(due.put_off_for) == 3600


async def test_a_session_that_is_gone_is_no_failure() -> None:
    due, pauses, counted = await worked(NotFoundError("gone"))
    assert (due.put_off_for, pauses, counted) == ([], [2 * REST], [])


async def test_somebody_who_waits_comes_first() -> None:
    due, _, counted = await worked(Done.BUSY)
    assert (due.put_off_for, counted) == ([BUSY_S], [])
