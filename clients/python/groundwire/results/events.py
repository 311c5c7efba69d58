"""What a streamed answer gives: its events."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal, TypeAlias, cast

from groundwire.v1 import generate_service_pb2, generation_pb2
from groundwire.values import enum_word, to_seconds

FinishReason: TypeAlias = Literal[
    "stop", "length", "tool_calls", "aborted", "no_sources", "unknown", "unspecified"
]
StoreOutcome: TypeAlias = Literal["unspecified", "stored", "conflict", "failed", "unknown"]
CacheOutcome: TypeAlias = Literal["unspecified", "exact", "semantic", "shared", "unknown"]


@dataclass(frozen=True, slots=True)
class Started:
    """The request was admitted."""

    request_id: str
    model: str
    engine: str


@dataclass(frozen=True, slots=True)
class Citation:
    """A verified link from the answer to a passage. Offsets count characters, ends excluded."""

    source: int
    """Number of the passage."""
    answer_start: int
    answer_end: int
    source_start: int
    source_end: int
    choice: int = 0


@dataclass(frozen=True, slots=True)
class Passage:
    """A numbered piece of a source: a chunk, or several that follow each other in a document."""

    number: int
    chunk_id: str
    """The first of `chunk_ids`."""
    document_id: str
    title: str
    text: str
    score: float
    page: int | None
    headings: tuple[str, ...]
    chunk_ids: tuple[str, ...] = ()
    """The chunks that the text is made of, in order."""
    duplicate_chunk_ids: tuple[str, ...] = ()
    """Chunks that were found too, and say nothing that this passage does not say."""

    def quote(self, citation: Citation) -> str:
        """The words of this passage that a citation of it rests on."""
        return self.text[citation.source_start : citation.source_end]


@dataclass(frozen=True, slots=True)
class Sources:
    """The passages that the answer may cite, before its first word."""

    passages: tuple[Passage, ...]


@dataclass(frozen=True, slots=True)
class TokenLogprob:
    """Natural log probability of a token and of those that were not chosen."""

    token: str
    logprob: float
    alternatives: tuple[tuple[str, float], ...]


@dataclass(frozen=True, slots=True)
class TextDelta:
    """The next piece of the answer."""

    text: str
    token_count: int
    logprobs: tuple[TokenLogprob, ...] = ()
    choice: int = 0


@dataclass(frozen=True, slots=True)
class ReasoningDelta:
    """The next piece of the model's reasoning."""

    text: str
    choice: int = 0


@dataclass(frozen=True, slots=True)
class ToolCallDelta:
    """The next piece of a tool call; ``id`` and ``name`` come with its first."""

    index: int
    id: str
    name: str
    arguments: str
    choice: int = 0


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens, by the model's tokenizer."""

    prompt_tokens: int
    cached_tokens: int
    completion_tokens: int


@dataclass(frozen=True, slots=True)
class Timings:
    """Seconds spent in each phase; None for one that did not happen."""

    queue_s: float | None
    embed_s: float | None
    retrieve_s: float | None
    prefill_s: float | None
    decode_s: float | None


@dataclass(frozen=True, slots=True)
class Finished:
    """The end of an answer."""

    finish_reason: FinishReason
    usage: Usage
    timings: Timings
    confidence: float | None
    """0 to 1, for grounded answers."""
    degraded: bool
    degraded_reason: str
    stored: StoreOutcome
    """What became of the exchange in the session; "unspecified" without one."""
    dropped_citations: int
    choice: int = 0
    memory_ids: tuple[str, ...] = ()
    """The memories that went into the prompt, best first."""
    cache: CacheOutcome = "unspecified"
    """Where it is from, if it was not made for this request."""


Event: TypeAlias = (
    Started | Sources | TextDelta | ReasoningDelta | ToolCallDelta | Citation | Finished
)


def event(response: generate_service_pb2.GenerateResponse) -> Event | None:
    """The event in a message of the stream; None for a kind that this client does not know."""
    match response.WhichOneof("event"):
        case "text_delta":
            delta = response.text_delta
            return TextDelta(
                delta.text, delta.token_count, logprobs(delta.logprobs), response.choice
            )
        case "started":
            started = response.started
            return Started(started.request_id, started.model, started.engine)
        case "sources":
            return Sources(tuple(passage(item) for item in response.sources.passages))
        case "reasoning_delta":
            return ReasoningDelta(response.reasoning_delta.text, response.choice)
        case "tool_call_delta":
            call = response.tool_call_delta
            return ToolCallDelta(call.index, call.id, call.name, call.arguments, response.choice)
        case "citation":
            return citation(response.citation, response.choice)
        case "finished":
            return finished(response.finished, response.choice)
    return None


def citation(message: generation_pb2.Citation, choice: int = 0) -> Citation:
    """A citation from its message."""
    return Citation(
        message.source,
        message.answer_start,
        message.answer_end,
        message.source_start,
        message.source_end,
        choice,
    )


def passage(message: generation_pb2.Passage) -> Passage:
    """A passage from its message."""
    return Passage(
        number=message.number,
        chunk_id=message.chunk_id,
        document_id=message.document_id,
        title=message.title,
        text=message.text,
        score=message.score,
        page=message.page if message.HasField("page") else None,
        headings=tuple(message.headings),
        # A server from before they were joined does not name them.
        chunk_ids=tuple(message.chunk_ids) or (message.chunk_id,),
        duplicate_chunk_ids=tuple(message.duplicate_chunk_ids),
    )


def finished(message: generation_pb2.Finished, choice: int = 0) -> Finished:
    """The end of an answer from its message."""
    usage = message.usage
    return Finished(
        finish_reason=finish_reason(message.finish_reason),
        usage=Usage(usage.prompt_tokens, usage.cached_tokens, usage.completion_tokens),
        timings=_timings(message.timings),
        confidence=message.confidence if message.HasField("confidence") else None,
        degraded=message.degraded,
        degraded_reason=message.degraded_reason,
        stored=cast(
            StoreOutcome,
            enum_word(generation_pb2.StoreOutcome.DESCRIPTOR, message.stored),
        ),
        dropped_citations=message.dropped_citations,
        choice=choice,
        memory_ids=tuple(message.memory_ids),
        cache=cast(CacheOutcome, enum_word(generation_pb2.CacheOutcome.DESCRIPTOR, message.cache)),
    )


def _timings(message: generation_pb2.GenerateTimings) -> Timings:
    return Timings(
        queue_s=to_seconds(message.queue) if message.HasField("queue") else None,
        embed_s=to_seconds(message.embed) if message.HasField("embed") else None,
        retrieve_s=to_seconds(message.retrieve) if message.HasField("retrieve") else None,
        prefill_s=to_seconds(message.prefill) if message.HasField("prefill") else None,
        decode_s=to_seconds(message.decode) if message.HasField("decode") else None,
    )


def finish_reason(number: generation_pb2.FinishReason.ValueType) -> FinishReason:
    """The word for why generation ended."""
    return cast(FinishReason, enum_word(generation_pb2.FinishReason.DESCRIPTOR, number))


def logprobs(messages: Iterable[generation_pb2.TokenLogprob]) -> tuple[TokenLogprob, ...]:
    """Log probabilities from their messages."""
    return tuple(
        TokenLogprob(
            item.token,
            item.logprob,
            tuple((other.token, other.logprob) for other in item.alternatives),
        )
        for item in messages
    )
