"""What is remembered, asked for and forgotten."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import Enum


class MemoryKind(Enum):
    """What a memory is; the values are stored."""

    FACT = "fact"
    PREFERENCE = "preference"
    EVENT = "event"
    INSTRUCTION = "instruction"


@dataclass(frozen=True, slots=True)
class Source:
    """The turn that a memory came from."""

    session_id: str
    turn: int


@dataclass(frozen=True, slots=True)
class Extraction:
    """How a memory was found that nobody asked for."""

    model: str
    confidence: float
    """Of the model, 0 to 1."""


@dataclass(frozen=True, slots=True)
class NewMemory:
    """What is to be remembered."""

    subject: str
    text: str
    kind: MemoryKind
    importance: float = 0.5
    """0 to 1."""
    sources: tuple[Source, ...] = ()
    valid_from: datetime | None = None
    """None: from now on."""
    expire_time: datetime | None = None
    """None: never."""
    extraction: Extraction | None = None


@dataclass(frozen=True, slots=True)
class MemoryChange:
    """What is to be different in a memory; what is None stays as it is."""

    text: str | None = None
    importance: float | None = None
    expire_time: datetime | None = None


@dataclass(frozen=True, slots=True)
class Memory:
    """One version of a memory. Times are aware."""

    id: str
    subject: str
    text: str
    kind: MemoryKind
    importance: float
    sources: tuple[Source, ...]
    create_time: datetime
    valid_from: datetime
    lineage: str
    """Id of its first version."""
    expire_time: datetime | None = None
    valid_until: datetime | None = None
    """When it was superseded."""
    superseded_by: str = ""
    supersedes: str = ""
    extraction: Extraction | None = None
    """None for what was given, or said anew."""

    def is_held(self, at: datetime, now: datetime) -> bool:
        """Whether it is what was known ``at`` a time, and may still be seen ``now``."""
        return (
            self.valid_from <= at
            and (self.valid_until is None or at < self.valid_until)
            and not self.has_expired(max(at, now))
        )

    def has_expired(self, now: datetime) -> bool:
        """Whether nobody is to see it any more."""
        return self.expire_time is not None and self.expire_time <= now


@dataclass(frozen=True, slots=True)
class Question:
    """What memories are recalled for."""

    subject: str
    query: str
    top_k: int = 10
    """1 to 100."""
    kinds: tuple[MemoryKind, ...] = ()
    """Empty: all."""
    as_of: datetime | None = None
    """None: now."""


@dataclass(frozen=True, slots=True)
class Recalled:
    """A memory, and the parts of its score, each 0 to 1."""

    memory: Memory
    score: float
    semantic: float
    lexical: float
    recency: float


@dataclass(frozen=True, slots=True)
class MemoryPage:
    """Some memories, the last created first."""

    memories: Sequence[Memory]
    next_cursor: str
    """Empty on the last page."""


@dataclass(frozen=True, slots=True)
class OfIds:
    """Memories by id."""

    ids: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class OfSubject:
    """All memories of a subject."""

    subject: str


@dataclass(frozen=True, slots=True)
class OfSession:
    """Memories that came from a session."""

    session_id: str


@dataclass(frozen=True, slots=True)
class Matching:
    """Memories for which all that is set is true."""

    subject: str = ""
    kinds: tuple[MemoryKind, ...] = ()
    created_from: datetime | None = None
    created_before: datetime | None = None


Target = OfIds | OfSubject | OfSession | Matching


@dataclass(frozen=True, slots=True)
class Receipt:
    """Proof of what was forgotten."""

    audit_id: str
    removed: Mapping[str, int]
    """By kind of what was removed."""
    time: datetime
    signature: bytes
