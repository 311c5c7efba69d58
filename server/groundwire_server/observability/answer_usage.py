"""What an answer uses."""

from __future__ import annotations

from groundwire_server.grounding.events import AnswerEvent, Finished, Started
from groundwire_server.usage.call import CallUsage


class AnswerUsage:
    """Notes it, of the model that answers; of one that never begins, for that which was asked."""

    def __init__(self, used: CallUsage, model: str) -> None:
        used.generates(model)
        self._used = used
        self._was_found = False

    def on_first_token(self) -> None:
        """Nothing is used by that."""

    def on(self, event: AnswerEvent) -> None:
        """Take note of an event."""
        match event:
            case Started():
                self._used.generates(event.model)
            case Finished(usage=usage, cache=cache):
                if cache is not None and not self._was_found:
                    self._was_found = True
                    self._used.answer_found()
                # The last one has the tokens of all choices, unless the answer was aborted.
                self._used.prompted(usage.prompt_tokens or self._used.prompt_tokens)
                self._used.completion_tokens = (
                    usage.completion_tokens or self._used.completion_tokens
                )
                self._used.confidence = event.confidence

    def end(self, code: str) -> None:
        """How it has ended is seen by who counts the call."""
