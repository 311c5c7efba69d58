"""Looking at an index that nobody serves, checking it, and making it smaller."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from groundwire_index import Index
from groundwire_index.compacted import compact
from groundwire_index.errors import FailedPreconditionError, NotFoundError
from groundwire_index.filters import Condition, Operator
from groundwire_index.inspect import CollectionStat, stat
from groundwire_index.records import CollectionSpec, Metric, Record
from groundwire_index.stopped import stopped
from groundwire_index.verify import verify, verify_catalog

from tests.unit.index.samples import TENANT

COUNT = 2500
DIMENSION = 8
# 1,000 vectors to a segment.
SEGMENT_BYTES = 1000 * 4 * DIMENSION


def open_index(path: Path) -> Index:
    return Index.open(
        path, segment_bytes=SEGMENT_BYTES, background=False, index_fields_from=COUNT // 2
    )


@pytest.fixture
def path(folder: Path) -> Path:
    """An index of one collection with everything in it, closed."""
    path = folder / "index"
    vectors = np.random.default_rng(3).standard_normal((COUNT, DIMENSION)).astype(np.float32)
    with open_index(path) as index:
        spec = CollectionSpec("c", Metric.COSINE, DIMENSION, index_kind="sq8")
        index.create_collection(TENANT, spec)
        index.set_alias(TENANT, "other", "c")
        collection = index.collection(TENANT, "c")
        collection.upsert(
            [
                Record(str(n), vector, f"text of number {n}", {"a": n, "shelf": n % 10})
                for n, vector in enumerate(vectors)
            ]
        )
        collection.count(Condition("shelf", Operator.EQ, 1))
        while collection.upkeep.index_field():
            pass
        while collection.upkeep.build_index():
            pass
        collection.delete_ids([str(n) for n in range(500)])
    return path


def stat_of(path: Path) -> CollectionStat:
    with stopped(path) as index:
        (collection,) = index.collections()
        return stat(collection, index.connections)


def damage(path: Path) -> list[str]:
    """The files that are said to be damaged."""
    with stopped(path) as index:
        found = list(verify_catalog(index))
        if not found:
            for collection in index.collections():
                found += verify(collection, index.connections)
    return [one.file.name for one in found]


def test_stat_says_what_there_is(path: Path) -> None:
    found = stat_of(path)
    assert (found.tenant, found.name, found.aliases) == (TENANT, "c", ("other",))
    assert (found.records, found.vectors, found.sequence) == (2000, 2000, 2)
    assert [(one.slots, one.live) for one in found.segments] == [
        (1000, 500),
        (1000, 1000),
        (500, 500),
    ]
    assert found.segments[0].dead_share == 0.5
    assert [(one.kind, one.vectors) for one in found.anns] == [("sq8", COUNT)]
    assert found.ann_coverage == 1.0
    assert "shelf" in found.indexed_fields
    assert found.disk_bytes >= 4 * DIMENSION * COUNT


def test_a_sound_index_is_found_sound(path: Path) -> None:
    assert damage(path) == []


def flip(file: Path, at: int, bit: int = 1) -> None:
    data = bytearray(file.read_bytes())
    data[at] ^= bit
    file.write_bytes(data)


def flip_text(file: Path, text: bytes) -> None:
    """In the last letter."""
    flip(file, file.read_bytes().index(text) + len(text) - 1)


@dataclass(frozen=True)
class Flip:
    """Damages one file below an index."""

    pattern: str
    do: Callable[[Path], None]


FLIPS = {
    "vector": Flip("collections/*/segments/2.f32", lambda file: flip(file, 4 * DIMENSION * 7)),
    "ann": Flip("collections/*/anns/*.faiss", lambda file: flip(file, 2000)),
    "text": Flip(
        "collections/*/collection.db", lambda file: flip_text(file, b"text of number 2499")
    ),
    "metadata": Flip(
        "collections/*/collection.db", lambda file: flip_text(file, b'"a":2403,"shelf":3')
    ),
    "digit": Flip("collections/*/collection.db", lambda file: flip_text(file, b'"a":2402')),
    "free": Flip("collections/*/collection.db", lambda file: flip(file, 4096 * 9 - 300)),
    "page": Flip("collections/*/collection.db", lambda file: flip(file, 4096 * 3, 0xFF)),
    "header": Flip("collections/*/collection.db", lambda file: flip(file, 0)),
    "catalog": Flip("catalog.db", lambda file: flip(file, 0)),
    "spec": Flip("catalog.db", lambda file: flip_text(file, b'"dimension": 8')),
}


@pytest.mark.parametrize("name", FLIPS)
def test_a_flipped_bit_is_found_and_its_file_named(path: Path, name: str) -> None:
    chosen = FLIPS[name]
    (file,) = path.glob(chosen.pattern)
    chosen.do(file)
    assert set(damage(path)) == {file.name}


def test_a_missing_file_is_named(path: Path) -> None:
    files = [*path.glob("collections/*/segments/1.f32"), *path.glob("collections/*/anns/*.faiss")]
    for file in files:
        file.unlink()
    assert set(damage(path)) == {file.name for file in files}


def test_a_missing_database_is_named(path: Path) -> None:
    (file,) = path.glob("collections/*/collection.db")
    file.unlink()
    assert set(damage(path)) == {"collection.db"}


def test_compacting_gives_back_what_is_dead(path: Path) -> None:
    before = stat_of(path)
    (done,) = compact(path)
    after = stat_of(path)
    assert (done.tenant, done.name, done.purged, done.error) == (TENANT, "c", 500, "")
    assert done.bytes_before == before.disk_bytes
    assert done.bytes_after == after.disk_bytes < before.disk_bytes
    assert all(one.dead_share < 0.2 for one in after.segments)
    assert sum(one.live for one in after.segments) == 2000
    assert after.ann_coverage == 1.0
    assert damage(path) == []
    with open_index(path) as index:
        assert index.collection(TENANT, "other").count().count == 2000


def test_one_that_is_open_is_left_alone(path: Path) -> None:
    for look in (stat_of, damage, compact):
        with open_index(path), pytest.raises(FailedPreconditionError, match="in use by process"):
            look(path)


def test_there_must_be_an_index(folder: Path) -> None:
    for look in (stat_of, damage, compact):
        with pytest.raises(NotFoundError, match="no index"):
            look(folder / "nothing")
    assert not (folder / "nothing").exists()
