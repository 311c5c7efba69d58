"""A real disk that fills up while a collection is tended: searches and writes that fit go on."""

from __future__ import annotations

import logging
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from groundwire_index import Collection, CollectionSpec, Index, Metric, Record
from groundwire_index.errors import ResourceExhaustedError
from groundwire_index.purge import RETENTION_S
from groundwire_index.records import SearchQuery
from groundwire_index.upkeep import Upkeep

from tests.small_disk import small_disk
from tests.unit.index.samples import TENANT, Clock

DIMENSION = 128
COUNT = 4500
# Of all but the last few vectors, and half a megabyte of room for what is copied of them.
SEGMENT_BYTES = 4000 * 4 * DIMENSION
ROOM = 2**19

VECTORS = np.random.default_rng(1).normal(size=(COUNT, DIMENSION)).astype(np.float32)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    with small_disk(tmp_path / "disk", 16) as disk:
        yield disk


@pytest.fixture
def collection(disk: Path, clock: Clock) -> Iterator[Collection]:
    with Index.open(disk / "i", now=clock, segment_bytes=SEGMENT_BYTES, background=False) as index:
        index.create_collection(TENANT, CollectionSpec("c", Metric.COSINE, DIMENSION, None, "sq8"))
        collection = index.collection(TENANT, "c")
        collection.upsert([Record(f"r{n}", vector) for n, vector in enumerate(VECTORS)])
        collection.delete_ids([f"r{number}" for number in range(1000)])
        clock.advance(RETENTION_S + 1)
        collection.upkeep.purge()
        yield collection


@contextmanager
def little_room(disk: Path) -> Iterator[None]:
    filler = disk / "filler"
    free = os.statvfs(disk)
    with filler.open("wb") as file:
        os.posix_fallocate(file.fileno(), 0, free.f_bavail * free.f_frsize - ROOM)
    yield
    filler.unlink(missing_ok=True)


def room(disk: Path) -> int:
    free = os.statvfs(disk)
    return free.f_bavail * free.f_frsize


def check(collection: Collection) -> None:
    for number in (1000, 2500, COUNT - 1):
        (hit,) = collection.search(SearchQuery(VECTORS[number], top_k=1)).hits
        assert hit.id == f"r{number}"


@pytest.mark.parametrize("work", [Upkeep.build_index, Upkeep.compact])
def test_searches_and_writes_that_fit_go_on(
    collection: Collection, disk: Path, work: Callable[[Upkeep], bool]
) -> None:
    with little_room(disk):
        left = room(disk)
        for number in range(4):
            with pytest.raises(ResourceExhaustedError, match="full"):
                work(collection.upkeep)
            assert room(disk) >= left - 2**17, "what failed has given back its room"
            collection.upsert([Record(f"new{number}", VECTORS[number])])
            (hit,) = collection.search(SearchQuery(VECTORS[number], top_k=1)).hits
            assert hit.id == f"new{number}"
            check(collection)
    while work(collection.upkeep):
        pass
    check(collection)
    assert collection.info().records == COUNT - 1000 + 4


def test_the_background_tries_again_when_there_is_room_and_not_before(
    collection: Collection, disk: Path, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    del collection
    shutil.copytree(disk / "i", disk / "copy")
    opened = Index.open(disk / "copy", now=clock, segment_bytes=SEGMENT_BYTES)
    with little_room(disk), opened as index:
        copied, indexer = index.collection(TENANT, "c"), index._background.indexer
        assert indexer is not None
        with caplog.at_level(logging.WARNING):
            for number in range(8):
                copied.upsert([Record(f"new{number}", VECTORS[number])])
                assert indexer.wait(30)
        check(copied)
        # An index and a copy, and what was due again before they had failed; not for every write.
        assert caplog.text.count("is full") <= 4
        (disk / "filler").unlink()
        copied.upsert([Record("last", VECTORS[0])])
        assert indexer.wait(30)
        assert not copied.upkeep.compact()
        check(copied)
