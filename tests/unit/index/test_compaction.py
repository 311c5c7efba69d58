"""The room of what was purged is given back, beside reads and writes, and nothing else changes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from groundwire_index import Collection, CollectionSpec, Index, Metric, Record, VectorType
from groundwire_index import compaction as module
from groundwire_index.ann import BuildCancelledError
from groundwire_index.errors import DataLossError
from groundwire_index.purge import RETENTION_S
from groundwire_index.records import SearchQuery

from tests.unit.index.samples import TENANT, WITH_VECTOR, Clock

DIMENSION = 4
COUNT = 35


def sample(number: int, version: int = 0) -> Record:
    """One whose vector any type holds as it is."""
    values = np.random.default_rng([number, version]).standard_normal(DIMENSION)
    vector = values.astype(np.float16).astype(np.float32)
    return Record(f"r{number}", vector, metadata={"version": version})


@pytest.fixture(autouse=True)
def small_slices(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_SLICE", 3)


@pytest.fixture
def vector_type() -> VectorType:
    return VectorType.FLOAT32


@pytest.fixture
def open_index(folder: Path, clock: Clock, vector_type: VectorType) -> Callable[[], Index]:
    # 10 vectors to a segment.
    size = 10 * DIMENSION * vector_type.dtype.itemsize
    return lambda: Index.open(folder / "i", now=clock, segment_bytes=size, background=False)


@pytest.fixture
def index(open_index: Callable[[], Index]) -> Iterator[Index]:
    with open_index() as index:
        yield index


@pytest.fixture
def collection(index: Index, vector_type: VectorType) -> Collection:
    spec = CollectionSpec("c", Metric.COSINE, DIMENSION, vector_type=vector_type)
    index.create_collection(TENANT, spec)
    collection = index.collection(TENANT, "c")
    collection.upsert([sample(number) for number in range(COUNT)])
    return collection


def delete(collection: Collection, clock: Clock, numbers: range) -> None:
    """Delete records, and let their retention pass."""
    collection.delete_ids([f"r{number}" for number in numbers])
    clock.advance(RETENTION_S + 1)
    collection.upkeep.purge()


def compact(collection: Collection, cancelled: Callable[[], bool] = lambda: False) -> int:
    """Until nothing is left to do; how often there was something."""
    times = 0
    while collection.upkeep.compact(cancelled):
        times += 1
    return times


def assert_holds(collection: Collection, numbers: list[int], version: int = 0) -> None:
    expected = [sample(number, version) for number in numbers]
    found = collection.get([one.id for one in expected], WITH_VECTOR)
    for one, other in zip(expected, found, strict=True):
        assert other is not None
        assert (other.id, other.metadata) == (one.id, one.metadata)
        assert np.array_equal(other.vector, one.vector)
        (hit,) = collection.search(SearchQuery(one.vector, top_k=1)).hits
        assert (hit.id, hit.score) == (one.id, pytest.approx(1.0))
    assert collection.info().vectors == len(expected)


def bytes_of_vectors(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*.f*"))


def test_what_is_left_is_as_it_was(collection: Collection, clock: Clock) -> None:
    order = [record.id for record in collection.scroll(limit=100).records]
    delete(collection, clock, range(20))
    assert compact(collection) > 0
    assert_holds(collection, list(range(20, COUNT)))
    assert [record.id for record in collection.scroll(limit=100).records] == order[20:]
    collection.upsert([sample(40)])
    assert_holds(collection, [*range(20, COUNT), 40])
    assert not collection.upkeep.compact()


@pytest.mark.parametrize("vector_type", VectorType)
def test_the_files_of_dropped_segments_go_when_no_read_can_want_them(
    collection: Collection, clock: Clock, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_PATIENCE_S", 0.0)
    delete(collection, clock, range(30))
    before = bytes_of_vectors(folder)
    compact(collection)
    assert bytes_of_vectors(folder) >= before, "a read that has begun may still want them"
    collection.upkeep.purge()
    assert bytes_of_vectors(folder) < before
    assert_holds(collection, list(range(30, COUNT)))


def test_what_is_still_retained_is_not_moved_until_it_is_purged(
    collection: Collection, clock: Clock
) -> None:
    collection.delete_ids([f"r{number}" for number in range(20)])
    assert not collection.upkeep.compact()
    assert not collection.upkeep.compact()
    clock.advance(RETENTION_S + 1)
    collection.upkeep.purge()
    assert collection.upkeep.compact()


def test_little_that_is_gone_is_left(collection: Collection, clock: Clock) -> None:
    delete(collection, clock, range(1))
    assert not collection.upkeep.compact()


@pytest.mark.parametrize("moves", range(4))
def test_one_that_was_interrupted_is_finished_after_the_next_start(
    open_index: Callable[[], Index], clock: Clock, folder: Path, moves: int
) -> None:
    with open_index() as index:
        index.create_collection(TENANT, CollectionSpec("c", Metric.COSINE, DIMENSION))
        collection = index.collection(TENANT, "c")
        collection.upsert([sample(number) for number in range(COUNT)])
        delete(collection, clock, range(0, 20, 2))
        left = iter(range(moves))
        with pytest.raises(BuildCancelledError):
            compact(collection, lambda: next(left, None) is None)
        kept = [number for number in range(COUNT) if number % 2 or number >= 20]
        assert_holds(collection, kept)
    with open_index() as index:
        collection = index.collection(TENANT, "c")
        assert_holds(collection, kept)
        collection.upsert([sample(50)])
        compact(collection)
        assert_holds(collection, [*kept, 50])
    with open_index() as index:
        collection = index.collection(TENANT, "c")
        assert_holds(collection, [*kept, 50])
        assert len(collection._store.writer.latest().space) < COUNT


@pytest.mark.parametrize("vector_type", VectorType)
def test_writes_go_on_while_rows_are_moved(collection: Collection, clock: Clock) -> None:
    delete(collection, clock, range(0, 20, 2))
    writes = iter(
        [
            lambda: collection.upsert([sample(3, 1)]),
            lambda: collection.delete_ids(["r5"]),
            lambda: collection.upsert([sample(100)]),
            lambda: collection.delete_ids(["r1"]),
        ]
    )

    def write_between() -> bool:
        next(writes, lambda: None)()
        return False

    compact(collection, write_between)
    assert next(writes, None) is None
    gone = {1, 3, 5}
    kept = [n for n in range(COUNT) if (n % 2 or n >= 20) and n not in gone]
    found = collection.get([f"r{n}" for n in (1, 5)])
    assert found == [None, None]
    (changed,) = collection.get(["r3"], WITH_VECTOR)
    assert changed is not None
    assert np.array_equal(changed.vector, sample(3, 1).vector)
    (hit,) = collection.search(SearchQuery(sample(3, 1).vector, top_k=1)).hits
    assert hit.id == "r3"
    collection.delete_ids(["r3", "r100"])
    assert_holds(collection, kept)


@pytest.mark.parametrize("vector_type", VectorType)
def test_a_scroll_goes_on_over_a_compaction(collection: Collection, clock: Clock) -> None:
    delete(collection, clock, range(0, 20, 2))
    page = collection.scroll(limit=5, include=WITH_VECTOR)
    collection.delete_ids(["r21", "r23"])
    assert compact(collection) > 0
    seen = list(page.records)
    while page.next_cursor:
        page = collection.scroll(cursor=page.next_cursor, limit=5, include=WITH_VECTOR)
        seen += page.records
    kept = [number for number in range(COUNT) if number % 2 or number >= 20]
    assert [record.id for record in seen] == [f"r{number}" for number in kept]
    assert all(np.array_equal(r.vector, sample(int(r.id[1:])).vector) for r in seen)


def test_a_damaged_segment_is_named_and_not_moved(
    collection: Collection, clock: Clock, folder: Path
) -> None:
    delete(collection, clock, range(9))
    (path,) = folder.rglob("1.f32")
    with path.open("r+b") as file:
        file.seek(9 * 4 * DIMENSION)
        file.write(b"\xff")
    with pytest.raises(DataLossError, match=r"1\.f32"):
        collection.upkeep.compact()
    found = collection.get([f"r{number}" for number in range(10, COUNT)], WITH_VECTOR)
    assert None not in found


def test_segments_that_compaction_has_cut_short_gather(
    collection: Collection, clock: Clock
) -> None:
    kept = list(range(COUNT))
    for number in range(COUNT, COUNT + 120, 3):
        # Of what is written, one stays and two go, so that there is something to move each time.
        collection.upsert([sample(one) for one in range(number, number + 3)])
        delete(collection, clock, range(number + 1, number + 3))
        kept.append(number)
        compact(collection)
    assert_holds(collection, kept)
    segments = [len(segment.rows) for segment in collection._store.writer.latest().space.segments]
    assert len(segments) <= len(kept) / 10 + module.SMALL, segments
