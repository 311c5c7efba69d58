"""Starting again what has died: an engine, an embedder."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager, nullcontext
from typing import Generic, Protocol, TypeVar

from groundwire_index.errors import GroundwireError, UnavailableError

# How often it is looked at, which costs it nothing.
LOOK_S = 0.1
# The pause before the first new start, doubled for each that follows, up to the longest.
FIRST_PAUSE_S = 0.5
LONGEST_PAUSE_S = 60.0
# What has worked for so long begins with the first pause again.
LASTED_S = 60.0
# A new start takes some seconds at least.
_SOONEST_RETRY_S = 5.0

log = logging.getLogger(__name__)


class Mortal(Protocol):
    """What may die, and can then only be closed."""

    async def start(self) -> None:
        """Make it work. Called once."""
        ...

    async def check(self) -> None:
        """Raise UnavailableError if it has died. Cheap."""
        ...

    async def close(self) -> None:
        """Let go of everything. Idempotent; also after a start that was cut off."""
        ...


M = TypeVar("M", bound=Mortal)

Around = Callable[[], AbstractAsyncContextManager[None]]


class Supervision(Generic[M]):
    """One of a kind, in whose place a new one is put when it fails, as often as it takes."""

    def __init__(
        self,
        make: Callable[[], M],
        name: Callable[[M], str],
        *,
        reason: str,
        starting: Around = nullcontext,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        """``make`` gives one that has not been started, the same each time.

        ``name`` gives what people know one by, and ``reason`` that of the error while it is down.
        Each is started in ``starting``.
        """
        self.current = make()
        """The one that works, or was the last to do so."""
        self._make = make
        self._name = name(self.current)
        self._reason = reason
        self._starting = starting
        self._sleep = sleep
        self._now = now
        self._watching: asyncio.Task[None] | None = None
        # Why it is down, in words: an error that is raised again and again keeps every request.
        self._down = ""
        self._retry_after_s = 0.0
        self._pause_s = FIRST_PAUSE_S
        self._began = 0.0

    @property
    def is_down(self) -> bool:
        """Whether it has died, and no other is there yet."""
        return bool(self._down)

    async def start(self) -> None:
        """Start it. What keeps it from starting this first time is raised."""
        async with self._starting():
            await self.current.start()
        self._began = self._now()
        self._watching = asyncio.create_task(self._watch())

    def require_up(self) -> None:
        """Raise UnavailableError while it is down, with what is done about it."""
        if self._down:
            raise UnavailableError(
                self._down, reason=self._reason, retry_after_s=self._retry_after_s
            )

    async def check(self) -> None:
        """Raise UnavailableError if requests would fail now."""
        self.require_up()
        await self.current.check()

    async def close(self) -> None:
        """Stop, ending what still runs. Idempotent."""
        watching, self._watching = self._watching, None
        if watching is not None:
            watching.cancel()
            await asyncio.wait({watching})
        await self.current.close()

    async def _watch(self) -> None:
        while True:
            await self._sleep(LOOK_S)
            try:
                await self.current.check()
            except UnavailableError as error:
                await self._restart(error.message)

    async def _restart(self, why: str) -> None:
        if self._now() - self._began >= LASTED_S:
            self._pause_s = FIRST_PAUSE_S
        while True:
            pause_s, self._pause_s = self._pause_s, min(self._pause_s * 2, LONGEST_PAUSE_S)
            self._down = f"{self._name} is down and is started again in {pause_s:g} s: {why}"
            self._retry_after_s = max(pause_s, _SOONEST_RETRY_S)
            log.error("%s", self._down)
            await self._sleep(pause_s)
            fresh = self._make()
            try:
                async with self._starting():
                    await fresh.start()
            except GroundwireError as error:
                why = error.message
                await self._close(fresh)
            except Exception:
                why = "it could not be started; the log says why"
                log.exception("%s could not be started", self._name)
                await self._close(fresh)
            except BaseException:
                await fresh.close()
                raise
            else:
                break
        dead, self.current, self._down = self.current, fresh, ""
        self._began = self._now()
        log.info("%s works again", self._name)
        await self._close(dead)

    async def _close(self, mortal: M) -> None:
        """Let go of one in whose place another comes, whatever it says to that."""
        try:
            await mortal.close()
        except Exception:
            log.exception("what was left of %s could not be closed", self._name)
