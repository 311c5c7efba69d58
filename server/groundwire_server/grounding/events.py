"""What an answer is made of, in the order a reader sees it.

``Started`` comes first, then ``Sources`` if the answer is grounded, then text, reasoning, calls
of tools and citations, then ``Finished``: one for each choice, of which the last carries usage
and timings.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from itertools import pairwise
from typing import NamedTuple

from groundwire_index.records import ChunkPosition

from groundwire_server.engines.engine import FinishReason, TokenLogprob, Usage


class StoreOutcome(Enum):
    """What became of the exchange in the session."""

    STORED = "stored"
    CONFLICT = "conflict"
    FAILED = "failed"


class CacheOutcome(Enum):
    """Where an answer is from that was not made for its request."""

    EXACT = "exact"
    """Made before, for an equal request."""
    SEMANTIC = "semantic"
    """Made before, for one that asks the same in other words."""
    SHARED = "shared"
    """Being made for an equal request."""


@dataclass(frozen=True, slots=True)
class JoinedChunk:
    """A chunk whose text goes on where that of the chunk before it ends."""

    chunk_id: str
    start: int
    """Where in the passage's text, in code points."""
    headings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Passage:
    """A numbered piece of a source: a chunk, or several that follow each other."""

    number: int
    """From 1; what citations name."""
    chunk_id: str
    """Of the first chunk."""
    document_id: str
    title: str
    text: str
    score: float
    """By the search mode; comparable only within one answer."""
    relevance: float
    """0 to 1, comparable between answers; see `grounding.retrieve.relevance`."""
    page: int | None = None
    headings: tuple[str, ...] = ()
    position: ChunkPosition | None = None
    """Of a single chunk, if it has one."""
    joined: tuple[JoinedChunk, ...] = ()
    """What follows the first chunk in the text, in order."""
    duplicate_ids: tuple[str, ...] = ()
    """Chunks that were found too and say nothing else."""

    @property
    def chunk_ids(self) -> tuple[str, ...]:
        """The chunks that the text is made of, in order."""
        return (self.chunk_id, *(chunk.chunk_id for chunk in self.joined))

    def chunk_ids_of(self, start: int, end: int) -> tuple[str, ...]:
        """The chunks that a part of the text, in code points, is from."""
        starts = [0, *(chunk.start for chunk in self.joined), len(self.text)]
        return tuple(
            chunk_id
            for chunk_id, (first, last) in zip(self.chunk_ids, pairwise(starts), strict=True)
            if first < end and start < last
        )


@dataclass(frozen=True, slots=True)
class Timings:
    """Seconds of each phase; None for a phase that did not happen."""

    queue_s: float | None = None
    embed_s: float | None = None
    retrieve_s: float | None = None
    prefill_s: float | None = None
    decode_s: float | None = None


@dataclass(frozen=True, slots=True)
class Started:
    """The engine has taken the request."""

    request_id: str
    model: str
    engine: str


@dataclass(frozen=True, slots=True)
class Sources:
    """The passages the answer may cite, in order of number."""

    passages: tuple[Passage, ...]


class TextDelta(NamedTuple):
    """The next piece of one choice's text."""

    text: str
    token_count: int
    choice: int = 0
    logprobs: tuple[TokenLogprob, ...] = ()


@dataclass(frozen=True, slots=True)
class ReasoningDelta:
    """The next piece of one choice's reasoning, which is not part of its text."""

    text: str
    choice: int = 0


@dataclass(frozen=True, slots=True)
class ToolCallDelta:
    """The next piece of one choice's call of a tool; see `ToolCallPiece`."""

    index: int
    id: str
    name: str
    arguments: str
    choice: int = 0


@dataclass(frozen=True, slots=True)
class CitationAdded:
    """A verified link from the answer to a passage.

    Offsets count code points, ends are exclusive: into all deltas of the choice so far, and
    into the passage's text.
    """

    source: int
    answer_start: int
    answer_end: int
    source_start: int
    source_end: int
    choice: int = 0


@dataclass(frozen=True, slots=True)
class Finished:
    """One choice is complete."""

    finish_reason: FinishReason
    usage: Usage = field(default_factory=Usage)
    timings: Timings = field(default_factory=Timings)
    confidence: float | None = None
    degraded_reason: str = ""
    """Empty for an answer that is all that was asked for."""
    stored: StoreOutcome | None = None
    dropped_citations: int = 0
    memory_ids: tuple[str, ...] = ()
    """Of the memories that went into the prompt, best first."""
    choice: int = 0
    cache: CacheOutcome | None = None
    """None for an answer that was made for this request."""


AnswerEvent = (
    Started | Sources | TextDelta | ReasoningDelta | ToolCallDelta | CitationAdded | Finished
)
