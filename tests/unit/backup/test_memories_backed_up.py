"""Memories come back from a backup, and what proves that others were forgotten."""

from __future__ import annotations

import asyncio
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from groundwire_index import Index
from groundwire_server.backup.restoring import restore
from groundwire_server.memory.memories.forgetting import Asked
from groundwire_server.memory.memories.memory import (
    Memory,
    MemoryKind,
    NewMemory,
    OfIds,
    Receipt,
)
from groundwire_server.memory.memories.receipts import FOLDER, SIGNING_KEY, Receipts
from groundwire_server.memory.memories.store import Memories

from tests.unit.backup.stored import assert_stored, backed_up
from tests.unit.retrieve.letters import LettersEmbedder

TENANT, SUBJECT = "acme", "ada"


def in_folder(data_dir: Path, call: Callable[[Memories], Any]) -> Any:
    """What a call of the memories in a data folder gives."""
    receipts = Receipts(data_dir / FOLDER)
    with Index.open(data_dir / "index", background=False) as index:
        return asyncio.run(call(Memories(lambda: index, LettersEmbedder(), receipts)))


async def kept_and_forgotten(memories: Memories) -> tuple[Memory, Asked, Receipt]:
    new = [NewMemory(SUBJECT, text, MemoryKind.FACT) for text in ("kept", "gone")]
    kept, gone = [await memories.remember(TENANT, one) for one in new]
    asked = Asked(TENANT, SUBJECT, OfIds((gone.id,)), "key")
    return kept, asked, await memories.forget(asked)


@pytest.mark.parametrize("form", ["b", "b.tar.gz"])
def test_memories_and_receipts_come_back(data: Path, tmp_path: Path, form: str) -> None:
    kept, asked, receipt = in_folder(data, kept_and_forgotten)
    backed_up(data, tmp_path / form)
    restored = tmp_path / "restored"
    restore(tmp_path / form, restored, "", lambda _: None, replacing=False)

    async def listed(memories: Memories) -> list[Memory]:
        return list((await memories.page(TENANT, SUBJECT)).memories)

    assert in_folder(restored, listed) == [kept]
    assert in_folder(restored, lambda memories: memories.forget(asked)) == receipt
    key = restored / FOLDER / SIGNING_KEY
    assert stat.S_IMODE(key.stat().st_mode) == 0o600
    assert Receipts(restored / FOLDER).is_genuine(TENANT, receipt)
    assert_stored(restored)
