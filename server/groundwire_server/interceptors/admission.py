"""Decides whether a call may begin, before anything of an answer is sent."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from groundwire_index.errors import ResourceExhaustedError, UnavailableError

from groundwire_server.interceptors.method import Call, Context, Method


class Admission:
    """Counts calls in progress, and refuses new ones over the limit, or while it is closed.

    It is closed at first: the server is starting.
    """

    def __init__(self, max_concurrent_calls: int) -> None:
        self._limit = max_concurrent_calls
        self._running = 0
        self._idle = asyncio.Event()
        self._idle.set()
        self._refusal: Callable[[], UnavailableError] | None = _starting
        self._going_on: list[Callable[[], object]] = []
        self._is_over = False

    @property
    def running(self) -> int:
        """Calls in progress."""
        return self._running

    def open(self) -> None:
        """Admit calls from now on."""
        self._refusal = None

    def close(self) -> None:
        """Refuse new calls from now on: the server is stopping."""
        self._refusal = _stopping

    async def wait_idle(self, at_most_s: float) -> bool:
        """Wait until no call is in progress; whether that came to be in time."""
        try:
            async with asyncio.timeout(at_most_s):
                await self._idle.wait()
        except TimeoutError:
            return False
        return True

    @contextmanager
    def in_progress(self, cut_off: Callable[[], object]) -> Iterator[None]:
        """Count as a call what goes on after one has ended; ``cut_off`` ends it."""
        self._begin()
        self._going_on.append(cut_off)
        if self._is_over:
            cut_off()
        try:
            yield
        finally:
            self._going_on.remove(cut_off)
            self._leave()

    def cut_off(self) -> None:
        """End what is no call any more, and what will be none; whoever serves calls ends those."""
        self._is_over = True
        for cut_off in tuple(self._going_on):
            cut_off()

    def __call__(self, _: Method, call: Call) -> Call:
        """Intercept."""

        async def admitted(request: Any, context: Context) -> Any:
            self._enter()
            try:
                return await call(request, context)
            finally:
                self._leave()

        return admitted

    def _enter(self) -> None:
        if self._refusal is not None:
            raise self._refusal()
        if self._running >= self._limit:
            raise ResourceExhaustedError(
                f"{self._limit:,} calls are in progress, as many as the server takes",
                reason="TOO_MANY_CALLS",
            )
        self._begin()

    def _begin(self) -> None:
        self._running += 1
        self._idle.clear()

    def _leave(self) -> None:
        self._running -= 1
        if not self._running:
            self._idle.set()


def _starting() -> UnavailableError:
    return UnavailableError("the server is still starting", reason="STARTING")


def _stopping() -> UnavailableError:
    return UnavailableError("the server is stopping: try another", reason="STOPPING")
