"""Disks that are full, failing or read-only: the write says so, and the state stays sound."""

from __future__ import annotations

import errno
import os
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from groundwire_index import Collection, CollectionSpec, CollectionState, Index, Metric
from groundwire_index.errors import GroundwireError, ResourceExhaustedError, UnavailableError
from groundwire_index.records import Include, SearchQuery
from groundwire_index.storage import connections
from groundwire_index.storage.connections import Role

from tests.unit.index.samples import TENANT, record, vector

SPEC = CollectionSpec("c", Metric.COSINE, 3)


@pytest.fixture
def collection(tmp_path: Path) -> Iterator[Collection]:
    with Index.open(tmp_path, segment_bytes=60) as index:
        index.create_collection(TENANT, SPEC)
        collection = index.collection(TENANT, "c")
        collection.upsert([record(f"old{n}", vector(1, n, 0), "old") for n in range(3)])
        yield collection


def failing(
    code: int, *, after: int = 0, call: Callable[..., int] = os.pwrite
) -> Callable[..., int]:
    """Works ``after`` times, then fails."""
    calls = iter(range(after))

    def fail(*args: object) -> int:
        if next(calls, None) is None:
            raise OSError(code, os.strerror(code))
        return call(*args)

    return fail


def torn(code: int) -> Callable[..., int]:
    """Writes a few bytes of what it should, then fails."""
    calls = iter(range(1))

    def write(file: int, data: memoryview, offset: int) -> int:
        if next(calls, None) is None:
            raise OSError(code, os.strerror(code))
        return real(file, data[:7], offset)

    real = os.pwrite
    return write


def check_unchanged(collection: Collection) -> None:
    assert collection.info().sequence == 1
    assert collection.info().state is CollectionState.READY
    assert collection.count().count == 3
    assert collection.get(["new0"]) == [None]
    found = collection.search(SearchQuery(vector(1, 9, 9)))
    assert sorted(hit.id for hit in found.hits) == ["old0", "old1", "old2"]


def check_writable(collection: Collection, folder: Path) -> None:
    """New writes work, and all is there after reopening."""
    written = collection.upsert([record(f"new{n}", vector(0, 1, n), "new") for n in range(9)])
    assert written.sequence == 2
    (hit,) = collection.search(SearchQuery(vector(0, 1, 5), top_k=1)).hits
    assert hit.id == "new5"
    records = collection.scroll(include=Include(vector=True)).records
    assert len(records) == 12
    for one in records:
        number = float(one.id[-1])
        expected = vector(1, number, 0) if one.id.startswith("old") else vector(0, 1, number)
        np.testing.assert_array_equal(one.vector, expected)


def upsert_new(collection: Collection) -> None:
    collection.upsert([record(f"new{n}", vector(0, 1, n), "new") for n in range(9)])


@pytest.mark.parametrize(
    ("name", "fault", "expected"),
    [
        ("pwrite", failing(errno.ENOSPC), ResourceExhaustedError),
        ("pwrite", failing(errno.EDQUOT, after=1), ResourceExhaustedError),
        ("pwrite", failing(errno.EIO), UnavailableError),
        ("pwrite", torn(errno.ENOSPC), ResourceExhaustedError),
        ("ftruncate", failing(errno.ENOSPC, call=os.ftruncate), ResourceExhaustedError),
        ("fdatasync", failing(errno.EIO, call=os.fdatasync), UnavailableError),
        ("fdatasync", failing(errno.ENOSPC, after=1, call=os.fdatasync), ResourceExhaustedError),
        ("fsync", failing(errno.EIO, call=os.fsync), UnavailableError),
    ],
)
def test_a_failing_vector_file_fails_the_write_and_nothing_else(
    collection: Collection,
    tmp_path: Path,
    name: str,
    fault: Callable[..., int],
    expected: type[GroundwireError],
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, name, fault)
        with pytest.raises(expected, match="Nothing was acknowledged"):
            upsert_new(collection)
    check_unchanged(collection)
    check_writable(collection, tmp_path)


def test_a_short_write_is_continued(
    collection: Collection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = os.pwrite
    monkeypatch.setattr(os, "pwrite", lambda file, data, at: real(file, data[:5], at))
    check_writable(collection, tmp_path)


def test_a_full_database_fails_the_write_and_nothing_else(
    collection: Collection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    large = "many words " * 50_000
    real = connections.connect

    def connect_to_a_full_disk(path: Path, role: Role) -> sqlite3.Connection:
        connection = real(path, role)
        connection.execute("PRAGMA max_page_count = 1")
        return connection

    with monkeypatch.context() as patch:
        patch.setattr(connections, "connect", connect_to_a_full_disk)
        collection._store.connections.retire(collection._store.database)
        with pytest.raises(ResourceExhaustedError, match="full") as caught:
            collection.upsert([record("new0", vector(1, 2, 3), large)])
    assert caught.value.retry_after_s > 0
    check_unchanged(collection)
    check_writable(collection, tmp_path)


def test_a_failed_commit_fails_the_write_and_its_vectors_stay_untouched(
    collection: Collection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = connections.connect

    class FailingCommit(sqlite3.Connection):
        def execute(self, sql: str, *parameters: object) -> sqlite3.Cursor:  # type: ignore[override]
            if sql == "COMMIT":
                error = sqlite3.OperationalError("disk I/O error")
                error.sqlite_errorcode = sqlite3.SQLITE_IOERR
                raise error
            return super().execute(sql, *parameters)  # type: ignore[arg-type]

    def connect(path: Path, role: Role) -> sqlite3.Connection:
        if role is Role.READER:
            return real(path, role)
        return sqlite3.connect(
            path, isolation_level=None, check_same_thread=False, factory=FailingCommit
        )

    with monkeypatch.context() as patch:
        patch.setattr(connections, "connect", connect)
        collection._store.connections.retire(collection._store.database)
        with pytest.raises(UnavailableError, match="Nothing was acknowledged"):
            collection.upsert([record(f"new{n}", vector(7, 7, n)) for n in range(9)])
    check_unchanged(collection)
    # SQLite may find the commit complete after a crash: its vectors must be there then.
    written = vectors_on_disk(tmp_path)[: 12 * 12]
    check_writable(collection, tmp_path)
    assert vectors_on_disk(tmp_path).startswith(written)


def vectors_on_disk(folder: Path) -> bytes:
    return b"".join(path.read_bytes() for path in sorted(folder.rglob("*.f32")))


def test_what_a_failed_write_left_is_gone_after_reopening(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Index.open(tmp_path) as index:
        index.create_collection(TENANT, SPEC)
        collection = index.collection(TENANT, "c")
        collection.upsert([record("a")])
        with monkeypatch.context() as patch:
            # Not even the clean-up works.
            patch.setattr(os, "fdatasync", failing(errno.EIO))
            patch.setattr(os, "truncate", failing(errno.EIO))
            with pytest.raises(UnavailableError):
                upsert_new(collection)
    with Index.open(tmp_path) as index:
        collection = index.collection(TENANT, "c")
        assert len(collection.search(SearchQuery(vector(1, 1, 1))).hits) == 1
        (segment,) = tmp_path.rglob("*.f32")
        assert segment.stat().st_size == 12


def test_creating_on_a_full_disk_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Index.open(tmp_path) as index:
        with monkeypatch.context() as patch:
            patch.setattr(os, "fsync", failing(errno.ENOSPC, after=2, call=os.fsync))
            with pytest.raises(ResourceExhaustedError, match="free some space"):
                index.create_collection(TENANT, SPEC)
        assert index.list_collections(TENANT) == []
        assert list((tmp_path / "collections").iterdir()) == []
        index.create_collection(TENANT, SPEC)


OPEN_AS_NOBODY = """
import os, sys
from pathlib import Path
from groundwire_index import Index
from groundwire_index.errors import GroundwireError
if os.getuid() == 0:
    os.setgroups([])
    os.setgid(65534)
    os.setuid(65534)
try:
    Index.open(Path(sys.argv[1]))
except GroundwireError as error:
    print(type(error).__name__, error)
"""


def test_a_read_only_folder_is_refused_with_what_to_do(tmp_path: Path) -> None:
    folder = tmp_path / "index"
    with Index.open(folder) as index:
        index.create_collection(TENANT, SPEC)
    for parent in (folder, *folder.parents[:3]):
        parent.chmod(0o555)
    (folder / "LOCK").chmod(0o444)
    try:
        result = subprocess.run(
            [sys.executable, "-c", OPEN_AS_NOBODY, str(folder)],
            capture_output=True,
            text=True,
            check=True,
        )
    finally:
        for parent in (folder, *folder.parents[:3]):
            parent.chmod(0o700)
    assert result.stdout.startswith("UnavailableError")
    assert "make it writable" in result.stdout
