"""Disks that fill up or fail while a collection is tended: only the tending suffers."""

from __future__ import annotations

import errno
import io
import logging
import os
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path

import numpy as np
import pytest
from groundwire_index import (
    Collection,
    CollectionSpec,
    Index,
    Metric,
    Record,
    ann_builder,
    compaction,
)
from groundwire_index.anns import AnnView
from groundwire_index.errors import GroundwireError, ResourceExhaustedError, UnavailableError
from groundwire_index.filters import Condition, Not, Operator
from groundwire_index.purge import RETENTION_S
from groundwire_index.records import SearchQuery
from groundwire_index.storage import connections
from groundwire_index.storage.connections import Role

from tests.unit.index import oracle
from tests.unit.index.samples import TENANT, Clock

DIMENSION = 8
SEGMENT_BYTES = 4 * DIMENSION * 50
COUNT = 230
LEFT = COUNT - 60

Fault = Callable[[], AbstractContextManager[None]]
Work = Callable[[Collection], object]


def sample(number: int) -> Record:
    vector = np.random.default_rng(number).normal(size=DIMENSION).astype(np.float32)
    return Record(f"r{number}", vector, f"text {number}", {"shelf": number % 7})


@pytest.fixture(autouse=True)
def small_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ann_builder, "LEAST", 100)
    monkeypatch.setattr(compaction, "_SLICE", 20)
    monkeypatch.setattr(compaction, "_PATIENCE_S", 0.0)


@pytest.fixture
def clock() -> Clock:
    return Clock()


def opened(folder: Path, clock: Clock, *, background: bool = False) -> Index:
    return Index.open(
        folder,
        now=clock,
        segment_bytes=SEGMENT_BYTES,
        background=background,
        index_fields_from=0,
    )


@pytest.fixture
def collection(tmp_path: Path, clock: Clock) -> Iterator[Collection]:
    """One that has something to build, to compact, to index and to purge."""
    with opened(tmp_path, clock) as index:
        index.create_collection(TENANT, CollectionSpec("c", Metric.COSINE, DIMENSION, None, "hnsw"))
        collection = index.collection(TENANT, "c")
        collection.upsert([sample(number) for number in range(COUNT)])
        collection.delete_ids([f"r{number}" for number in range(0, 60, 2)])
        clock.advance(RETENTION_S + 1)
        collection.upkeep.purge()
        collection.delete_ids([f"r{number}" for number in range(1, 60, 2)])
        collection.count(Not(Condition("shelf", Operator.EQ, 1)))
        clock.advance(RETENTION_S + 1)
        yield collection


@contextmanager
def failing(name: str, code: int, after: int = 0) -> Iterator[None]:
    """A call of the system works ``after`` times, then fails."""
    calls = iter(range(after))
    real = getattr(os, name)

    def fail(*args: object) -> object:
        if next(calls, None) is None:
            raise OSError(code, os.strerror(code))
        return real(*args)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, name, fail)
        yield


@contextmanager
def torn_vectors(code: int) -> Iterator[None]:
    """Some bytes are written, then it fails."""
    real, calls = os.pwrite, iter(range(1))

    def write(file: int, data: memoryview, offset: int) -> int:
        if next(calls, None) is None:
            raise OSError(code, os.strerror(code))
        return real(file, data[:7], offset)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "pwrite", write)
        yield


@contextmanager
def failing_index_file(code: int, writes: int = 0, short: int | None = None) -> Iterator[None]:
    """So many writes to the file of an index succeed, ``short`` bytes each; without a code all."""
    calls = iter(range(writes))

    class File(io.FileIO):
        def write(self, data: object) -> int:
            if code and next(calls, None) is None:
                raise OSError(code, os.strerror(code))
            return super().write(memoryview(data)[:short])  # type: ignore[call-overload]

    real = Path.open

    def path_open(path: Path, mode: str = "r", buffering: int = -1) -> object:
        return File(path, mode) if path.suffix == ".new" and mode == "wb" else real(path, mode)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Path, "open", path_open)
        yield


@contextmanager
def failing_rename(code: int) -> Iterator[None]:
    def replace(path: Path, target: Path) -> Path:
        raise OSError(code, os.strerror(code))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Path, "replace", replace)
        yield


class FailingCommit(sqlite3.Connection):
    """Fails with an error of SQLite when it should commit."""

    code = sqlite3.SQLITE_FULL
    commits: Iterator[int] = iter(())

    def execute(self, sql: str, *parameters: object) -> sqlite3.Cursor:  # type: ignore[override]
        if sql == "COMMIT" and next(self.commits, None) is None:
            error = sqlite3.OperationalError("it failed")
            error.sqlite_errorcode = self.code
            raise error
        return super().execute(sql, *parameters)  # type: ignore[arg-type]


@contextmanager
def failing_commit(code: int, after: int = 0) -> Iterator[None]:
    real = connections.connect

    class Failing(FailingCommit):
        commits = iter(range(after))

    Failing.code = code

    def connect(path: Path, role: Role) -> sqlite3.Connection:
        if role is Role.READER:
            return real(path, role)
        return sqlite3.connect(path, isolation_level=None, check_same_thread=False, factory=Failing)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(connections, "connect", connect)
        yield


def use_new_connections(collection: Collection) -> None:
    """Those that were opened before a fault came, or went, would not know of it."""
    pool = collection._store.connections
    with pool._lock:
        for connection in list(pool._idle):
            del pool._idle[connection]
            connection.close()


def build(collection: Collection) -> None:
    while collection.upkeep.build_index():
        pass


def compact(collection: Collection) -> None:
    while collection.upkeep.compact():
        pass


def purge(collection: Collection) -> None:
    collection.upkeep.purge()


def index_fields(collection: Collection) -> None:
    while collection.upkeep.index_field():
        pass


FULL, BROKEN = ResourceExhaustedError, UnavailableError
INDEX_FAULTS: list[tuple[Fault, type[GroundwireError]]] = [
    (lambda: failing_index_file(errno.ENOSPC), FULL),
    (lambda: failing_index_file(errno.EDQUOT, writes=1, short=100), FULL),
    (lambda: failing_index_file(errno.EIO, writes=1), BROKEN),
    (lambda: failing("fsync", errno.EIO), BROKEN),
    (lambda: failing("fsync", errno.ENOSPC, 1), FULL),
    (lambda: failing_rename(errno.EIO), BROKEN),
    (lambda: failing_commit(sqlite3.SQLITE_FULL), FULL),
    (lambda: failing_commit(sqlite3.SQLITE_IOERR), BROKEN),
]
MOVING_FAULTS: list[tuple[Fault, type[GroundwireError]]] = [
    (lambda: failing("pwrite", errno.ENOSPC), FULL),
    (lambda: failing("pwrite", errno.EIO), BROKEN),
    (lambda: torn_vectors(errno.ENOSPC), FULL),
    (lambda: failing("ftruncate", errno.ENOSPC), FULL),
    (lambda: failing("fdatasync", errno.EIO), BROKEN),
    (lambda: failing("fsync", errno.ENOSPC), FULL),
    (lambda: failing("pread", errno.EIO), BROKEN),
    # Putting a segment aside, then each slice, then dropping the old ones.
    *[(lambda n=n: failing_commit(sqlite3.SQLITE_FULL, n), FULL) for n in range(4)],
    *[(lambda n=n: failing_commit(sqlite3.SQLITE_IOERR, n), BROKEN) for n in range(4)],
]
OTHER_FAULTS: list[tuple[Fault, type[GroundwireError]]] = [
    (lambda: failing_commit(sqlite3.SQLITE_FULL), FULL),
    (lambda: failing_commit(sqlite3.SQLITE_IOERR), BROKEN),
]


def check(collection: Collection, strategy: str = "") -> None:
    """Everything is found as it should be."""
    expected = {f"r{number}": sample(number) for number in range(60, COUNT)}
    if collection.info().records > LEFT:
        expected["new"] = Record("new", sample(1000).vector, "text")
    for number in range(3):
        query = np.random.default_rng([9, number]).normal(size=DIMENSION).astype(np.float32)
        nearest = oracle.best(expected, Metric.COSINE, query, len(expected))
        found = collection.search(SearchQuery(query, top_k=len(expected)))
        oracle.assert_same_ranking([(hit.id, hit.score) for hit in found.hits], nearest)
        assert found.plan.strategy.startswith(strategy)
        where = Condition("shelf", Operator.EQ, 3)
        hits = collection.search(SearchQuery(query, top_k=100, filter=where)).hits
        nearest = oracle.best(expected, Metric.COSINE, query, 100, where)
        oracle.assert_same_ranking([(hit.id, hit.score) for hit in hits], nearest)


def files(collection: Collection, folder: str) -> set[str]:
    return {path.name for path in (collection._store.folder / folder).iterdir()}


def anns(collection: Collection) -> Sequence[AnnView]:
    return collection._store.writer.latest().anns


def bytes_of_vectors(collection: Collection) -> int:
    return sum(path.stat().st_size for path in (collection._store.folder / "segments").iterdir())


def write_one(collection: Collection) -> None:
    """A write goes on as if nothing was, as far as its own files are sound."""
    collection.upsert([Record("new", sample(1000).vector, "text")])


@pytest.mark.parametrize(
    ("work", "fault", "expected"),
    [
        *[(build, *one) for one in INDEX_FAULTS],
        *[(compact, *one) for one in MOVING_FAULTS],
        *[(index_fields, *one) for one in OTHER_FAULTS],
        *[(purge, *one) for one in OTHER_FAULTS],
    ],
)
def test_tending_that_fails_says_so_and_leaves_what_there_was(
    collection: Collection,
    tmp_path: Path,
    clock: Clock,
    work: Work,
    fault: Fault,
    expected: type[GroundwireError],
) -> None:
    if work is compact:
        collection.upkeep.purge()
    before = bytes_of_vectors(collection)
    use_new_connections(collection)
    with fault(), pytest.raises(expected, match="Nothing was acknowledged"):
        work(collection)
    check(collection)
    for _ in range(5):
        # Some more may be done each time.
        use_new_connections(collection)
        with fault(), suppress(expected):
            work(collection)
        check(collection)
    use_new_connections(collection)
    # However often it is tried, little more room is taken than a segment's.
    assert bytes_of_vectors(collection) <= before + 2 * SEGMENT_BYTES
    assert files(collection, "anns") <= {f"{ann.entry.number}.faiss" for ann in anns(collection)}
    write_one(collection)
    check(collection)
    work(collection)
    check(collection)
    for tending in (purge, compact, build, index_fields, purge):
        tending(collection)
    check(collection, "ann")
    assert len(collection._store.writer.latest().space) <= COUNT


@pytest.mark.parametrize("work", [build, compact])
def test_what_failed_half_way_is_whole_after_reopening(
    tmp_path: Path, clock: Clock, collection: Collection, work: Work
) -> None:
    collection.upkeep.purge()
    use_new_connections(collection)
    fault = failing_commit(sqlite3.SQLITE_IOERR, 1 if work is compact else 0)
    with fault, pytest.raises(UnavailableError):
        work(collection)
    folder = tmp_path / "copy"
    copy_files(tmp_path, folder)
    with opened(folder, clock) as index:
        copied = index.collection(TENANT, "c")
        check(copied)
        compact(copied)
        build(copied)
        check(copied, "ann")
        copied.upkeep.purge()
        held = {segment.number for segment in copied._store.writer.latest().space.segments}
        assert files(copied, "segments") <= {f"{number}.f32" for number in held}


def copy_files(source: Path, target: Path) -> None:
    """As a crash would leave them."""
    for path in list(source.rglob("*")):
        if path.is_file() and target not in path.parents:
            copied = target / path.relative_to(source)
            copied.parent.mkdir(parents=True, exist_ok=True)
            copied.write_bytes(path.read_bytes())
    for name in ("anns", "segments"):
        for parent in (target / "collections").iterdir():
            (parent / name).mkdir(exist_ok=True)


def test_an_index_is_whole_whose_file_was_written_in_small_pieces(collection: Collection) -> None:
    with failing_index_file(0, short=50):
        build(collection)
    check(collection, "ann")


def test_a_file_that_cannot_be_removed_fails_no_write(collection: Collection) -> None:
    build(collection)
    collection.upsert([sample(number) for number in range(60, 160)])
    collection.upsert([sample(number) for number in range(60, 160)])

    real = Path.unlink

    def unlink(path: Path, *, missing_ok: bool = False) -> None:
        if path.suffix == ".faiss":
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        real(path, missing_ok=missing_ok)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Path, "unlink", unlink)
        assert collection.upkeep.build_index()
    check(collection, "ann")
    build(collection)
    check(collection, "ann")


def test_the_background_goes_on_when_there_is_room_again(
    tmp_path: Path, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    with opened(tmp_path, clock, background=True) as index:
        index.create_collection(TENANT, CollectionSpec("c", Metric.COSINE, DIMENSION, None, "hnsw"))
        collection = index.collection(TENANT, "c")
        assert index._background.indexer is not None
        with failing_index_file(errno.ENOSPC), caplog.at_level(logging.WARNING):
            collection.upsert([sample(number) for number in range(60, COUNT)])
            assert index._background.indexer.wait(30)
            check(collection, "exact")
        assert "is full" in caplog.text
        write_one(collection)
        assert index._background.indexer.wait(30)
        check(collection, "ann")
