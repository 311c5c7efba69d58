"""Checksums of a database's pages: they follow what is written, and tell what was not."""

from __future__ import annotations

import os
import shutil
import sqlite3
import struct
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path

import pytest
from groundwire_index.storage import connections, page_sums
from groundwire_index.storage.connections import ConnectionPool, Role, connect
from groundwire_index.storage.databases import create_database
from groundwire_index.storage.page_sums import CHECKPOINT_FRAMES, PAGE, PageSums

from tests.patience import PATIENCE_S, until_seen

ROWS = 400


@pytest.fixture
def database(folder: Path) -> Path:
    path = folder / "some.db"
    create_database(path, "CREATE TABLE t (x); CREATE INDEX i ON t (x);", 1)
    PageSums(path).renew()
    return path


@pytest.fixture
def pool() -> Iterator[ConnectionPool]:
    pool = ConnectionPool()
    yield pool
    pool.close()


def write(pool: ConnectionPool, database: Path, seed: int = 0, rows: int = ROWS) -> None:
    with pool.lend(database, Role.WRITER) as connection:
        connection.execute("BEGIN")
        values = ((f"{seed * number % ROWS:08}" * 40,) for number in range(rows))
        connection.executemany("INSERT INTO t VALUES (?)", values)
        connection.execute("COMMIT")


def flip(path: Path, page: int) -> None:
    data = bytearray(path.read_bytes())
    data[PAGE * (page - 1) + 7] ^= 1
    path.write_bytes(data)


def log_of(database: Path) -> Path:
    return database.with_name(f"{database.name}-wal")


def frames_of(database: Path) -> int:
    """As many as the log has ever had."""
    return log_of(database).stat().st_size // (PAGE + 24)


@contextmanager
def reading(pool: ConnectionPool, database: Path) -> Iterator[None]:
    """Somebody reads what is there now."""
    with pool.lend(database, Role.READER) as reader:
        reader.execute("BEGIN")
        reader.execute("SELECT count(*) FROM t").fetchone()
        yield


def assert_sums_are_stored(database: Path) -> None:
    """All sums are there when the log is started over and whoever does so is killed."""
    before = log_of(database).read_bytes()[:32]
    with closing(connect(database, Role.WRITER)) as killed:
        # Its sums do not follow any more.
        killed.execute("UPDATE t SET x = 'last' WHERE rowid = 1")
        assert log_of(database).read_bytes()[:32] != before, "the log was started over"
        assert PageSums(database).differing() == []


def test_a_page_that_changed_by_itself_is_told(pool: ConnectionPool, database: Path) -> None:
    write(pool, database)
    pool.close()
    assert PageSums(database).differing() == []
    for page in (1, 3, 7):
        flip(database, page)
        assert PageSums(database).differing() == [page]
        flip(database, page)


def test_pages_that_were_cut_off_are_told(pool: ConnectionPool, database: Path) -> None:
    write(pool, database)
    pool.close()
    pages = database.stat().st_size // PAGE
    database.write_bytes(database.read_bytes()[: PAGE * (pages - 2)])
    assert PageSums(database).differing() == [pages - 1, pages]


def test_without_sums_nothing_can_be_told(database: Path) -> None:
    database.with_name("some.db.sums").unlink()
    assert PageSums(database).differing() is None


def test_sums_follow_over_many_rounds_of_the_log(pool: ConnectionPool, database: Path) -> None:
    frames = 0
    for seed in range(40):
        write(pool, database, seed)
        frames += ROWS * 320 // PAGE
        # As it would be after a kill.
        assert PageSums(database).differing() == []
    assert frames > CHECKPOINT_FRAMES
    assert log_of(database).exists()
    pool.close()
    assert not log_of(database).exists()
    assert PageSums(database).differing() == []


def test_sums_follow_two_large_transactions_of_one_loan(
    pool: ConnectionPool, database: Path
) -> None:
    for row in range(2):
        write(pool, database, row, rows=40 * CHECKPOINT_FRAMES)
    pool.close()
    with pool_of_one(database) as connection:
        # Each is longer than what goes to its place at once, and of pages of its own.
        for first in (1, 40 * CHECKPOINT_FRAMES + 1):
            connection.execute(
                "UPDATE t SET x = x || '!' WHERE rowid BETWEEN ? AND ?",
                (first, first + 30 * CHECKPOINT_FRAMES),
            )
    assert PageSums(database).differing() == []


@contextmanager
def pool_of_one(database: Path) -> Iterator[sqlite3.Connection]:
    with closing(ConnectionPool()) as pool, pool.lend(database, Role.WRITER) as connection:
        yield connection


def test_a_kill_right_after_the_log_was_started_over_matters_to_no_page(
    pool: ConnectionPool, database: Path
) -> None:
    for seed in range(40):
        write(pool, database, seed)
    size = log_of(database).stat().st_size
    with closing(connect(database, Role.WRITER)) as killed:
        # Its sums do not follow any more.
        killed.execute("UPDATE t SET x = 'last' WHERE rowid = 1")
        assert log_of(database).stat().st_size == size, "the log was started over"
        assert PageSums(database).differing() == []


def test_sums_follow_when_the_log_is_emptied(pool: ConnectionPool, database: Path) -> None:
    write(pool, database)
    with pool.lend(database, Role.WRITER) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    assert log_of(database).stat().st_size == 0
    assert PageSums(database).differing() == []


def test_a_reader_that_holds_up_the_log_does_not_matter(
    pool: ConnectionPool, database: Path
) -> None:
    with reading(pool, database):
        for seed in range(20):
            write(pool, database, seed)
            assert PageSums(database).differing() == []
    for seed in range(20):
        write(pool, database, seed)
        assert PageSums(database).differing() == []


def test_what_a_commit_reads_does_not_grow_with_a_log_that_a_reader_holds_up(
    pool: ConnectionPool, database: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[int] = []
    pread = os.pread

    def counted(file: int, size: int, at: int) -> bytes:
        found = pread(file, size, at)
        read.append(len(found))
        return found

    monkeypatch.setattr(os, "pread", counted)
    each: list[int] = []
    with reading(pool, database):
        while frames_of(database) < 2 * CHECKPOINT_FRAMES:
            read.clear()
            write(pool, database, rows=20)
            each.append(sum(read))
    assert len(each) > 100
    assert max(each) < PAGE
    write(pool, database)
    assert_sums_are_stored(database)


def test_readers_that_take_turns_hold_up_the_log_and_no_sums(
    pool: ConnectionPool, database: Path
) -> None:
    reader = ExitStack()
    for seed in range(60):
        write(pool, database, seed)
        with reader:  # It goes when the next one has begun.
            reader = ExitStack()
            reader.enter_context(reading(pool, database))
    with reader:
        size = frames_of(database)
    write(pool, database)
    assert frames_of(database) >= size > 2 * CHECKPOINT_FRAMES
    assert_sums_are_stored(database)


def test_where_the_log_is_long_readers_leave_a_gap(
    pool: ConnectionPool, database: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(page_sums, "_LONG_FRAMES", 10)
    monkeypatch.setattr(connections, "_GAP_S", PATIENCE_S)
    first_reads, second_comes, second_reads, done = (threading.Event() for _ in range(4))

    def first() -> None:
        with reading(pool, database):
            first_reads.set()
            until_seen(lambda: bool(pool._closed_to_others) or done.is_set())
            # The writer waits for a gap. Another one comes before this one goes.
            second_comes.set()
            second_reads.wait(0.05)

    def second() -> None:
        assert second_comes.wait(PATIENCE_S)
        with reading(pool, database):
            second_reads.set()
            done.wait(PATIENCE_S)

    with ThreadPoolExecutor(2) as readers:
        write(pool, database, rows=10)
        readers.submit(first)
        readers.submit(second)
        try:
            assert first_reads.wait(PATIENCE_S)
            write(pool, database)
            assert second_reads.wait(PATIENCE_S)
            before = log_of(database).read_bytes()[:32]
            write(pool, database, rows=1)
            assert log_of(database).read_bytes()[:32] != before
        finally:
            done.set()
    assert PageSums(database).differing() == []


def test_frames_that_a_kill_tore_are_written_over(pool: ConnectionPool, database: Path) -> None:
    write(pool, database)
    pool.close()
    with closing(connect(database, Role.WRITER)) as killed:
        killed.execute("UPDATE t SET x = 'first' WHERE rowid = 1")
        log = log_of(database)
        whole = log.read_bytes()
        # A transaction of twenty pages, of whose last only the header was written.
        header = struct.pack(">II", 3, 0) + whole[16:24] + bytes(8)
        torn = (header + bytes(PAGE)) * 19 + struct.pack(">II", 3, 500) + header[8:]
        log.write_bytes(whole + torn)
        copied = copy_of(database, "copy.db")
    with closing(ConnectionPool()) as other:
        for row in range(10, 400, 60):
            with other.lend(copied, Role.WRITER) as connection:
                connection.execute("UPDATE t SET x = x || 'later' WHERE rowid = ?", (row,))
    assert not log_of(copied).exists()
    assert PageSums(copied).differing() == []


def copy_of(database: Path, name: str) -> Path:
    """As a kill would leave it."""
    for suffix in ("", "-wal", ".sums"):
        source = database.with_name(f"{database.name}{suffix}")
        shutil.copy(source, database.with_name(f"{name}{suffix}"))
    return database.with_name(name)


def test_a_transaction_that_was_given_up_is_passed_over(
    pool: ConnectionPool, database: Path
) -> None:
    write(pool, database)
    with pool.lend(database, Role.WRITER) as connection:
        # What does not fit this is put into the log before the end.
        connection.execute("PRAGMA cache_size = 10")
        connection.execute("BEGIN")
        connection.execute("DELETE FROM t WHERE rowid % 3 = 0")
        connection.execute("ROLLBACK")
    write(pool, database, 2)
    assert PageSums(database).differing() == []
    pool.close()
    assert PageSums(database).differing() == []


def test_a_database_that_becomes_smaller_has_fewer(pool: ConnectionPool, database: Path) -> None:
    write(pool, database)
    for statement in ("DELETE FROM t WHERE rowid > 50", "VACUUM"):
        with pool.lend(database, Role.WRITER) as connection:
            connection.execute(statement)
    pool.close()
    assert PageSums(database).differing() == []


def test_what_another_program_wrote_is_told(pool: ConnectionPool, database: Path) -> None:
    write(pool, database)
    pool.close()
    with closing(sqlite3.connect(database)) as other, other:
        other.execute("UPDATE t SET x = 'other' WHERE rowid = 9")
    assert PageSums(database).differing()


def test_sums_that_cannot_be_stored_stop_no_write(pool: ConnectionPool, database: Path) -> None:
    sums = database.with_name("some.db.sums")
    sums.unlink()
    sums.mkdir()
    write(pool, database)
    pool.close()
    with pool.lend(database, Role.READER) as connection:
        assert connection.execute("SELECT count(*) FROM t").fetchone() == (ROWS,)
