"""Long-term memories of every tenant: written, found and forgotten.

They are records of the index, so a write is durable and readable when it returns. No model that
generates text has a part in it; the embedder has.
"""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import cast

from groundwire_index.backend import CollectionBackend, IndexBackend
from groundwire_index.errors import (
    AlreadyExistsError,
    GroundwireError,
    InvalidArgumentError,
    NotFoundError,
)
from groundwire_index.filters import Filter
from groundwire_index.records import Record, SearchMode, Vector

from groundwire_server.blocking import run_blocking
from groundwire_server.embedders.embedder import Embedder, EmbedKind
from groundwire_server.memory.memories.derived import NoSummaries, Summaries
from groundwire_server.memory.memories.forgetting import Asked, Forgetting
from groundwire_server.memory.memories.memory import (
    Memory,
    MemoryChange,
    MemoryKind,
    MemoryPage,
    NewMemory,
    OfSubject,
    Question,
    Recalled,
    Receipt,
)
from groundwire_server.memory.memories.partitions import Partitions, require_same
from groundwire_server.memory.memories.recalling import recall
from groundwire_server.memory.memories.receipts import Receipts
from groundwire_server.memory.memories.selection import current, expired, versions
from groundwire_server.memory.memories.stored import as_first, memory_of, record_of, request_of
from groundwire_server.memory.memories.versions import begun, changed, no_memory, replaceable

CONTEXT_MEMORIES = 10
# What is about to be answered may be as long as a message; no embedder reads as much.
_QUERY_CHARACTERS = 16 * 2**10


def utc_now() -> datetime:
    """The time, aware, in UTC."""
    return datetime.now(UTC)


@dataclass(frozen=True, slots=True)
class Once:
    """What makes two requests the same; without a key, each is another."""

    key: str = ""
    digest: bytes = b""

    def new_id(self, tenant: str) -> str:
        """An id for what is made: the same for the same key."""
        if not self.key:
            return uuid.uuid4().hex
        return hashlib.sha256(f"memory\0{tenant}\0{self.key}".encode()).hexdigest()[:32]


class Memories:
    """Long-term memories, apart for each tenant, and in it for each subject."""

    def __init__(
        self,
        index: Callable[[], IndexBackend],
        embedder: Embedder,
        receipts: Receipts,
        *,
        summaries: Summaries | None = None,
        clock: Callable[[], datetime] = utc_now,
    ) -> None:
        """``index`` gives the index once it is open; ``clock`` gives aware times."""
        self._index = index
        self._embedder = embedder
        self._clock = clock
        self._summaries = summaries or NoSummaries()
        self._partitions = Partitions(index)
        self._forgetting = Forgetting(self._partitions, receipts, clock)

    async def remember(self, tenant: str, new: NewMemory, once: Once = Once()) -> Memory:
        """Store a memory; it is readable when this returns.

        Raises AlreadyExistsError if the key came with another request, and NotFoundError if what
        it made was forgotten.
        """
        memory = begun(new, once.new_id(tenant), self._clock())
        fingerprint = self._embedder.fingerprint
        collection = await run_blocking(self._partitions.make, tenant, fingerprint)
        require_same(collection, fingerprint)
        if once.key and (first := await run_blocking(_answered, collection, memory.id, once)):
            return first
        vector = await self._embedded(new.text, EmbedKind.PASSAGE)
        return await run_blocking(_write, collection, memory, vector, (), once)

    async def recall(self, tenant: str, question: Question) -> Sequence[Recalled]:
        """The memories that matter for a question, best first."""
        collection = await run_blocking(self._partitions.find, tenant)
        if collection is None:
            return ()
        require_same(collection, self._embedder.fingerprint)
        vector = await self._embedded(question.query, EmbedKind.QUERY)
        mode = (
            SearchMode.HYBRID if self._index().text_mode is SearchMode.HYBRID else SearchMode.DENSE
        )
        return await run_blocking(recall, collection, question, vector, mode, self._clock())

    async def for_context(self, tenant: str, subject: str, query: str) -> Sequence[Memory]:
        """What is known of a subject that matters for a query, best first."""
        question = Question(subject, query[:_QUERY_CHARACTERS], CONTEXT_MEMORIES)
        return [one.memory for one in await self.recall(tenant, question)]

    async def update(
        self, tenant: str, memory_id: str, change: MemoryChange, once: Once = Once()
    ) -> Memory:
        """Put another in a memory's place, in one write; the new one.

        Raises NotFoundError if it is not there or has expired, and ConflictError if another is in
        its place already.
        """
        collection = await run_blocking(self._partitions.find, tenant)
        if collection is None:
            raise no_memory(memory_id)
        if change.text is not None:
            require_same(collection, self._embedder.fingerprint)
        if first := await run_blocking(self._known, collection, tenant, memory_id, once):
            return first
        vector = None
        if change.text is not None:
            vector = await self._embedded(change.text, EmbedKind.PASSAGE)
        return await run_blocking(
            self._replace, collection, tenant, memory_id, change, vector, once
        )

    async def page(
        self,
        tenant: str,
        subject: str,
        *,
        kinds: tuple[MemoryKind, ...] = (),
        include_superseded: bool = False,
        cursor: str = "",
        limit: int = 100,
    ) -> MemoryPage:
        """Memories of a subject, the last created first; at most ``limit``, 1 to 1,000."""
        collection = await run_blocking(self._partitions.find, tenant)
        if collection is None:
            if cursor:
                raise InvalidArgumentError("cursor", "is not of these memories: there are none")
            return MemoryPage((), "")
        where = (versions if include_superseded else current)(subject, kinds)
        page = await run_blocking(collection.newest, where, cursor=cursor, limit=limit)
        now = self._clock()
        found = [one for one in map(memory_of, page.records) if not one.has_expired(now)]
        return MemoryPage(found, page.next_cursor)

    async def forget(self, asked: Asked) -> Receipt:
        """Remove memories for good, and the summaries of the sessions that they came from.

        The summaries go first: if those cannot be reached, nothing is removed. See
        `Forgetting.forget` for what else is raised.
        """
        if first := await run_blocking(self._forgetting.answered, asked):
            return first
        sessions = await run_blocking(self._forgetting.sessions, asked)
        removed = await self._summaries.forget(asked.tenant, sessions) if sessions else 0
        if isinstance(asked.target, OfSubject):
            removed += await self._summaries.forget_subject(asked.tenant, asked.target.subject)
        return await run_blocking(self._forgetting.forget, asked, removed)

    def sweep(self) -> int:
        """Remove what has expired, of every tenant; how many rows. Blocking.

        That opens the memories of all, so that the index purges what they have forgotten, too.
        Raises what one of them raised, when all have had their turn.
        """
        where = expired(self._clock())
        removed, failed = 0, None
        for tenant in self._partitions.tenants():
            try:
                removed += self._sweep(tenant, where)
            except GroundwireError as error:
                failed = error
        if failed is not None:
            raise failed
        return removed

    def _sweep(self, tenant: str, where: Filter) -> int:
        with self._partitions.turn(tenant):
            collection = self._partitions.find(tenant)
            if collection is None or not collection.count(where).count:
                return 0
            return collection.delete_filter(where).count

    async def _embedded(self, text: str, kind: EmbedKind) -> Vector:
        vector: Vector = (await self._embedder.embed([text], kind)).vectors[0]
        return vector

    def _known(
        self, collection: CollectionBackend, tenant: str, memory_id: str, once: Once
    ) -> Memory | None:
        """What an update was answered, or None; raises what it would raise."""
        if once.key and (first := _answered(collection, once.new_id(tenant), once)):
            return first
        replaceable(collection, memory_id, self._clock())
        return None

    def _replace(
        self,
        collection: CollectionBackend,
        tenant: str,
        memory_id: str,
        change: MemoryChange,
        vector: Vector | None,
        once: Once,
    ) -> Memory:
        with self._partitions.turn(tenant):
            new_id, now = once.new_id(tenant), self._clock()
            if once.key and (first := _answered(collection, new_id, once)):
                return first
            record = replaceable(collection, memory_id, now)
            own_vector = cast(Vector, record.vector)
            old = memory_of(record)
            new = changed(old, change, new_id, now)
            ended = replace(old, superseded_by=new_id, valid_until=new.valid_from)
            former = record_of(ended, own_vector, request_of(record.metadata))
            return _write(
                collection, new, own_vector if vector is None else vector, (former,), once
            )


def _write(
    collection: CollectionBackend,
    memory: Memory,
    vector: Vector,
    others: Sequence[Record],
    once: Once,
) -> Memory:
    """Write a memory with others in one write; what its key made before, if it did."""
    records = [record_of(memory, vector, once.digest.hex() if once.key else ""), *others]
    collection.upsert(records, idempotency_key=once.key, request_digest=once.digest)
    if not once.key:
        return memory
    (found,) = collection.get([memory.id])
    if found is None:
        raise NotFoundError(
            f'what idempotency key "{once.key}" made was forgotten: use a new key to have it again',
            reason="MEMORY_FORGOTTEN",
        )
    return as_first(memory_of(found))


def _answered(collection: CollectionBackend, memory_id: str, once: Once) -> Memory | None:
    """What was made under a key."""
    (found,) = collection.get([memory_id])
    if found is None:
        return None
    if request_of(found.metadata) != once.digest.hex():
        raise AlreadyExistsError(
            f'idempotency key "{once.key}" was used for another request: use a new key',
            reason="IDEMPOTENCY_KEY_REUSED",
        )
    return as_first(memory_of(found))
