"""What of an answer waits for its reader, in as few messages as can be."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import replace
from typing import cast

from groundwire_server.engines.engine import TokenLogprob
from groundwire_server.grounding.events import (
    AnswerEvent,
    ReasoningDelta,
    TextDelta,
    ToolCallDelta,
)

_Delta = TextDelta | ReasoningDelta | ToolCallDelta

# What a delta takes in memory besides its text, a logprob, and each of its alternatives; about.
_DELTA_BYTES = 130
_LOGPROB_BYTES = 200
_ALTERNATIVE_BYTES = 140
# A message of about this size is long enough: what is joined is held at once.
_LONGEST_RUN_BYTES = 64 * 2**10


class Backlog:
    """Events in order; deltas of one choice that continue one another are joined.

    Choices are independent: the text of one may come before what another said earlier.
    """

    def __init__(self) -> None:
        # What waits when nothing else does, as is usual: then there is nothing to join it to.
        self._alone: AnswerEvent | None = None
        self._events: deque[AnswerEvent | _Run] = deque()
        # The last run of each choice, while nothing of that choice came after it.
        self._open: dict[int, _Run] = {}
        self.bytes = 0
        """What the deltas take in memory, about; 0 while no more than one event waits."""

    def __bool__(self) -> bool:
        return self._alone is not None or bool(self._events)

    def add(self, event: AnswerEvent) -> None:
        """Take the next event."""
        if self._alone is not None:
            first, self._alone = self._alone, None
            self._append(first)
            self._append(event)
        elif self._events:
            self._append(event)
        else:
            self._alone = event

    def take(self) -> AnswerEvent:
        """Give the next event. There must be one."""
        if self._alone is not None:
            alone, self._alone = self._alone, None
            return alone
        event = self._events.popleft()
        if not isinstance(event, _Run):
            return event
        self.bytes -= event.bytes
        choice = event.deltas[0].choice
        if self._open.get(choice) is event:
            del self._open[choice]
        return event.joined()

    def _append(self, event: AnswerEvent) -> None:
        if isinstance(event, _Delta):
            self._add_delta(event)
        else:
            # What is of no choice, such as the sources, comes before all text.
            self._open.pop(getattr(event, "choice", 0), None)
            self._events.append(event)

    def _add_delta(self, delta: _Delta) -> None:
        run = self._open.get(delta.choice)
        if run is None or not run.goes_on_with(delta):
            run = self._open[delta.choice] = _Run()
            self._events.append(run)
        size = _bytes_of(delta)
        run.deltas.append(delta)
        run.bytes += size
        self.bytes += size


class _Run:
    """Deltas of one choice that continue one another. Never empty when it is read."""

    __slots__ = ("bytes", "deltas")

    def __init__(self) -> None:
        self.deltas: list[_Delta] = []
        self.bytes = 0

    def goes_on_with(self, delta: _Delta) -> bool:
        """Whether a delta of its choice can be part of it."""
        first = self.deltas[0]
        if type(delta) is not type(first) or self.bytes > _LONGEST_RUN_BYTES:
            return False
        # The pieces of text are tuples, which have an `index` that is a method.
        return (
            not isinstance(delta, ToolCallDelta) or delta.index == cast(ToolCallDelta, first).index
        )

    def joined(self) -> AnswerEvent:
        """All of them as one."""
        return self.deltas[0] if len(self.deltas) == 1 else _joined(self.deltas)


def _joined(deltas: Sequence[_Delta]) -> _Delta:
    match deltas[0]:
        case TextDelta(choice=choice):
            texts = [delta for delta in deltas if isinstance(delta, TextDelta)]
            return TextDelta(
                "".join(delta.text for delta in texts),
                sum(delta.token_count for delta in texts),
                choice,
                tuple(logprob for delta in texts for logprob in delta.logprobs),
            )
        case ReasoningDelta() as first:
            said = (delta.text for delta in deltas if isinstance(delta, ReasoningDelta))
            return replace(first, text="".join(said))
        case ToolCallDelta() as first:
            pieces = (delta.arguments for delta in deltas if isinstance(delta, ToolCallDelta))
            return replace(first, arguments="".join(pieces))


def _bytes_of(delta: _Delta) -> int:
    if isinstance(delta, TextDelta):
        logprobs = sum(map(_logprob_bytes, delta.logprobs)) if delta.logprobs else 0
        return _DELTA_BYTES + len(delta.text) + logprobs
    said = delta.text if isinstance(delta, ReasoningDelta) else delta.arguments
    return _DELTA_BYTES + len(said)


def _logprob_bytes(logprob: TokenLogprob) -> int:
    return _LOGPROB_BYTES + _ALTERNATIVE_BYTES * len(logprob.alternatives)
