"""Doing for sessions what nobody waits for: one at a time, now and then, again after a failure."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from enum import Enum

from groundwire_index.errors import (
    GroundwireError,
    NotFoundError,
    ResourceExhaustedError,
    UnavailableError,
)

from groundwire_server.background_task import BackgroundTask
from groundwire_server.memory.due import Due, Named

log = logging.getLogger(__name__)

BUSY_S = 1.0
"""After which it is tried again where a model has too much to do."""
RETRY_S, LONGEST_RETRY_S = 30.0, 3600.0
"""What fails for a session is tried again after so long, then after twice as long."""
PAUSE_S, LONGEST_PAUSE_S = 1.0, 300.0
"""The same, for whatever fails for everybody: a model or a store that is down."""
REST = 4.0
"""It rests so many times as long as it has worked."""

_WORTH_REMEMBERING = 10_000


class Done(Enum):
    """What came of looking at a session."""

    NOTHING = "nothing"
    """There was nothing to do."""
    MADE = "made"
    AGAIN = "again"
    """The same, and there is more to do."""
    BUSY = "busy"
    """Somebody who waits comes first."""


Work = Callable[[Named], Awaitable[Done]]


class Background(BackgroundTask):
    """Works off what is due, from `start` to `close`.

    What is half done then is done anew after the next start.
    """

    def __init__(
        self,
        name: str,
        due: Due,
        work: Work,
        *,
        on_done: Callable[[str], None] = lambda _: None,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        """``on_done`` is told of "made" and "failed"."""
        super().__init__(name, self._go_on)
        self._due = due
        self._work = work
        self._on_done = on_done
        self._sleep = sleep
        self._now = now
        self._failures: dict[Named, int] = {}
        self._failures_in_a_row = 0

    async def _go_on(self) -> None:
        while True:
            named = await self._due.next()
            began = self._now()
            await self._sleep(await self._look_at(named) or REST * (self._now() - began))

    async def _look_at(self, named: Named) -> float | None:
        """Do what is due; how long to pause, if not as usual."""
        try:
            done = await self._work(named)
        except NotFoundError:
            # It was deleted meanwhile.
            self._failures.pop(named, None)
            return None
        except (GroundwireError, TimeoutError) as error:
            return self._failed(named, error)
        self._failures_in_a_row = 0
        self._failures.pop(named, None)
        if done is Done.BUSY:
            self._due.put_off(named, BUSY_S)
        elif done is not Done.NOTHING:
            self._on_done(Done.MADE.value)
        if done is Done.AGAIN:
            self._due.note(named.tenant, named.session_id)
        return None

    def _failed(self, named: Named, error: GroundwireError | TimeoutError) -> float | None:
        self._on_done("failed")
        log.info("%s of session %s has failed: %s", self.name, named.session_id, error)
        tries = self._failures.pop(named, 0)
        if len(self._failures) < _WORTH_REMEMBERING:
            self._failures[named] = tries + 1
        self._due.put_off(named, _doubled(RETRY_S, tries, LONGEST_RETRY_S))
        if not isinstance(error, (UnavailableError, ResourceExhaustedError, TimeoutError)):
            return None
        pause = _doubled(PAUSE_S, self._failures_in_a_row, LONGEST_PAUSE_S)
        self._failures_in_a_row += 1
        return pause


def _doubled(seconds: float, times: int, longest: float) -> float:
    return min(seconds * 2.0 ** min(times, 32), longest)
