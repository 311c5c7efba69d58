"""Long-term memories."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from groundwire.call import Pages, Unary, call
from groundwire.made import made
from groundwire.requests.keys import idempotency_key as key
from groundwire.results import memories as results
from groundwire.v1 import memory_pb2
from groundwire.v1 import memory_service_pb2 as pb
from groundwire.values import enum_number, to_stamp


def remember(
    text: str,
    kind: results.MemoryKind = "fact",
    *,
    subject: str = "",
    importance: float | None = None,
    sources: Sequence[results.MemorySource] = (),
    valid_from: datetime | None = None,
    expire_time: datetime | None = None,
    idempotency_key: str = "",
    timeout: float | None = None,
) -> Unary[results.Memory]:
    """Store a memory of a subject, the caller's if empty; it is recalled from then on.

    Times are aware. ``importance`` is 0 to 1, and 0.5 if None.
    """
    request = made(
        pb.RememberRequest,
        subject=subject,
        text=text,
        kind=_kind(kind),
        importance=importance,
        sources=[
            memory_pb2.MemorySource(session_id=one.session_id, turn=one.turn) for one in sources
        ],
        valid_from=to_stamp("valid_from", valid_from),
        expire_time=to_stamp("expire_time", expire_time),
        idempotency_key=key(idempotency_key),
    )
    return call(
        "MemoryService/Remember",
        request,
        pb.RememberResponse,
        lambda answer: results.memory(answer.memory),
        timeout,
    )


def recall(
    query: str,
    *,
    subject: str = "",
    top_k: int | None = None,
    kinds: Sequence[results.MemoryKind] = (),
    as_of: datetime | None = None,
    timeout: float | None = None,
) -> Unary[list[results.Recalled]]:
    """Find the memories that matter for a query, best first, as of a time, now if None."""
    request = made(
        pb.RecallRequest,
        subject=subject,
        query=query,
        top_k=top_k,
        kinds=list(map(_kind, kinds)),
        as_of=to_stamp("as_of", as_of),
    )
    return call("MemoryService/Recall", request, pb.RecallResponse, results.recalled, timeout)


def update_memory(
    memory_id: str,
    *,
    text: str | None = None,
    importance: float | None = None,
    expire_time: datetime | None = None,
    idempotency_key: str = "",
    timeout: float | None = None,
) -> Unary[results.Memory]:
    """Put another in a memory's place; the new one. What is None stays as it is.

    AbortedError if another is there already: its ``metadata["superseded_by"]`` says which.
    """
    request = made(
        pb.UpdateMemoryRequest,
        memory_id=memory_id,
        text=text,
        importance=importance,
        expire_time=to_stamp("expire_time", expire_time),
        idempotency_key=key(idempotency_key),
    )
    return call(
        "MemoryService/UpdateMemory",
        request,
        pb.UpdateMemoryResponse,
        lambda answer: results.memory(answer.memory),
        timeout,
    )


def list_memories(
    *,
    subject: str = "",
    kinds: Sequence[results.MemoryKind] = (),
    include_superseded: bool = False,
    page_size: int = 100,
    timeout: float | None = None,
) -> Pages[results.Memory]:
    """Iterate over the memories of a subject, the last created first."""
    return Pages(
        lambda cursor: call(
            "MemoryService/ListMemories",
            made(
                pb.ListMemoriesRequest,
                subject=subject,
                kinds=list(map(_kind, kinds)),
                include_superseded=include_superseded,
                page_size=page_size,
                cursor=cursor,
            ),
            pb.ListMemoriesResponse,
            results.memories,
            timeout,
        )
    )


def forget(
    memory_ids: Sequence[str] = (),
    *,
    subject: str = "",
    session_id: str = "",
    matching: results.MemoryFilter | None = None,
    idempotency_key: str = "",
    timeout: float | None = None,
) -> Unary[results.ForgetReceipt]:
    """Remove memories for good: by ids, all of a subject, all from a session, or by a filter.

    Each goes with all its versions. Give one of the four; ValueError otherwise.
    """
    if isinstance(memory_ids, str):
        raise TypeError("memory_ids: give a list of ids, also of one.")
    targets: dict[str, Any] = {"subject": subject, "session_id": session_id}
    targets["memory_ids"] = pb.MemoryIds(ids=memory_ids) if memory_ids else None
    targets["filter"] = None if matching is None else _filter(matching)
    given = {name: target for name, target in targets.items() if target}
    if len(given) != 1:
        raise ValueError("Give one of memory_ids, subject, session_id and matching.")
    request = made(pb.ForgetRequest, **given, idempotency_key=key(idempotency_key))
    return call("MemoryService/Forget", request, pb.ForgetResponse, results.receipt, timeout)


def _filter(matching: results.MemoryFilter) -> pb.MemoryFilter:
    return made(
        pb.MemoryFilter,
        subject=matching.subject,
        kinds=[_kind(one) for one in matching.kinds],
        created_from=to_stamp("created_from", matching.created_from),
        created_before=to_stamp("created_before", matching.created_before),
    )


def _kind(kind: results.MemoryKind) -> Any:
    return enum_number(memory_pb2.MemoryKind.DESCRIPTOR, kind)
