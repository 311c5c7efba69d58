"""SIGTERM and SIGINT: the first asks the server to stop, the second ends it at once."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from typing import Any

SIGNALS = (signal.SIGTERM, signal.SIGINT)

log = logging.getLogger(__name__)


@contextmanager
def stop_signals() -> Iterator[asyncio.Event]:
    """Handle the signals on the running loop; the event is set by the first."""
    loop = asyncio.get_running_loop()
    stopping = asyncio.Event()

    def on_signal(number: signal.Signals) -> None:
        if stopping.is_set():
            _end_by(number)
        log.info("stopping: %s", number.name)
        stopping.set()

    for number in SIGNALS:
        loop.add_signal_handler(number, on_signal, number)
    try:
        yield stopping
    finally:
        for number in SIGNALS:
            loop.remove_signal_handler(number)


async def run_until(stopping: asyncio.Event, work: Coroutine[Any, Any, None]) -> bool:
    """Run the work to its end, or until the event is set, which cancels it.

    Returns whether it ended by itself; raises what it raises.
    """
    task = asyncio.create_task(work)
    stopped = asyncio.create_task(stopping.wait())
    try:
        await asyncio.wait((task, stopped), return_when=asyncio.FIRST_COMPLETED)
        return task.done() and task.result() is None
    finally:
        task.cancel()
        stopped.cancel()
        await asyncio.wait((task, stopped))


def _end_by(number: signal.Signals) -> None:
    signal.signal(number, signal.SIG_DFL)
    os.kill(os.getpid(), number)
