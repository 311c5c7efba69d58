"""Where the time of one request goes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from groundwire_server.grounding.events import Timings
from groundwire_server.tracing import part

Clock = Callable[[], float]


class Stopwatch:
    """Times the phases of one request on a monotonic clock, in seconds."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._start = clock()
        self._phases: dict[str, float] = {}
        self._engine_start: float | None = None
        self._first_token: float | None = None
        self._last_token: float | None = None

    @contextmanager
    def phase(self, name: str) -> Iterator[None]:
        """Time a phase: "embed" or "retrieve"."""
        start = self._clock()
        try:
            with part(name):
                yield
        finally:
            self._phases[name] = self._phases.get(name, 0.0) + self._clock() - start

    def engine_started(self) -> None:
        """The engine has the request."""
        self._engine_start = self._clock()

    def token(self) -> None:
        """The engine gave text."""
        self._last_token = self._clock()
        if self._first_token is None:
            self._first_token = self._last_token

    @property
    def latency_s(self) -> float:
        """From the request to the last token so far, or to now without one."""
        end = self._clock() if self._last_token is None else self._last_token
        return end - self._start

    def timings(self, queue_s: float | None = None) -> Timings:
        """What was measured; ``queue_s`` is the engine's own, and no part of prefill."""
        prefill = decode = None
        if self._engine_start is not None and self._first_token is not None:
            prefill = max(0.0, self._first_token - self._engine_start - (queue_s or 0.0))
        if self._first_token is not None and self._last_token is not None:
            decode = self._last_token - self._first_token
        return Timings(
            queue_s=queue_s,
            embed_s=self._phases.get("embed"),
            retrieve_s=self._phases.get("retrieve"),
            prefill_s=prefill,
            decode_s=decode,
        )
