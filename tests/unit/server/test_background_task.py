"""Work beside the calls: it ends when it is told to, and is found out when it ends by itself."""

from __future__ import annotations

import asyncio

import pytest
from groundwire_server.background_task import BackgroundTask


async def test_it_runs_until_it_is_closed() -> None:
    began, ended = asyncio.Event(), asyncio.Event()

    async def run() -> None:
        began.set()
        try:
            await asyncio.Future()
        finally:
            ended.set()

    task = BackgroundTask("work", run)
    await task.check()
    await task.start()
    await began.wait()
    await task.check()
    await task.close()
    assert ended.is_set()
    await task.close()


async def test_what_ends_it_is_raised_when_it_is_checked_and_when_it_is_closed() -> None:
    ended = asyncio.Event()

    async def run() -> None:
        ended.set()
        raise RuntimeError("a bug")

    task = BackgroundTask("work", run)
    await task.start()
    await ended.wait()
    await asyncio.sleep(0)
    with pytest.raises(RuntimeError, match="a bug"):
        await task.check()
    with pytest.raises(RuntimeError, match="a bug"):
        await task.close()
    await task.close()


async def test_whoever_closes_it_can_be_cancelled() -> None:
    stopping, may_stop = asyncio.Event(), asyncio.Event()

    async def run() -> None:
        try:
            await asyncio.Future()
        finally:
            stopping.set()
            await may_stop.wait()

    task = BackgroundTask("work", run)
    await task.start()
    await asyncio.sleep(0)
    closing = asyncio.create_task(task.close())
    await stopping.wait()
    closing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await closing
    may_stop.set()
