"""What a whole answer is, and a count of tokens."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from groundwire.chat import Message, ToolCall
from groundwire.results.events import (
    Citation,
    Finished,
    FinishReason,
    Passage,
    TokenLogprob,
    citation,
    finish_reason,
    finished,
    logprobs,
    passage,
)
from groundwire.v1 import generate_service_pb2, generation_pb2


@dataclass(frozen=True, slots=True)
class Alternative:
    """A further answer of one request."""

    choice: int
    text: str
    finish_reason: FinishReason
    logprobs: tuple[TokenLogprob, ...]
    tool_calls: tuple[ToolCall, ...] = ()
    reasoning: str = ""


@dataclass(frozen=True, slots=True)
class Completion:
    """A whole answer."""

    text: str
    citations: tuple[Citation, ...]
    passages: tuple[Passage, ...]
    finished: Finished
    request_id: str
    model: str
    engine: str
    tool_calls: tuple[ToolCall, ...]
    reasoning: str
    logprobs: tuple[TokenLogprob, ...]
    alternatives: tuple[Alternative, ...]

    @property
    def message(self) -> Message:
        """The answer as a message, to go on with the chat."""
        return Message("assistant", self.text, self.tool_calls)


@dataclass(frozen=True, slots=True)
class TokenCount:
    """Tokens of an input; ``context_length`` is 0 for a model without a limit."""

    tokens: int
    model: str
    context_length: int


def completion(message: generate_service_pb2.CompleteResponse) -> Completion:
    """The answer of Complete."""
    return Completion(
        text=message.text,
        citations=tuple(citation(item) for item in message.citations),
        passages=tuple(passage(item) for item in message.passages),
        finished=finished(message.finished),
        request_id=message.request_id,
        model=message.model,
        engine=message.engine,
        tool_calls=_tool_calls(message.tool_calls),
        reasoning=message.reasoning,
        logprobs=logprobs(message.logprobs),
        alternatives=tuple(_alternative(item) for item in message.other_choices),
    )


def token_count(message: generate_service_pb2.CountTokensResponse) -> TokenCount:
    """The answer of CountTokens."""
    return TokenCount(message.token_count, message.model, message.context_length)


def _alternative(message: generate_service_pb2.CompletionChoice) -> Alternative:
    return Alternative(
        message.choice,
        message.text,
        finish_reason(message.finish_reason),
        logprobs(message.logprobs),
        _tool_calls(message.tool_calls),
        message.reasoning,
    )


def _tool_calls(messages: Iterable[generation_pb2.ToolCall]) -> tuple[ToolCall, ...]:
    return tuple(ToolCall(item.id, item.name, item.arguments) for item in messages)
