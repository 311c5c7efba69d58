"""Long-term memories: the calls of MemoryService that are about them."""

from __future__ import annotations

from groundwire.v1 import memory_service_pb2 as pb
from groundwire_index.errors import InvalidArgumentError

from groundwire_server.identity import current_identity
from groundwire_server.memory.memories.forgetting import Asked
from groundwire_server.memory.memories.memory import (
    Matching,
    MemoryChange,
    NewMemory,
    OfIds,
    OfSession,
    OfSubject,
    Question,
    Target,
)
from groundwire_server.memory.memories.store import Memories, Once
from groundwire_server.services.idempotency import digest_of
from groundwire_server.services.memory_messages import (
    importance_of,
    kind_of,
    kinds_of,
    memory_message,
    optional_time,
    recalled_message,
    receipt_message,
    sources_of,
    subject_of,
)
from groundwire_server.services.sessions import require_session_id
from groundwire_server.services.validate import (
    page_size_of,
    require,
    require_count,
    require_id,
    require_idempotency_key,
    require_range,
    require_text,
)

MAX_TEXT_BYTES = 16 * 2**10
MAX_TOP_K = 100
DEFAULT_TOP_K = 10
MAX_IDS = 10_000
DEFAULT_IMPORTANCE = 0.5


class MemoryCalls:
    """Checks, converts and passes on."""

    def __init__(self, memories: Memories) -> None:
        self._memories = memories

    async def remember(self, request: pb.RememberRequest) -> pb.RememberResponse:
        """Store a memory of a subject."""
        require_text(request.text, "text", max_bytes=MAX_TEXT_BYTES)
        require_idempotency_key(request.idempotency_key)
        importance = importance_of(request)
        new = NewMemory(
            subject=subject_of(request.subject),
            text=request.text,
            kind=kind_of(request.kind, "kind"),
            importance=DEFAULT_IMPORTANCE if importance is None else importance,
            sources=sources_of(request.sources),
            valid_from=optional_time(request, "valid_from"),
            expire_time=optional_time(request, "expire_time"),
        )
        memory = await self._memories.remember(_tenant(), new, _once(request, new.subject))
        return pb.RememberResponse(memory=memory_message(memory))

    async def recall(self, request: pb.RecallRequest) -> pb.RecallResponse:
        """Find the memories that matter for a query."""
        require_text(request.query, "query", max_bytes=MAX_TEXT_BYTES)
        top_k = request.top_k if request.HasField("top_k") else DEFAULT_TOP_K
        require_range(top_k, "top_k", low=1, high=MAX_TOP_K)
        question = Question(
            subject=subject_of(request.subject),
            query=request.query,
            top_k=top_k,
            kinds=kinds_of(request.kinds),
            as_of=optional_time(request, "as_of"),
        )
        found = await self._memories.recall(_tenant(), question)
        return pb.RecallResponse(memories=map(recalled_message, found))

    async def update(self, request: pb.UpdateMemoryRequest) -> pb.UpdateMemoryResponse:
        """Put another in a memory's place."""
        require_id(request.memory_id, "memory_id")
        require_idempotency_key(request.idempotency_key)
        if request.HasField("text"):
            require_text(request.text, "text", max_bytes=MAX_TEXT_BYTES)
        change = MemoryChange(
            text=request.text if request.HasField("text") else None,
            importance=importance_of(request),
            expire_time=optional_time(request, "expire_time"),
        )
        require(
            change != MemoryChange(), "text", "set at least one of text, importance, expire_time"
        )
        memory = await self._memories.update(_tenant(), request.memory_id, change, _once(request))
        return pb.UpdateMemoryResponse(memory=memory_message(memory))

    async def list(self, request: pb.ListMemoriesRequest) -> pb.ListMemoriesResponse:
        """A page of a subject's memories, the last created first."""
        page = await self._memories.page(
            _tenant(),
            subject_of(request.subject),
            kinds=kinds_of(request.kinds),
            include_superseded=request.include_superseded,
            cursor=request.cursor,
            limit=page_size_of(request.page_size),
        )
        return pb.ListMemoriesResponse(
            memories=map(memory_message, page.memories), next_cursor=page.next_cursor
        )

    async def forget(self, request: pb.ForgetRequest) -> pb.ForgetResponse:
        """Remove memories for good."""
        require_idempotency_key(request.idempotency_key)
        caller = current_identity.get()
        receipt = await self._memories.forget(
            Asked(caller.tenant, caller.subject, _target_of(request), request.idempotency_key)
        )
        return pb.ForgetResponse(receipt=receipt_message(receipt))


def _target_of(request: pb.ForgetRequest) -> Target:
    match request.WhichOneof("target"):
        case "memory_ids":
            ids = tuple(request.memory_ids.ids)
            require_count(len(ids), "memory_ids.ids", high=MAX_IDS)
            for number, one in enumerate(ids):
                require_id(one, f"memory_ids.ids[{number}]")
            return OfIds(ids)
        case "subject":
            require_id(request.subject, "subject")
            return OfSubject(request.subject)
        case "session_id":
            require_session_id(request.session_id)
            return OfSession(request.session_id)
        case "filter":
            return _matching_of(request.filter)
    raise InvalidArgumentError("target", "set one of memory_ids, subject, session_id, filter")


def _matching_of(message: pb.MemoryFilter) -> Matching:
    if message.subject:
        require_id(message.subject, "filter.subject")
    matching = Matching(
        subject=message.subject,
        kinds=kinds_of(message.kinds, "filter.kinds"),
        created_from=optional_time(message, "created_from", "filter."),
        created_before=optional_time(message, "created_before", "filter."),
    )
    require(
        matching != Matching(),
        "filter",
        "set at least one of subject, kinds, created_from, created_before",
    )
    return matching


def _once(request: pb.RememberRequest | pb.UpdateMemoryRequest, subject: str = "") -> Once:
    key = request.idempotency_key
    # An empty subject is the caller's: another caller's request is another request.
    return Once(key, digest_of(request) + subject.encode() if key else b"")


def _tenant() -> str:
    return current_identity.get().tenant
