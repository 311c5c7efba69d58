"""The parts of an ingest, each on its own."""

from __future__ import annotations

import asyncio
import hashlib
import tempfile
import threading
from collections.abc import Sequence
from contextlib import aclosing
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from groundwire_index.errors import (
    InvalidArgumentError,
    ResourceExhaustedError,
    UnavailableError,
)
from groundwire_server.embedders.embedder import Embeddings, EmbedKind
from groundwire_server.ingestion.chunk_records import chunk_id
from groundwire_server.ingestion.chunking import Chunking, chunking_of
from groundwire_server.ingestion.embedding import embed_passages
from groundwire_server.ingestion.keyed_locks import KeyedLocks
from groundwire_server.ingestion.slots import Slots
from groundwire_server.ingestion.upload import Upload

from tests.patience import PATIENCE_S
from tests.unit.retrieve.letters import LettersEmbedder

# --- upload ---


@pytest.mark.parametrize("sizes", [[], [0], [10], [2**20], [2**19] * 5, [3 * 2**20, 1]])
async def test_an_upload_gives_back_what_arrived(tmp_path: Path, sizes: list[int]) -> None:
    pieces = [bytes([number]) * size for number, size in enumerate(sizes)]
    with Upload(tmp_path, 2**23) as upload:
        for piece in pieces:
            await upload.add(piece)
        whole = b"".join(pieces)
        assert upload.size == len(whole)
        assert await upload.sha256() == hashlib.sha256(whole).hexdigest()
        assert upload.read() == whole
        assert upload.read() == whole


def names_in(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir()]


async def test_an_upload_leaves_no_file_behind(tmp_path: Path) -> None:
    with Upload(tmp_path, 2**23) as upload:
        await upload.add(bytes(2**21))
        assert names_in(tmp_path) == []
    assert names_in(tmp_path) == []


async def test_an_upload_past_its_limit_is_refused(tmp_path: Path) -> None:
    with Upload(tmp_path, 100) as upload:
        await upload.add(bytes(100))
        with pytest.raises(InvalidArgumentError, match="100 bytes"):
            await upload.add(b"x")


async def test_a_full_disk_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    full = Path("/dev/full")
    monkeypatch.setattr(tempfile, "TemporaryFile", lambda **_: full.open("r+b"))
    with Upload(tmp_path, 2**23) as upload, pytest.raises(ResourceExhaustedError, match="full"):
        await upload.add(bytes(2**21))


async def test_a_folder_that_cannot_be_written_to_says_so(tmp_path: Path) -> None:
    missing = tmp_path / "none"
    with Upload(missing, 2**23) as upload, pytest.raises(UnavailableError, match="none"):
        await upload.add(bytes(2**21))


# --- locks and slots ---


async def test_holders_of_one_key_take_turns_and_others_do_not_wait() -> None:
    locks = KeyedLocks()
    order: list[str] = []

    async def second() -> None:
        async with locks.hold("a"):
            order.append("second")

    async with locks.hold("a"):
        waiting = asyncio.create_task(second())
        async with locks.hold("b"):
            order.append("other")
        order.append("first")
    await waiting
    assert order == ["other", "first", "second"]
    assert locks._locks == {}


async def test_a_holder_that_is_cancelled_while_waiting_leaves_nothing() -> None:
    locks = KeyedLocks()

    async def hold() -> None:
        async with locks.hold("a"):
            pass

    async with locks.hold("a"):
        waiting = asyncio.create_task(hold())
        await asyncio.sleep(0)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
    assert locks._locks == {}


async def test_a_slot_stays_taken_until_its_work_ends_although_the_caller_left() -> None:
    slots = Slots(1)
    started, finish = threading.Event(), threading.Event()

    def work() -> None:
        started.set()
        assert finish.wait(PATIENCE_S)

    first = asyncio.create_task(slots.run(work))
    assert await asyncio.to_thread(started.wait, PATIENCE_S)
    first.cancel()
    with pytest.raises(asyncio.CancelledError):
        await first

    ran = threading.Event()
    second = asyncio.create_task(slots.run(ran.set))
    await asyncio.to_thread(lambda: None)
    assert not ran.is_set()
    finish.set()
    await second
    assert ran.is_set()


# --- embedding ---


async def test_vectors_come_in_the_order_of_the_texts() -> None:
    embedder = LettersEmbedder()
    texts = [f"{number:b}".replace("0", "a").replace("1", "b") for number in range(1, 200)]
    async with aclosing(embed_passages(embedder, texts)) as windows:
        vectors = np.concatenate([window async for window in windows])
    expected = (await embedder.embed(texts, EmbedKind.PASSAGE)).vectors
    np.testing.assert_array_equal(vectors, expected)


class Gated(LettersEmbedder):
    """Answers nothing until the gate opens; counts the calls that wait."""

    def __init__(self) -> None:
        super().__init__()
        self.gate = asyncio.Event()
        self.called = asyncio.Semaphore(0)
        self.waiting = 0

    async def embed(self, texts: Sequence[str], kind: EmbedKind, **options: Any) -> Embeddings:
        self.waiting += 1
        self.called.release()
        try:
            await self.gate.wait()
        finally:
            self.waiting -= 1
        return await super().embed(texts, kind, **options)


async def test_the_next_texts_wait_at_the_embedder_while_it_works_on_the_first() -> None:
    embedder = Gated()
    async with (
        asyncio.timeout(PATIENCE_S),
        aclosing(embed_passages(embedder, ["a"] * 1000)) as windows,
    ):
        first = asyncio.create_task(anext(windows))
        for _ in range(3):
            await embedder.called.acquire()
        await asyncio.sleep(0)
        assert embedder.waiting == 3
        embedder.gate.set()
        assert len(await first) > 0


async def test_a_caller_that_leaves_takes_its_texts_with_it() -> None:
    embedder = Gated()

    async def embed() -> None:
        async with aclosing(embed_passages(embedder, ["a"] * 1000)) as windows:
            async for _ in windows:
                pass

    caller = asyncio.create_task(embed())
    async with asyncio.timeout(PATIENCE_S):
        for _ in range(3):
            await embedder.called.acquire()
    caller.cancel()
    await asyncio.wait([caller], timeout=PATIENCE_S)
    assert caller.cancelled()
    assert embedder.waiting == 0


# --- chunks ---

DEFAULT = Chunking(192, 32)


@pytest.mark.parametrize(
    ("size", "overlap", "expected"),
    [
        (None, None, Chunking(192, 32)),
        (16, None, Chunking(16, 7)),
        (254, 126, Chunking(254, 126)),
        (16, 7, Chunking(16, 7)),
        (None, 0, Chunking(192, 0)),
    ],
)
def test_sizes_that_are_absent_are_the_servers_as_far_as_they_fit(
    size: int | None, overlap: int | None, expected: Chunking
) -> None:
    assert chunking_of(size, overlap, default=DEFAULT, limit=254) == expected


def test_the_default_size_gives_way_to_what_the_embedder_reads() -> None:
    assert chunking_of(None, None, default=DEFAULT, limit=126) == Chunking(126, 32)


@pytest.mark.parametrize(
    ("size", "overlap", "field"),
    [
        (15, None, "chunking.max_tokens"),
        (255, None, "chunking.max_tokens"),
        (16, 8, "chunking.overlap_tokens"),
        (None, 96, "chunking.overlap_tokens"),
    ],
)
def test_sizes_out_of_range_are_refused(size: int | None, overlap: int | None, field: str) -> None:
    with pytest.raises(InvalidArgumentError) as refused:
        chunking_of(size, overlap, default=DEFAULT, limit=254)
    assert refused.value.violations[0].field == field


def test_chunk_ids_are_the_documents_id_and_the_ordinal() -> None:
    assert chunk_id("guide.pdf", 3) == "guide.pdf#3"


def test_chunk_ids_of_the_longest_document_ids_are_allowed_and_differ() -> None:
    first, second = "x" * 511 + "a", "x" * 511 + "b"
    assert len(chunk_id(first, 2**32).encode()) <= 512
    assert chunk_id(first, 0) != chunk_id(second, 0)
