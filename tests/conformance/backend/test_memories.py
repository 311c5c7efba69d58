"""Memories are kept by every backend of the index."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from groundwire_index.backend import IndexBackend
from groundwire_server.memory.memories.forgetting import Asked
from groundwire_server.memory.memories.memory import (
    MemoryChange,
    MemoryKind,
    NewMemory,
    OfSubject,
    Question,
)
from groundwire_server.memory.memories.receipts import Receipts
from groundwire_server.memory.memories.store import Memories, Once

from tests.unit.retrieve.letters import LettersEmbedder


async def test_memories_are_kept_replaced_and_forgotten(
    index: IndexBackend, tenant: str, tmp_path: Path
) -> None:
    memories = Memories(lambda: index, LettersEmbedder(), Receipts(tmp_path / "receipts"))
    boat = NewMemory("ada", "owns a boat", MemoryKind.FACT)
    old = await memories.remember(tenant, boat, Once("key", b"boat"))
    assert await memories.remember(tenant, boat, Once("key", b"boat")) == old
    his = await memories.remember(tenant, NewMemory("bob", "owns a boat", MemoryKind.FACT))
    new = await memories.update(tenant, old.id, MemoryChange(text="sold the boat"))
    ended = replace(old, superseded_by=new.id, valid_until=new.valid_from)

    (now,) = await memories.recall(tenant, Question("ada", "boat"))
    (then,) = await memories.recall(tenant, Question("ada", "boat", as_of=old.valid_from))
    assert (now.memory, then.memory) == (new, ended)
    assert 0 < now.score <= 1
    page = await memories.page(tenant, "ada", include_superseded=True, limit=1)
    rest = await memories.page(
        tenant, "ada", include_superseded=True, limit=1, cursor=page.next_cursor
    )
    assert [*page.memories, *rest.memories] == [new, ended]
    assert rest.next_cursor == ""

    receipt = await memories.forget(Asked(tenant, "ada", OfSubject("ada")))
    assert receipt.removed == {"memory": 1, "index_row": 2}
    assert await memories.recall(tenant, Question("ada", "boat")) == []
    assert [one.memory for one in await memories.recall(tenant, Question("bob", "boat"))] == [his]
    assert index.list_collections(tenant) == []
