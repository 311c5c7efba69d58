"""What of an answer waits for its reader, as little as can be."""

from __future__ import annotations

from collections import deque

from groundwire_server.engines.engine import TokenLogprob
from groundwire_server.grounding.events import AnswerEvent, TextDelta

# What a delta takes in memory besides its text, a logprob, and each of its alternatives; about.
_DELTA_BYTES = 64
_LOGPROB_BYTES = 200
_ALTERNATIVE_BYTES = 140
# A message of about this size is long enough: what is joined is held at once.
_LONGEST_RUN_BYTES = 64 * 2**10


class Backlog:
    """Events in order; deltas of one choice that meet in it are joined.

    Choices are independent: the text of one may come before what another said earlier.
    """

    def __init__(self) -> None:
        self._events: deque[AnswerEvent | _Run] = deque()
        # The last run of each choice, while nothing of that choice came after it.
        self._open: dict[int, _Run] = {}
        self.bytes = 0
        """What it takes in memory, about."""

    def __bool__(self) -> bool:
        return bool(self._events)

    def add(self, event: AnswerEvent) -> None:
        """Take the next event."""
        if isinstance(event, TextDelta):
            self._join(event)
        else:
            # Sources and what else is of no choice come before all text.
            self._open.pop(getattr(event, "choice", 0), None)
            self._events.append(event)

    def take(self) -> AnswerEvent:
        """Give the next event. There must be one."""
        event = self._events.popleft()
        if not isinstance(event, _Run):
            return event
        self.bytes -= event.bytes
        if self._open.get(event.choice) is event:
            del self._open[event.choice]
        return event.joined()

    def _join(self, delta: TextDelta) -> None:
        run = self._open.get(delta.choice)
        if run is None or run.bytes > _LONGEST_RUN_BYTES:
            run = self._open[delta.choice] = _Run(delta.choice)
            self._events.append(run)
        self.bytes += run.add(delta)


class _Run:
    """Deltas of one choice with nothing else of it between them."""

    __slots__ = ("_first", "_logprobs", "_texts", "_tokens", "bytes", "choice")

    def __init__(self, choice: int) -> None:
        self.choice = choice
        self.bytes = 0
        self._first: TextDelta | None = None
        self._texts: list[str] = []
        self._tokens = 0
        self._logprobs: list[TokenLogprob] = []

    def add(self, delta: TextDelta) -> int:
        """Take the next delta; what that takes in memory."""
        self._first = None if self._texts else delta
        self._texts.append(delta.text)
        self._tokens += delta.token_count
        self._logprobs += delta.logprobs
        taken = _DELTA_BYTES + len(delta.text) + sum(map(_logprob_bytes, delta.logprobs))
        self.bytes += taken
        return taken

    def joined(self) -> TextDelta:
        """All of them as one."""
        return self._first or TextDelta(
            "".join(self._texts), self._tokens, self.choice, tuple(self._logprobs)
        )


def _logprob_bytes(logprob: TokenLogprob) -> int:
    return _LOGPROB_BYTES + _ALTERNATIVE_BYTES * len(logprob.alternatives)
