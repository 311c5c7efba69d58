"""An end for calls that stand still, instead of one for calls that take long.

A large file may be ingested for an hour. As long as its bytes go out and progress comes in,
nothing is wrong; only when neither happens for a while is there nothing to wait for.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import TypeVar

from groundwire.errors import DeadlineExceededError, GroundwireError

T = TypeVar("T")


class Silence:
    """How long nothing may move in a call, in seconds; None is for ever."""

    def __init__(self, at_most: float | None) -> None:
        self._at_most = at_most
        self._broken = threading.Event()
        self._is_put_off = False
        self._is_over = False
        self._was_too_long = False

    def broken_by(self, messages: Iterator[T]) -> Iterator[T]:
        """The messages; each lets the time begin again."""
        for message in messages:
            self._broken.set()
            yield message

    @contextmanager
    def put_off(self) -> Iterator[None]:
        """The time that the caller takes is none that the call takes."""
        self._is_put_off = True
        try:
            yield
        finally:
            # In this order, which the watch reads the other way round.
            self._broken.set()
            self._is_put_off = False

    @contextmanager
    def ends(self, cancel: Callable[[], object]) -> Iterator[None]:
        """Cancel the call if the silence lasts too long, which is a DeadlineExceededError."""
        watch = threading.Thread(target=self._watch, args=(cancel,), daemon=True)
        watch.start()
        try:
            yield
        except GroundwireError as error:
            if self._was_too_long:
                raise _too_long() from error
            raise
        finally:
            self._is_over = True
            self._broken.set()
            watch.join()

    def _watch(self, cancel: Callable[[], object]) -> None:
        while self._broken.wait(self._at_most) or self._is_put_off or self._broken.is_set():
            # Cleared before the look, so that the end is never missed.
            self._broken.clear()
            if self._is_over:
                return
        self._was_too_long = True
        cancel()


class AsyncSilence:
    """The same on an event loop: ``async with`` it around the call."""

    def __init__(self, at_most: float | None) -> None:
        self._at_most = at_most
        self._timeout = asyncio.timeout(at_most)
        self._is_put_off = False
        self._is_over = False

    async def broken_by(self, messages: AsyncIterator[T]) -> AsyncIterator[T]:
        """The messages; each lets the time begin again."""
        async for message in messages:
            self._begin_again()
            yield message

    @contextmanager
    def put_off(self) -> Iterator[None]:
        """The time that the caller takes is none that the call takes."""
        self._is_put_off = True
        if not self._timeout.expired():
            self._timeout.reschedule(None)
        try:
            yield
        finally:
            self._is_put_off = False
            self._begin_again()

    async def __aenter__(self) -> None:
        await self._timeout.__aenter__()

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._is_over = True
        try:
            await self._timeout.__aexit__(kind, error, trace)
        except TimeoutError:
            raise _too_long() from error

    def _begin_again(self) -> None:
        # A piece of the file may be asked for after the end of the call, and comes to nothing.
        if self._is_over or self._is_put_off or self._timeout.expired():
            return
        if self._at_most is not None:
            self._timeout.reschedule(asyncio.get_running_loop().time() + self._at_most)


def _too_long() -> DeadlineExceededError:
    return DeadlineExceededError(
        "no byte was taken and no progress reported for as long as timeout= allows: the server "
        "has too much to do, or a file that takes it long; allow it more, and ingest again"
    )
