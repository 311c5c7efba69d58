"""Events of an answer, gathered into one message."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from groundwire.v1 import generate_service_pb2, generation_pb2

from groundwire_server.grounding.events import (
    AnswerEvent,
    CitationAdded,
    Finished,
    ReasoningDelta,
    Sources,
    Started,
    TextDelta,
    ToolCallDelta,
)
from groundwire_server.services.generation_events import (
    FINISH_REASONS,
    citation_message,
    finished_message,
    logprob_message,
    passage_message,
)


class Gathered:
    """One answer, gathered from its events."""

    def __init__(self) -> None:
        self._answer = generate_service_pb2.CompleteResponse()
        self._choices: dict[int, _Choice] = {}
        self._finished: dict[int, Finished] = {}
        self._last: Finished | None = None

    def add(self, event: AnswerEvent) -> None:
        """Take the next event."""
        match event:
            case TextDelta() | ReasoningDelta() | ToolCallDelta():
                self._choice(event.choice).add(event)
            case CitationAdded(choice=0):
                self._answer.citations.append(citation_message(event))
            case Started():
                self._answer.request_id = event.request_id
                self._answer.model = event.model
                self._answer.engine = event.engine
            case Sources():
                self._answer.passages.extend(map(passage_message, event.passages))
            case Finished():
                self._finished[event.choice] = self._last = event

    def message(self) -> generate_service_pb2.CompleteResponse:
        """The whole answer, after the last event."""
        answer = self._answer
        first = self._choice(0)
        answer.text = first.text
        answer.reasoning = first.reasoning
        answer.tool_calls.extend(first.tool_calls)
        answer.logprobs.extend(first.logprobs)
        if self._last is not None:
            # What is told once for all choices is told by the one that ends last.
            finished = replace(
                self._last,
                finish_reason=self._finished[0].finish_reason,
                confidence=self._finished[0].confidence,
                dropped_citations=self._finished[0].dropped_citations,
            )
            answer.finished.CopyFrom(finished_message(finished))
        answer.other_choices.extend(map(self._other, sorted(set(self._finished) - {0})))
        return answer

    def _choice(self, number: int) -> _Choice:
        return self._choices.setdefault(number, _Choice())

    def _other(self, number: int) -> generate_service_pb2.CompletionChoice:
        choice = self._choice(number)
        return generate_service_pb2.CompletionChoice(
            choice=number,
            text=choice.text,
            finish_reason=FINISH_REASONS[self._finished[number].finish_reason],
            logprobs=choice.logprobs,
            tool_calls=choice.tool_calls,
            reasoning=choice.reasoning,
        )


@dataclass(slots=True)
class _Choice:
    """The deltas of one choice."""

    texts: list[TextDelta] = field(default_factory=list)
    thoughts: list[str] = field(default_factory=list)
    calls: dict[int, list[ToolCallDelta]] = field(default_factory=dict)

    def add(self, delta: TextDelta | ReasoningDelta | ToolCallDelta) -> None:
        match delta:
            case TextDelta():
                self.texts.append(delta)
            case ReasoningDelta():
                self.thoughts.append(delta.text)
            case ToolCallDelta():
                self.calls.setdefault(delta.index, []).append(delta)

    @property
    def text(self) -> str:
        return "".join(delta.text for delta in self.texts)

    @property
    def reasoning(self) -> str:
        return "".join(self.thoughts)

    @property
    def logprobs(self) -> list[generation_pb2.TokenLogprob]:
        return [logprob_message(one) for delta in self.texts for one in delta.logprobs]

    @property
    def tool_calls(self) -> list[generation_pb2.ToolCall]:
        return [
            generation_pb2.ToolCall(
                id=pieces[0].id,
                name=pieces[0].name,
                arguments="".join(piece.arguments for piece in pieces),
            )
            for _, pieces in sorted(self.calls.items())
        ]
