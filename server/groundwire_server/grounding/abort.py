"""Ending the running task of an answer when someone asks for it."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def cancelled_by(aborted: asyncio.Event) -> Iterator[None]:
    """Cancel the current task when the event is set, wherever in the block it is."""
    task = asyncio.current_task()
    if task is None:
        raise RuntimeError("an answer is read by a task")
    inside = True

    def cancel(watcher: asyncio.Task[object]) -> None:
        if inside and not watcher.cancelled():
            task.cancel()

    watcher: asyncio.Task[object] = asyncio.create_task(aborted.wait())
    watcher.add_done_callback(cancel)
    try:
        yield
    finally:
        inside = False
        watcher.cancel()


def was_aborted(aborted: asyncio.Event) -> bool:
    """Whether the cancellation just caught came from the event, and from nothing besides.

    Takes it back if so: the task may go on.
    """
    task = asyncio.current_task()
    return aborted.is_set() and task is not None and task.uncancel() == 0
