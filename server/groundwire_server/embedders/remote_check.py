"""Looking whether a server works, without asking it each time."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from groundwire_index.errors import GroundwireError, UnavailableError

# After the second failure in a row, doubled for each that follows, up to the longest.
_FIRST_PAUSE_S = 1.0
LONGEST_PAUSE_S = 10.0


class PacedCheck:
    """Asks less often the longer the answer is no, and not at all while it is known to be yes."""

    def __init__(
        self, ask: Callable[[], Awaitable[object]], period_s: float, clock: Callable[[], float]
    ) -> None:
        """``ask`` raises if the server does not work; that it does holds for ``period_s``."""
        self._ask = ask
        self._period_s = period_s
        self._clock = clock
        self._holds_until = float("-inf")
        self._failures = 0
        # In words: an error that is raised again and again keeps every call.
        self._why: tuple[str, str] | None = None

    def works(self) -> None:
        """It has just answered somebody."""
        self._why = None
        self._failures = 0
        self._holds_until = self._clock() + self._period_s

    async def __call__(self) -> None:
        """Raise what was found when it was last asked, or is found now."""
        if self._clock() < self._holds_until:
            if self._why is not None:
                message, reason = self._why
                raise UnavailableError(message, reason=reason)
            return
        try:
            await self._ask()
        except GroundwireError as error:
            self._why = error.message, error.reason
            self._failures += 1
            pause_s = min(_FIRST_PAUSE_S * 2 ** (self._failures - 2), LONGEST_PAUSE_S)
            self._holds_until = self._clock() + (pause_s if self._failures > 1 else 0.0)
            raise
        self.works()
