"""A memory as a record of the index.

Everything but text and vector is metadata, because filters compare it. ``now`` has the subject
while no other version has taken the memory's place: so the memories that a subject has now are
found by one comparison.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any, cast

from groundwire_index.records import Metadata, Record, Vector

from groundwire_server.memory.memories.memory import Extraction, Memory, MemoryKind, Source

SUBJECT, NOW, KIND, LINEAGE, SESSIONS = "subject", "now", "kind", "lineage", "sessions"
CREATED, FROM, UNTIL, EXPIRES = "created", "from", "until", "expires"
REQUEST = "request"
MODEL, CONFIDENCE = "model", "confidence"

# Microseconds of 2255: later than any time that is taken, and exact as a double.
FOREVER = 2**53 - 1
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


def record_of(memory: Memory, vector: Vector, request: str = "") -> Record:
    """The record of a memory; ``request`` is the digest of what made it, if it has a key."""
    metadata: dict[str, Any] = {
        SUBJECT: memory.subject,
        KIND: memory.kind.value,
        "importance": memory.importance,
        CREATED: micros(memory.create_time),
        FROM: micros(memory.valid_from),
        UNTIL: _or_forever(memory.valid_until),
        EXPIRES: _or_forever(memory.expire_time),
        LINEAGE: memory.lineage,
        "by": memory.superseded_by,
        "supersedes": memory.supersedes,
        SESSIONS: [source.session_id for source in memory.sources],
        "turns": [source.turn for source in memory.sources],
        REQUEST: request,
    }
    if memory.extraction is not None:
        metadata[MODEL] = memory.extraction.model
        metadata[CONFIDENCE] = memory.extraction.confidence
    if not memory.superseded_by:
        metadata[NOW] = memory.subject
    return Record(memory.id, vector, memory.text, metadata)


def memory_of(record: Record) -> Memory:
    """The memory of a record that was read with text and metadata."""
    held = cast(dict[str, Any], record.metadata)
    return Memory(
        id=record.id,
        subject=held[SUBJECT],
        text=record.text or "",
        kind=MemoryKind(held[KIND]),
        importance=held["importance"],
        sources=tuple(_sources(held[SESSIONS], held["turns"])),
        create_time=_time(held[CREATED]),
        valid_from=_time(held[FROM]),
        lineage=held[LINEAGE],
        expire_time=_unless_forever(held[EXPIRES]),
        valid_until=_unless_forever(held[UNTIL]),
        superseded_by=held["by"],
        supersedes=held["supersedes"],
        extraction=Extraction(held[MODEL], held[CONFIDENCE]) if MODEL in held else None,
    )


def as_first(memory: Memory) -> Memory:
    """The memory as it was when it was made."""
    return replace(memory, superseded_by="", valid_until=None)


def request_of(metadata: Metadata) -> str:
    """The digest of the request that made a memory."""
    return cast(str, metadata[REQUEST])


def micros(time: datetime) -> int:
    """Microseconds since the epoch."""
    return (time - _EPOCH) // _MICROSECOND


def _or_forever(time: datetime | None) -> int:
    return FOREVER if time is None else micros(time)


def _unless_forever(stored: int) -> datetime | None:
    return None if stored >= FOREVER else _time(stored)


def _time(stored: int) -> datetime:
    return _EPOCH + timedelta(microseconds=stored)


def _sources(sessions: Iterable[str], turns: Iterable[int]) -> Iterable[Source]:
    return (Source(session, int(turn)) for session, turn in zip(sessions, turns, strict=True))
