"""Joining text that waits for a slow reader, so that an engine does not wait for one."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing

from groundwire_server.grounding.events import AnswerEvent
from groundwire_server.services.backlog import Backlog
from groundwire_server.slow_reader import SlowReaderError

# What may wait of one answer, in bytes, before its engine has to: a text as long as a book, or
# some hundred tokens of sixteen choices with every alternative.
MOST_WAITING_BYTES = 4 * 2**20


def _ends(reader: asyncio.Task[None]) -> bool:
    """Nobody has answers finished that nobody reads."""
    del reader
    return False


async def coalesced(
    events: AsyncGenerator[AnswerEvent, None],
    *,
    patience_s: float,
    most_waiting_bytes: int = MOST_WAITING_BYTES,
    is_kept: Callable[[asyncio.Task[None]], bool] = _ends,
) -> AsyncGenerator[AnswerEvent, None]:
    """The same events; text deltas of one choice that wait behind one another come as one.

    Events are read as fast as they are made, by a task of its own that ends with this
    generator; what else cancels that task is thrown into ``events``. A delta with nothing before
    it is given at once. No more than ``most_waiting_bytes`` wait; if the reader has not made room
    after ``patience_s``, SlowReaderError comes after what is there, and the engine is free by then.

    When this generator is closed before its end, ``is_kept`` is given that task: if it is true,
    the task goes on to the end of ``events``, which nobody reads, and whoever says so sees to it.
    """
    backlog = Backlog()
    loop = asyncio.get_running_loop()
    # Not an `asyncio.Event`: of all that is done for a token, that would be a tenth.
    changed: asyncio.Future[None] = loop.create_future()
    room = asyncio.Event()
    closing = left = False

    def tell(_: object = None) -> None:
        if not changed.done():
            changed.set_result(None)

    async def read() -> None:
        async with aclosing(events):
            async for event in events:
                if left:
                    continue
                backlog.add(event)
                tell()
                if backlog.bytes <= most_waiting_bytes:
                    continue
                try:
                    await make_room()
                except asyncio.CancelledError as ended:
                    if closing:
                        raise
                    # So an answer ends itself, when it is aborted or out of time: it has to know.
                    backlog.add(await events.athrow(ended))
                    tell()

    async def make_room() -> None:
        room.clear()
        try:
            async with asyncio.timeout(patience_s):
                await room.wait()
        except TimeoutError:
            raise SlowReaderError(patience_s) from None

    reader = asyncio.create_task(read())
    reader.add_done_callback(tell)
    try:
        while not reader.done() or backlog:
            await changed
            changed = loop.create_future()
            while backlog:
                yield backlog.take()
                if backlog.bytes <= most_waiting_bytes:
                    room.set()
        reader.result()
    finally:
        closing = True
        if not reader.done() and is_kept(reader):
            left = True
            room.set()
        else:
            reader.cancel()
            await asyncio.wait({reader})
            if not reader.cancelled():
                # Retrieved, so that nothing is reported twice.
                reader.exception()
