"""How a memory begins, and how another takes its place."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from groundwire_index.backend import CollectionBackend
from groundwire_index.errors import ConflictError, InvalidArgumentError, NotFoundError
from groundwire_index.records import Include, Record

from groundwire_server.memory.memories.memory import Memory, MemoryChange, NewMemory
from groundwire_server.memory.memories.stored import memory_of

_WHOLE = Include(vector=True)


def begun(new: NewMemory, memory_id: str, now: datetime) -> Memory:
    """The first version. Raises InvalidArgumentError for one that would never hold."""
    valid_from = new.valid_from or now
    _require_life(new.expire_time, valid_from, now)
    return Memory(
        id=memory_id,
        subject=new.subject,
        text=new.text,
        kind=new.kind,
        importance=new.importance,
        sources=new.sources,
        create_time=now,
        valid_from=valid_from,
        lineage=memory_id,
        expire_time=new.expire_time,
        extraction=new.extraction,
    )


def changed(old: Memory, change: MemoryChange, new_id: str, now: datetime) -> Memory:
    """The next version. Raises InvalidArgumentError for one that would never hold."""
    # Where the old one holds from later on, the new one does from then on.
    valid_from = max(now, old.valid_from)
    expire_time = change.expire_time or old.expire_time
    _require_life(expire_time, valid_from, now)
    return replace(
        old,
        id=new_id,
        text=old.text if change.text is None else change.text,
        importance=old.importance if change.importance is None else change.importance,
        create_time=now,
        valid_from=valid_from,
        expire_time=expire_time,
        supersedes=old.id,
        extraction=old.extraction if change.text is None else None,
    )


def _require_life(expire_time: datetime | None, valid_from: datetime, now: datetime) -> None:
    if expire_time is not None and expire_time <= max(valid_from, now):
        raise InvalidArgumentError(
            "expire_time",
            f"{expire_time.isoformat()} is not later than "
            f"{max(valid_from, now).isoformat()}, from when on it would hold",
        )


def replaceable(collection: CollectionBackend, memory_id: str, now: datetime) -> Record:
    """A memory's record, with its vector, if another may take its place.

    Raises NotFoundError and ConflictError.
    """
    (record,) = collection.get([memory_id], _WHOLE)
    memory = None if record is None else memory_of(record)
    if record is None or memory is None or memory.has_expired(now):
        raise no_memory(memory_id)
    if memory.superseded_by:
        raise ConflictError(
            f'memory "{memory_id}" was superseded by "{memory.superseded_by}": update that one, '
            "if it still says what is to be changed",
            reason="MEMORY_SUPERSEDED",
            metadata={"superseded_by": memory.superseded_by},
        )
    return record


def no_memory(memory_id: str) -> NotFoundError:
    """Of this id, that anybody may see."""
    return NotFoundError(
        f'there is no memory "{memory_id}"',
        reason="MEMORY_NOT_FOUND",
        metadata={"resource_type": "memory", "resource_name": memory_id},
    )
