"""Long-term memories on the wire."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime

from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp
from groundwire.v1 import memory_pb2
from groundwire.v1 import memory_service_pb2 as pb
from groundwire_index.errors import InvalidArgumentError

from groundwire_server.identity import current_identity
from groundwire_server.memory.memories.memory import (
    Extraction,
    Memory,
    MemoryKind,
    Recalled,
    Receipt,
    Source,
)
from groundwire_server.services.collections import timestamp_message
from groundwire_server.services.sessions import require_session_id
from groundwire_server.services.validate import require_count, require_id, require_range

MAX_SOURCES = 100

_LATEST = datetime(2200, 1, 1, tzinfo=UTC)
_KINDS: dict[int, MemoryKind] = {
    memory_pb2.MEMORY_KIND_FACT: MemoryKind.FACT,
    memory_pb2.MEMORY_KIND_PREFERENCE: MemoryKind.PREFERENCE,
    memory_pb2.MEMORY_KIND_EVENT: MemoryKind.EVENT,
    memory_pb2.MEMORY_KIND_INSTRUCTION: MemoryKind.INSTRUCTION,
}
_KIND_MESSAGES = {kind: number for number, kind in _KINDS.items()}


def subject_of(value: str, field: str = "subject") -> str:
    """Whom it is about: the caller, unless the request names another of its tenant."""
    if not value:
        return current_identity.get().subject
    require_id(value, field)
    return value


def kind_of(value: int, field: str) -> MemoryKind:
    """Read a kind. Raises InvalidArgumentError for one that is not set or not known."""
    kind = _KINDS.get(value)
    if kind is None:
        names = ", ".join(memory_pb2.MemoryKind.Name(number) for number in _KINDS)  # type: ignore[arg-type]
        raise InvalidArgumentError(field, f"must be one of {names}")
    return kind


def kinds_of(values: Sequence[int], field: str = "kinds") -> tuple[MemoryKind, ...]:
    """Read kinds, each of which counts once."""
    require_count(len(values), field, low=0, high=len(_KINDS))
    found = (kind_of(value, f"{field}[{number}]") for number, value in enumerate(values))
    return tuple(dict.fromkeys(found))


def importance_of(request: pb.RememberRequest | pb.UpdateMemoryRequest) -> float | None:
    """Read an importance, 0 to 1; None if it is not set."""
    if not request.HasField("importance"):
        return None
    require_range(request.importance, "importance", low=0, high=1)
    return request.importance


def sources_of(messages: Iterable[memory_pb2.MemorySource]) -> tuple[Source, ...]:
    """Read where a memory came from."""
    messages = list(messages)
    require_count(len(messages), "sources", low=0, high=MAX_SOURCES)
    for number, one in enumerate(messages):
        require_session_id(one.session_id, f"sources[{number}].session_id")
        require_range(one.turn, f"sources[{number}].turn", low=1, high=2**53)
    return tuple(Source(one.session_id, one.turn) for one in messages)


def optional_time(message: Message, name: str, path: str = "") -> datetime | None:
    """Read a time, if it is set. Raises InvalidArgumentError for one outside 1970 to 2200."""
    if not message.HasField(name):
        return None
    stamp: Timestamp = getattr(message, name)
    low, high = 0, int(_LATEST.timestamp())
    if not (low <= stamp.seconds < high and 0 <= stamp.nanos < 10**9):
        raise InvalidArgumentError(path + name, "must be a time from 1970 to 2199")
    return stamp.ToDatetime(UTC)


def memory_message(memory: Memory) -> memory_pb2.Memory:
    """Write a memory."""
    return memory_pb2.Memory(
        id=memory.id,
        subject=memory.subject,
        text=memory.text,
        kind=_KIND_MESSAGES[memory.kind],  # type: ignore[arg-type]
        importance=memory.importance,
        sources=(
            memory_pb2.MemorySource(session_id=one.session_id, turn=one.turn)
            for one in memory.sources
        ),
        create_time=timestamp_message(memory.create_time),
        valid_from=timestamp_message(memory.valid_from),
        expire_time=_optional(memory.expire_time),
        superseded_by=memory.superseded_by,
        valid_until=_optional(memory.valid_until),
        supersedes=memory.supersedes,
        extraction=_extraction(memory.extraction) if memory.extraction else None,
    )


def recalled_message(recalled: Recalled) -> pb.RecalledMemory:
    """Write a memory with the parts of its score."""
    return pb.RecalledMemory(
        memory=memory_message(recalled.memory),
        score=recalled.score,
        semantic=recalled.semantic,
        lexical=recalled.lexical,
        recency=recalled.recency,
        importance=recalled.memory.importance,
    )


def receipt_message(receipt: Receipt) -> pb.ForgetReceipt:
    """Write a receipt."""
    return pb.ForgetReceipt(
        audit_id=receipt.audit_id,
        removed=receipt.removed,
        time=timestamp_message(receipt.time),
        signature=receipt.signature,
    )


def _extraction(extraction: Extraction) -> memory_pb2.MemoryExtraction:
    return memory_pb2.MemoryExtraction(model=extraction.model, confidence=extraction.confidence)


def _optional(time: datetime | None) -> Timestamp | None:
    return None if time is None else timestamp_message(time)
