"""The events of a stream of the OpenAI API as the events of an engine."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from groundwire_index.errors import FailedPreconditionError, UnavailableError

from groundwire_server.engines.engine import (
    ChoiceEnd,
    EngineEvent,
    FinishReason,
    GenerationEnd,
    ReasoningPiece,
    TextPiece,
    TokenLogprob,
    ToolCallPiece,
    Usage,
)
from groundwire_server.engines.forced_calls import new_call_id

_FINISH_REASONS = {
    "stop": FinishReason.STOP,
    "repetition": FinishReason.STOP,
    "length": FinishReason.LENGTH,
    "tool_calls": FinishReason.TOOL_CALLS,
}


class ChoiceStreams:
    """The choices of one answer, streamed or told apart by their numbers."""

    def __init__(self, n: int, *, counts_pieces: bool) -> None:
        """``counts_pieces``: each event says how many tokens its choice has by then."""
        self._choices = [_ChoiceStream(number) for number in range(n)]
        self._counts_pieces = counts_pieces
        self._usage: Mapping[str, Any] = {}

    def add(self, event: Any) -> Iterator[EngineEvent]:
        """The events of one JSON object. Raises UnavailableError for one of another shape."""
        try:
            yield from self._read(event)
        except (KeyError, IndexError, TypeError, AttributeError, ValueError) as error:
            raise UnavailableError(
                f"the model's server sent an event that is not as the OpenAI API has it: {error!r}",
                reason="REMOTE_PROTOCOL",
            ) from error

    def end(self) -> GenerationEnd:
        """The last event. Raises UnavailableError if a choice has not ended: it was cut off."""
        missing = [choice.number for choice in self._choices if not choice.ended]
        if missing:
            raise UnavailableError(
                "the model's server ended the stream without a finish_reason for choice "
                f"{', '.join(map(str, missing))} of {len(self._choices)}: the answer is cut off",
                reason="REMOTE_CUT_OFF",
            )
        counted = sum(choice.tokens for choice in self._choices)
        details = self._usage.get("prompt_tokens_details") or {}
        return GenerationEnd(
            Usage(
                int(self._usage.get("prompt_tokens") or 0),
                int(details.get("cached_tokens") or 0),
                int(self._usage.get("completion_tokens") or counted),
            )
        )

    def _read(self, event: Any) -> Iterator[EngineEvent]:
        usage = event.get("usage")
        choices = event.get("choices") or ()
        if usage and not choices:
            self._usage = usage
        elif usage and len(self._choices) == 1:
            # Some servers send it with the last piece.
            self._usage = {**self._usage, **usage}
        for choice in choices:
            total = usage["completion_tokens"] if usage and self._counts_pieces else None
            yield from self._choices[choice["index"]].add(choice, total)


class _ChoiceStream:
    """One choice. The tokens of its reasoning and its calls have no log probabilities here."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.tokens = 0
        self.ended = False
        self._told = 0
        # By what it is a half of: the text, the reasoning, or the number of a call.
        self._halves: dict[str | int, str] = {}
        self._logprobs: list[TokenLogprob] = []
        self._is_text = True
        self._calls: set[int] = set()

    def add(self, choice: Mapping[str, Any], total: int | None) -> Iterator[EngineEvent]:
        """``total`` is how many tokens it has by now, where the server says."""
        logprobs = list(_logprobs(choice.get("logprobs") or {}))
        self._logprobs += logprobs
        delta = choice.get("delta") or {}
        reasoning = self._whole(
            delta.get("reasoning") or delta.get("reasoning_content") or "", "reasoning"
        )
        calls = delta.get("tool_calls") or ()
        text = self._whole(_text_of(choice), "text")
        counted = len(logprobs) or int(bool(text or reasoning or calls))
        self.tokens = max(self.tokens, total) if total is not None else self.tokens + counted
        reason = choice.get("finish_reason")
        if reasoning:
            yield ReasoningPiece(reasoning, self._aside(), self.number)
        for call in calls:
            yield self._call(call)
        if text or (reason and self._logprobs and self._is_text):
            yield self._piece(text)
        if reason and not self.ended:
            self.ended = True
            yield ChoiceEnd(self._reason(reason), self.number)

    def _call(self, told: Mapping[str, Any]) -> ToolCallPiece:
        function = told.get("function") or {}
        index = int(told.get("index") or 0)
        arguments = self._whole(function.get("arguments") or "", index)
        if index in self._calls:
            return ToolCallPiece(index, "", "", arguments, self._aside(), self.number)
        self._calls.add(index)
        call_id, name = told.get("id") or new_call_id(), str(function["name"])
        return ToolCallPiece(index, call_id, name, arguments, self._aside(), self.number)

    def _aside(self) -> int:
        """The tokens of what is not text."""
        tokens, self._told = self.tokens - self._told, self.tokens
        self._logprobs = []
        self._is_text = False
        return tokens

    def _reason(self, told: str) -> FinishReason:
        reason = _reason(told)
        # Of a call that was asked for by name the API says that the model stopped.
        return FinishReason.TOOL_CALLS if self._calls and reason is FinishReason.STOP else reason

    def _piece(self, text: str) -> TextPiece:
        piece = TextPiece(text, self.tokens - self._told, self.number, tuple(self._logprobs))
        self._told = self.tokens
        self._logprobs = []
        self._is_text = True
        return piece

    def _whole(self, text: str, of: str | int) -> str:
        """The text without half a code point at its end, which waits for its other half.

        JSON writes those beyond the first 65,536 as two, which may come in two events.
        """
        text = self._halves.pop(of, "") + text
        if text and "\ud800" <= text[-1] <= "\udbff":
            text, self._halves[of] = text[:-1], text[-1]
        return _joined(text)


def _joined(text: str) -> str:
    """The text with code points of two halves as one; a half alone is no character."""
    if text.isascii():
        return text
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


def _text_of(choice: Mapping[str, Any]) -> str:
    if "delta" not in choice:
        return choice.get("text") or ""
    delta = choice["delta"]
    return delta.get("content") or delta.get("refusal") or ""


def _reason(told: str) -> FinishReason:
    if told == "content_filter":
        raise FailedPreconditionError(
            "the model's server held back the rest of the answer by its content filter",
            reason="CONTENT_FILTERED",
        )
    if told not in _FINISH_REASONS:
        raise UnavailableError(f"the model's server could not finish the answer: {told}")
    return _FINISH_REASONS[told]


def _logprobs(told: Mapping[str, Any]) -> Iterator[TokenLogprob]:
    """Of a chat, where they are a list of tokens, or of a completion, where they are columns."""
    for token in told.get("content") or ():
        others = ((one["token"], float(one["logprob"])) for one in token.get("top_logprobs") or ())
        yield _logprob(token["token"], token["logprob"], others)
    tokens = told.get("tokens") or ()
    tops = told.get("top_logprobs") or [None] * len(tokens)
    for name, logprob, top in zip(tokens, told.get("token_logprobs") or (), tops, strict=True):
        yield _logprob(name, logprob, ((other, float(p)) for other, p in (top or {}).items()))


def _logprob(token: str, logprob: float, others: Iterator[tuple[str, float]]) -> TokenLogprob:
    token, alternatives = _joined(token), [(_joined(other), value) for other, value in others]
    # Most servers name the token among its alternatives; other tokens may look the same.
    if (token, float(logprob)) in alternatives:
        alternatives.remove((token, float(logprob)))
    return TokenLogprob(token, float(logprob), tuple(alternatives))
