"""vLLM's outputs as the events of an engine."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

from groundwire_index.errors import InvalidArgumentError, UnavailableError

from groundwire_server.engines.engine import (
    ChoiceEnd,
    EngineEvent,
    FinishReason,
    GenerationEnd,
    TextPiece,
    TokenLogprob,
    ToolCallPiece,
    Usage,
)
from groundwire_server.engines.vllm_parsing import OutputParser, Parsing, Piece

_FINISH_REASONS = {
    "stop": FinishReason.STOP,
    "repetition": FinishReason.STOP,
    "length": FinishReason.LENGTH,
    "abort": FinishReason.ABORTED,
}


class ChoiceStreams:
    """The choices of one request, as vLLM streams them in deltas."""

    def __init__(
        self,
        n: int,
        parsing: Parsing = Parsing(),  # noqa: B008 - it is frozen
        held_to: str = "",
    ) -> None:
        """``held_to`` is the field of the request that gives the outputs their form, if any."""
        self._choices = [
            _ChoiceStream(number, parsing.new_parser and parsing.new_parser(), held_to)
            for number in range(n)
        ]
        self._open = n
        self._prompt_tokens = 0
        self._cached_tokens = 0
        self._queue_s: float | None = None

    @property
    def ended(self) -> bool:
        """Whether every choice has ended."""
        return not self._open

    def add(self, output: Any) -> Iterator[EngineEvent]:
        """The events of one ``RequestOutput``."""
        self._prompt_tokens = len(output.prompt_token_ids or ())
        self._cached_tokens = max(self._cached_tokens, output.num_cached_tokens or 0)
        self._note_queue(output.metrics)
        for delta in output.outputs:
            stream = self._choices[delta.index]
            yield from stream.add(delta, output.prompt_token_ids or ())
            if delta.finish_reason is not None:
                yield from stream.end(delta.finish_reason)
                self._open -= 1

    def end(self) -> GenerationEnd:
        """The last event."""
        completion = sum(stream.tokens for stream in self._choices)
        usage = Usage(self._prompt_tokens, self._cached_tokens, completion)
        return GenerationEnd(usage, self._queue_s)

    def _note_queue(self, metrics: Any) -> None:
        if metrics is not None and metrics.scheduled_ts and self._queue_s is None:
            self._queue_s = max(0.0, metrics.scheduled_ts - metrics.queued_ts)


class _ChoiceStream:
    """One choice. Tokens without text yet, such as half a code point, wait for those after.

    So do tokens that the parser holds back. Those of calls and of reasoning have no log
    probabilities, which are the text's.
    """

    def __init__(self, number: int, parser: OutputParser | None, held_to: str) -> None:
        self.tokens = 0
        self._held_to = held_to
        self._number = number
        self._parser = parser
        self._waiting = 0
        self._logprobs: list[TokenLogprob] = []
        self._has_called = False
        self._is_text = True

    def add(self, delta: Any, prompt_ids: Sequence[int]) -> Iterator[EngineEvent]:
        self.tokens += len(delta.token_ids)
        self._waiting += len(delta.token_ids)
        self._logprobs += _logprobs(delta)
        if self._parser is None:
            if delta.text:
                yield self._piece(delta.text)
            return
        last = delta.finish_reason is not None
        for piece in self._parser.read(delta.text, delta.token_ids, prompt_ids, last=last):
            yield self._counted(piece)

    def end(self, reason: str) -> Iterator[EngineEvent]:
        if reason == "error" and self._held_to:
            # Of some forms it shows only here. The model works: others must not be kept from it.
            raise InvalidArgumentError(
                self._held_to,
                "the output cannot be held to it: it is too large to follow, or has a token in it "
                "that is no text",
            )
        if reason not in _FINISH_REASONS:
            raise UnavailableError(f"vLLM could not finish the answer: {reason}")
        if self._logprobs and self._is_text:
            yield self._piece("")
        told = _FINISH_REASONS[reason]
        if self._has_called and told is FinishReason.STOP:
            told = FinishReason.TOOL_CALLS
        yield ChoiceEnd(told, self._number)

    def _counted(self, piece: Piece) -> EngineEvent:
        self._is_text = isinstance(piece, TextPiece)
        if isinstance(piece, TextPiece):
            return self._piece(piece.text)
        self._has_called |= isinstance(piece, ToolCallPiece)
        counted = replace(piece, token_count=self._waiting, choice=self._number)
        self._waiting, self._logprobs = 0, []
        return counted

    def _piece(self, text: str) -> TextPiece:
        piece = TextPiece(text, self._waiting, self._number, tuple(self._logprobs))
        self._waiting = 0
        self._logprobs = []
        return piece


def _logprobs(delta: Any) -> Iterator[TokenLogprob]:
    if delta.logprobs is None:
        return
    for token_id, candidates in zip(delta.token_ids, delta.logprobs, strict=True):
        chosen = candidates[token_id]
        yield TokenLogprob(
            token=chosen.decoded_token or "",
            logprob=float(chosen.logprob),
            alternatives=tuple(
                (other.decoded_token or "", float(other.logprob))
                for other_id, other in candidates.items()
                if other_id != token_id
            ),
        )
