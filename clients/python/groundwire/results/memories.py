"""What the memory service gives of long-term memories."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal, TypeAlias, cast

from groundwire.call import Page
from groundwire.v1 import memory_pb2, memory_service_pb2
from groundwire.values import enum_word, to_time

MemoryKind: TypeAlias = Literal[
    "fact", "preference", "event", "instruction", "unspecified", "unknown"
]


@dataclass(frozen=True, slots=True)
class MemorySource:
    """The turn of a session that a memory came from."""

    session_id: str
    turn: int


@dataclass(frozen=True, slots=True)
class MemoryFilter:
    """Memories for which all that is set is true; at least one must be. Times are aware."""

    subject: str = ""
    kinds: Sequence[MemoryKind] = ()
    created_from: datetime | None = None
    """Created at this time or later."""
    created_before: datetime | None = None


@dataclass(frozen=True, slots=True)
class MemoryExtraction:
    """Which model proposed to remember something, and how sure it was, 0 to 1."""

    model: str
    confidence: float


@dataclass(frozen=True, slots=True)
class Memory:
    """Something that is known of a subject. It never changes: an update makes another."""

    id: str
    subject: str
    text: str
    kind: MemoryKind
    importance: float
    sources: tuple[MemorySource, ...]
    create_time: datetime | None
    valid_from: datetime | None
    valid_until: datetime | None
    """When it was superseded; None while it holds."""
    expire_time: datetime | None
    """None: never."""
    superseded_by: str
    supersedes: str
    extraction: MemoryExtraction | None = None
    """Present for one that the server has found by itself."""


@dataclass(frozen=True, slots=True)
class Recalled:
    """A memory with the parts of its score."""

    memory: Memory
    score: float
    semantic: float
    lexical: float
    recency: float
    importance: float


@dataclass(frozen=True, slots=True)
class ForgetReceipt:
    """Proof of what was removed; the server's audit log has it too."""

    audit_id: str
    removed: Mapping[str, int]
    """By kind of what was removed."""
    time: datetime | None
    signature: str
    """In hexadecimal."""


def memory(message: memory_pb2.Memory) -> Memory:
    """A memory from its message."""
    return Memory(
        message.id,
        message.subject,
        message.text,
        cast(MemoryKind, enum_word(memory_pb2.MemoryKind.DESCRIPTOR, message.kind)),
        message.importance,
        tuple(MemorySource(one.session_id, one.turn) for one in message.sources),
        to_time(message.create_time),
        to_time(message.valid_from),
        to_time(message.valid_until),
        to_time(message.expire_time),
        message.superseded_by,
        message.supersedes,
        _extraction(message.extraction) if message.HasField("extraction") else None,
    )


def recalled(message: memory_service_pb2.RecallResponse) -> list[Recalled]:
    """The answer of Recall."""
    return [
        Recalled(
            memory(one.memory), one.score, one.semantic, one.lexical, one.recency, one.importance
        )
        for one in message.memories
    ]


def memories(message: memory_service_pb2.ListMemoriesResponse) -> Page[Memory]:
    """A page of memories."""
    return Page([memory(one) for one in message.memories], message.next_cursor)


def receipt(message: memory_service_pb2.ForgetResponse) -> ForgetReceipt:
    """The answer of Forget."""
    found = message.receipt
    return ForgetReceipt(
        found.audit_id, dict(found.removed), to_time(found.time), found.signature.hex()
    )


def _extraction(message: memory_pb2.MemoryExtraction) -> MemoryExtraction:
    return MemoryExtraction(message.model, message.confidence)
