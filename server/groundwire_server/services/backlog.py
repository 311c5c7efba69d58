"""What of an answer waits for its reader, as little as can be."""

from __future__ import annotations

from collections import deque
from dataclasses import replace

from groundwire_server.engines.engine import TokenLogprob
from groundwire_server.grounding.events import (
    AnswerEvent,
    ReasoningDelta,
    TextDelta,
    ToolCallDelta,
)

Delta = TextDelta | ReasoningDelta | ToolCallDelta

# What a delta takes in memory besides its text, a logprob, and each of its alternatives; about.
_DELTA_BYTES = 64
_LOGPROB_BYTES = 200
_ALTERNATIVE_BYTES = 140
# A message of about this size is long enough: what is joined is held at once.
_LONGEST_RUN_BYTES = 64 * 2**10


class Backlog:
    """Events in order; deltas of one choice and one kind that meet in it are joined.

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
        if isinstance(event, Delta):
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

    def _join(self, delta: Delta) -> None:
        run = self._open.get(delta.choice)
        if run is None or run.bytes > _LONGEST_RUN_BYTES or not run.takes(delta):
            run = self._open[delta.choice] = _Run(delta)
            self._events.append(run)
        self.bytes += run.add(delta)


class _Run:
    """Deltas of one choice and one kind, with nothing else of it between them."""

    __slots__ = ("_first", "_logprobs", "_texts", "_tokens", "bytes", "choice")

    def __init__(self, first: Delta) -> None:
        self.choice = first.choice
        self.bytes = 0
        self._first = first
        self._texts: list[str] = []
        self._tokens = 0
        self._logprobs: list[TokenLogprob] = []

    def takes(self, delta: Delta) -> bool:
        """Whether a delta goes on with what the first began."""
        if isinstance(delta, ToolCallDelta):
            return isinstance(self._first, ToolCallDelta) and delta.index == self._first.index
        return type(delta) is type(self._first)

    def add(self, delta: Delta) -> int:
        """Take the next delta; what that takes in memory."""
        text = delta.arguments if isinstance(delta, ToolCallDelta) else delta.text
        taken = _DELTA_BYTES + len(text)
        self._texts.append(text)
        if isinstance(delta, TextDelta):
            self._tokens += delta.token_count
            self._logprobs += delta.logprobs
            taken += sum(map(_logprob_bytes, delta.logprobs))
        self.bytes += taken
        return taken

    def joined(self) -> Delta:
        """All of them as one."""
        if len(self._texts) == 1:
            return self._first
        text = "".join(self._texts)
        match self._first:
            case TextDelta():
                return TextDelta(text, self._tokens, self.choice, tuple(self._logprobs))
            case ReasoningDelta():
                return ReasoningDelta(text, self.choice)
            case ToolCallDelta():
                return replace(self._first, arguments=text)


def _logprob_bytes(logprob: TokenLogprob) -> int:
    return _LOGPROB_BYTES + _ALTERNATIVE_BYTES * len(logprob.alternatives)
