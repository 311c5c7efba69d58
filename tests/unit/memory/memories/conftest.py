"""Memories over a real index, with an embedder that needs no weights and a clock of the test's."""

from __future__ import annotations

import os
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from groundwire_index import Index
from groundwire_server.memory.memories.memory import (
    Memory,
    MemoryKind,
    NewMemory,
    Question,
    Recalled,
)
from groundwire_server.memory.memories.receipts import Receipts
from groundwire_server.memory.memories.store import Memories, Once

from tests.unit.retrieve.letters import LettersEmbedder

TENANT, SUBJECT = "acme", "ada"
NO_KEY = Once()


class Clock:
    """An aware time, as the test sets it."""

    def __init__(self) -> None:
        self.time = datetime(2026, 5, 1, 12, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.time

    def advance(self, **delta: float) -> datetime:
        self.time += timedelta(**delta)
        return self.time


@dataclass
class Opened:
    """Memories, what is behind them, and short ways to use them."""

    memories: Memories
    index: Index
    embedder: LettersEmbedder
    receipts: Receipts
    folder: Path

    async def remember(
        self, text: str, *, tenant: str = TENANT, once: Once = NO_KEY, **fields: Any
    ) -> Memory:
        new = NewMemory(**{"subject": SUBJECT, "kind": MemoryKind.FACT, "text": text, **fields})
        return await self.memories.remember(tenant, new, once)

    async def recalled(self, query: str, *, tenant: str = TENANT, **fields: Any) -> list[Recalled]:
        question = Question(**{"subject": SUBJECT, "query": query, "top_k": 100, **fields})
        return list(await self.memories.recall(tenant, question))

    async def texts(self, query: str = "x", **fields: Any) -> set[str]:
        return {one.memory.text for one in await self.recalled(query, **fields)}

    async def listed(
        self, subject: str = SUBJECT, tenant: str = TENANT, **how: Any
    ) -> list[Memory]:
        found: list[Memory] = []
        cursor = ""
        while True:
            page = await self.memories.page(tenant, subject, cursor=cursor, **how)
            found += page.memories
            if not (cursor := page.next_cursor):
                return found


Open = Callable[..., AbstractContextManager[Opened]]


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """A folder in memory where there is such a file system: syncs are free there."""
    memory = Path("/dev/shm")
    if not os.access(memory, os.W_OK):
        yield tmp_path
        return
    with tempfile.TemporaryDirectory(dir=memory, prefix="groundwire-test-") as path:
        yield Path(path)


@pytest.fixture
def opening(folder: Path, clock: Clock) -> Open:
    """Opens the memories of the folder; when they have been closed, the same again."""

    @contextmanager
    def opening(model: str = "letters", **options: Any) -> Iterator[Opened]:
        embedder = LettersEmbedder(model)
        receipts = Receipts(folder / "memories")
        options.setdefault("now", lambda: clock().timestamp())
        with Index.open(folder / "index", **options) as index:
            memories = Memories(lambda: index, embedder, receipts, clock=clock)
            yield Opened(memories, index, embedder, receipts, folder)

    return opening


@pytest.fixture
async def opened(opening: Open) -> AsyncIterator[Opened]:
    with opening() as opened:
        yield opened
