"""Connections: lent to one at a time, few kept, none left behind."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from groundwire_index.errors import UnavailableError
from groundwire_index.storage.connections import ConnectionPool, Role
from groundwire_index.storage.databases import create_database

from tests.patience import PATIENCE_S, until_seen


@pytest.fixture
def database(folder: Path) -> Path:
    create_database(folder / "a?b #1.db", "CREATE TABLE t (x);", 1)
    return folder / "a?b #1.db"


@pytest.fixture
def pool() -> Iterator[ConnectionPool]:
    pool = ConnectionPool(max_idle=2)
    yield pool
    pool.close()


def is_open(connection: sqlite3.Connection) -> bool:
    try:
        connection.execute("SELECT 1")
    except sqlite3.ProgrammingError:
        return False
    return True


def test_a_connection_that_came_back_is_lent_again(pool: ConnectionPool, database: Path) -> None:
    with pool.lend(database, Role.READER) as first:
        pass
    with pool.lend(database, Role.READER) as second:
        assert second is first
        with pool.lend(database, Role.READER) as third:
            assert third is not second


def test_readers_cannot_write(pool: ConnectionPool, database: Path) -> None:
    with pool.lend(database, Role.WRITER) as writer:
        writer.execute("INSERT INTO t VALUES (1)")
    with (
        pytest.raises(UnavailableError, match="cannot be written to"),
        pool.lend(database, Role.READER) as reader,
    ):
        reader.execute("INSERT INTO t VALUES (1)")


def test_an_open_transaction_does_not_outlive_its_loan(
    pool: ConnectionPool, database: Path
) -> None:
    with pool.lend(database, Role.WRITER) as writer:
        writer.execute("BEGIN IMMEDIATE")
        writer.execute("INSERT INTO t VALUES (1)")
    with pool.lend(database, Role.WRITER) as writer:
        assert not writer.in_transaction
        assert writer.execute("SELECT count(*) FROM t").fetchone() == (0,)


def test_a_connection_that_failed_is_closed(pool: ConnectionPool, database: Path) -> None:
    with pytest.raises(ValueError, match="mine"), pool.lend(database, Role.READER) as connection:
        raise ValueError("mine")
    assert not is_open(connection)


def test_the_one_that_was_idle_longest_is_closed_first(
    pool: ConnectionPool, database: Path
) -> None:
    with (
        pool.lend(database, Role.READER) as first,
        pool.lend(database, Role.READER) as second,
        pool.lend(database, Role.READER) as third,
    ):
        pass
    # They came back in the opposite order.
    assert [is_open(one) for one in (first, second, third)] == [True, True, False]


def test_retiring_a_database_waits_for_its_loans(pool: ConnectionPool, database: Path) -> None:
    with ThreadPoolExecutor(1) as threads:
        with pool.lend(database, Role.READER) as connection:
            retiring = threads.submit(pool.retire, database)
            until_seen(lambda: bool(pool._returned._waiters))  # type: ignore[attr-defined]
            assert is_open(connection)
            assert not retiring.done()
        retiring.result(timeout=PATIENCE_S)
    assert not is_open(connection)
