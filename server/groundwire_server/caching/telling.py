"""An answer as it is told to one of those who have it together."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from groundwire_server.engines.engine import FinishReason, Usage
from groundwire_server.engines.served_model import ServedModel
from groundwire_server.grounding.events import (
    AnswerEvent,
    CacheOutcome,
    Finished,
    Started,
    TextDelta,
)
from groundwire_server.grounding.request import AnswerRequest


class Telling:
    """Puts in an answer what is of one request, and knows what that has been told."""

    def __init__(self, request: AnswerRequest, model: ServedModel) -> None:
        self._request = request
        self._model = model
        self._started = False
        self._running = list(range(request.sampling.n))
        self._tokens = 0

    def of(self, event: AnswerEvent, outcome: CacheOutcome | None) -> AnswerEvent:
        """An event of the answer, which is from there."""
        match event:
            case TextDelta():
                self._tokens += event.token_count
            case Started():
                self._started = True
                return replace(event, request_id=self._request.request_id)
            case Finished():
                self._running.remove(event.choice)
                return replace(event, cache=outcome)
        return event

    def aborted(self) -> Iterator[AnswerEvent]:
        """What is left to say when the request was ended from outside."""
        if not self._started:
            yield Started(self._request.request_id, self._model.model, self._model.name)
        for choice in self._running:
            is_last = choice == self._running[-1]
            usage = Usage(completion_tokens=self._tokens if is_last else 0)
            yield Finished(FinishReason.ABORTED, usage, choice=choice)
