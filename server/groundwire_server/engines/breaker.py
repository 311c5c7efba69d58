"""A circuit breaker: a model that keeps failing is left alone for a while, then tried again.

The states are those of Nygard, "Release It!" (2007). It is ours because the outcome of a request
is known long before the request ends, with its first token, which no library's shape fits.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from enum import Enum

from groundwire_index.errors import UnavailableError


class BreakerState(Enum):
    """What becomes of the next request."""

    CLOSED = "closed"
    """The model gets it."""
    OPEN = "open"
    """It is refused."""
    HALF_OPEN = "half_open"
    """The model gets it, alone: others are refused until it has an outcome."""


class Breaker:
    """The breaker of one model. Used on one event loop."""

    def __init__(
        self,
        model: str,
        *,
        failures: int = 5,
        open_s: float = 5.0,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        """Open for ``open_s`` seconds after so many failures with no success between them."""
        self._model = model
        self._limit = failures
        self._open_s = open_s
        self._now = now
        self._failures = 0
        self._last = ""
        self._opened: float | None = None
        self._trying = False

    @property
    def state(self) -> BreakerState:
        """What becomes of the next request."""
        if self._opened is None:
            return BreakerState.CLOSED
        return BreakerState.OPEN if self._left_s() > 0 else BreakerState.HALF_OPEN

    def check(self) -> None:
        """Raise UnavailableError while it is open, with what happened last."""
        if self.state is BreakerState.OPEN:
            raise self._refused(self._left_s())

    @contextmanager
    def attempt(self) -> Iterator[Callable[[], None]]:
        """Give the model one request, for as long as the block lasts.

        UnavailableError from the block is a failure; the callable that this gives is called when
        the model has shown that it works. Raises UnavailableError in place of a block.
        """
        self.check()
        trial = self.state is BreakerState.HALF_OPEN
        if trial and self._trying:
            raise self._refused(self._open_s)
        self._trying = self._trying or trial

        def works() -> None:
            nonlocal trial
            self._failures = 0
            self._opened = None
            # It may go on for long: whatever comes of it then, the trial is over.
            if trial:
                trial = self._trying = False

        try:
            yield works
        except UnavailableError as error:
            self._failed(error, at_once=trial)
            raise
        finally:
            if trial:
                self._trying = False

    def _failed(self, error: UnavailableError, *, at_once: bool) -> None:
        self._failures += 1
        self._last = error.message
        if at_once or self._failures >= self._limit:
            self._opened = self._now()

    def _left_s(self) -> float:
        """Seconds for which it stays open."""
        return 0.0 if self._opened is None else self._opened + self._open_s - self._now()

    def _refused(self, retry_after_s: float) -> UnavailableError:
        return UnavailableError(
            f'"{self._model}" has failed {self._failures} times and is left alone for a moment; '
            f"the last time: {self._last}",
            reason="BREAKER_OPEN",
            retry_after_s=retry_after_s,
        )
