"""Clocks that are set forward and back: nothing is lost, and nothing is kept for ever."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from groundwire_index import Collection, CollectionSpec, Index, Metric
from groundwire_index.errors import AlreadyExistsError, FailedPreconditionError
from groundwire_index.purge import RETENTION_S
from groundwire_index.storage.connections import Role
from groundwire_index.writes import REMEMBERED_S

from tests.unit.index.samples import TENANT, Clock, ids, record

YEAR = 365 * 24 * 3600.0


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def collection(tmp_path: Path, clock: Clock) -> Iterator[Collection]:
    with Index.open(tmp_path, now=clock, segment_bytes=60, background=False) as index:
        index.create_collection(TENANT, CollectionSpec("c", Metric.COSINE, 3))
        collection = index.collection(TENANT, "c")
        collection.upsert([record(f"r{n}") for n in range(10)])
        yield collection


def tend(collection: Collection) -> None:
    collection.upkeep.purge()
    while collection.upkeep.compact():
        pass


def rows(collection: Collection) -> int:
    """How many are stored, live or not."""
    with collection._store.connections.lend(collection._store.database, Role.READER) as connection:
        return int(connection.execute("SELECT count(*) FROM rows").fetchone()[0])


def test_a_clock_that_was_set_back_keeps_what_a_scroll_may_want(
    collection: Collection, clock: Clock
) -> None:
    page = collection.scroll(limit=2)
    collection.delete_ids(["r5", "r6"])
    clock.advance(-YEAR)
    for _ in range(3):
        tend(collection)
        clock.advance(RETENTION_S / 4)
    rest = collection.scroll(cursor=page.next_cursor)
    assert ids(rest.records) == [f"r{n}" for n in range(2, 10)]
    clock.advance(RETENTION_S)
    tend(collection)
    assert rows(collection) == 8


def test_what_ended_while_the_clock_was_ahead_is_purged_in_time(
    collection: Collection, clock: Clock
) -> None:
    collection.delete_ids(["r0"])
    clock.advance(YEAR)
    collection.delete_ids(["r1"])
    clock.advance(-YEAR)
    collection.delete_ids(["r2"])
    for _ in range(3):
        clock.advance(RETENTION_S + 1)
        tend(collection)
    assert rows(collection) == 7
    assert collection.count().count == 7


def test_a_clock_that_jumps_ahead_ends_scrolls_and_says_so(
    collection: Collection, clock: Clock
) -> None:
    page = collection.scroll(limit=2)
    collection.delete_ids(["r5"])
    clock.advance(YEAR)
    tend(collection)
    with pytest.raises(FailedPreconditionError, match="again"):
        collection.scroll(cursor=page.next_cursor)
    assert len(collection.scroll().records) == 9


@pytest.mark.parametrize("jump", [-YEAR, -60.0, 60.0])
def test_a_key_is_remembered_whatever_the_clock_does(
    collection: Collection, clock: Clock, jump: float
) -> None:
    first = collection.upsert([record("new")], idempotency_key="k")
    clock.advance(jump)
    collection.upsert([record("other")])
    assert collection.upsert([record("new")], idempotency_key="k") == first
    with pytest.raises(AlreadyExistsError):
        collection.delete_ids(["new"], idempotency_key="k")


def test_a_key_that_came_while_the_clock_was_ahead_is_forgotten_in_time(
    collection: Collection, clock: Clock
) -> None:
    clock.advance(YEAR)
    first = collection.delete_ids(["r0"], idempotency_key="k")
    clock.advance(-YEAR)
    collection.upsert([record("other")])
    clock.advance(REMEMBERED_S - 1)
    collection.upsert([record("other")])
    assert collection.delete_ids(["r0"], idempotency_key="k") == first
    clock.advance(2)
    collection.upsert([record("other")])
    assert collection.delete_ids(["r0"], idempotency_key="k").sequence > first.sequence
