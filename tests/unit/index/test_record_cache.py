"""Records that are remembered are those that are stored, and no more of them than there is room."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from groundwire_index import Collection, Index, Record
from groundwire_index.record_cache import RecordCache, Remembered
from groundwire_index.records import Include, SearchQuery
from groundwire_index.snapshot import Snapshot, StoredRow

from tests.unit.index.samples import Clock, record, vector

ALL, IDS, VECTORS = Include(), Include(text=False, metadata=False), Include(vector=True)
QUERY = SearchQuery(vector(1, 0, 0), include=ALL)


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> Callable[[], int]:
    """How often rows have been read from the database."""
    calls: list[object] = []
    rows = Snapshot.rows

    def counted(*arguments: Any, **options: Any) -> Iterator[StoredRow]:
        calls.append(arguments)
        return rows(*arguments, **options)

    monkeypatch.setattr(Snapshot, "rows", counted)
    return lambda: len(calls)


def remembered(cache: RecordCache, rows: list[int], size: int = 100) -> None:
    records = ((row, Remembered(Record(f"r{row}", text="words"), size)) for row in rows)
    cache.of("c").put(ALL, records)


def known(cache: RecordCache, rows: list[int]) -> list[int]:
    return list(cache.of("c").get(ALL, rows))


def test_each_collection_and_each_part_is_apart() -> None:
    cache = RecordCache()
    remembered(cache, [1])
    assert cache.of("c").get(ALL, [1, 2])[1].id == "r1"
    assert not cache.of("other").get(ALL, [1])
    assert not cache.of("c").get(IDS, [1])


def test_vectors_are_not_remembered() -> None:
    cache = RecordCache()
    cache.of("c").put(VECTORS, [(1, Remembered(record("r1"), 100))])
    assert not cache.of("c").get(VECTORS, [1])


def test_what_is_asked_for_stays_and_the_rest_goes() -> None:
    cache = RecordCache()
    remembered(cache, [1, 2])
    cache.turn()
    assert known(cache, [1]) == [1]
    cache.turn()
    assert known(cache, [1, 2]) == [1]


def test_it_keeps_to_its_bytes() -> None:
    cache = RecordCache(max_bytes=10_000)
    for row in range(1000):
        remembered(cache, [row])
    kept = known(cache, list(range(1000)))
    assert 50 <= len(kept) <= 101
    assert sorted(kept) == list(range(1000 - len(kept), 1000))


def test_what_does_not_fit_is_not_kept() -> None:
    cache, none = RecordCache(max_bytes=10_000), RecordCache(max_bytes=0)
    remembered(cache, [1])
    remembered(cache, list(range(2, 60)))
    assert known(cache, list(range(60))) == [1]
    remembered(none, [1])
    assert known(none, [1]) == []


def test_one_that_is_put_twice_counts_once() -> None:
    cache = RecordCache(max_bytes=10_000)
    for _ in range(1000):
        remembered(cache, [1])
        remembered(cache, [2])
    assert known(cache, [1, 2]) == [1, 2]
    assert not cache._old


def found(collection: Collection) -> list[tuple[str, str | None, object]]:
    hits = collection.search(QUERY).hits
    return [(hit.id, hit.record.text, hit.record.metadata) for hit in hits]


def test_searches_see_what_was_written_last(collection: Collection) -> None:
    for turn in range(3):
        text, metadata = f"words {turn}", {"n": turn}
        collection.upsert([record("a", vector(1, 0, 0), text, metadata=metadata)])
        for _ in range(2):
            assert found(collection) == [("a", text, metadata)]
    collection.delete_ids(["a"])
    assert found(collection) == []


def test_searches_of_the_same_records_read_them_once(
    collection: Collection, reads: Callable[[], int]
) -> None:
    collection.upsert([record("a", vector(1, 0, 0), "words")])
    collection.search(QUERY)
    before = reads()
    collection.search(QUERY)
    assert reads() == before
    collection.search(SearchQuery(vector(1, 0, 0), include=VECTORS))
    assert reads() == before + 1


def test_what_nobody_asks_for_between_two_purges_is_let_go(
    index: Index, collection: Collection, reads: Callable[[], int]
) -> None:
    collection.upsert([record("a", vector(1, 0, 0), "words")])
    collection.search(QUERY)
    index.purge()
    index.purge()
    before = reads()
    collection.search(QUERY)
    assert reads() == before + 1


def test_a_row_that_was_purged_since_the_view_is_looked_up_again(
    index: Index, collection: Collection, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    collection.upsert([record("a", vector(1, 0, 0), "gone"), record("b", vector(1, 1, 0), "left")])
    writer = collection._store.writer
    views = [writer.latest()]
    collection.delete_ids(["a"])
    clock.advance(4000)
    assert index.purge() == 1
    latest = writer.latest
    # A search that saw the vectors before all that, and comes to the rows after it.
    monkeypatch.setattr(writer, "latest", lambda: views.pop() if views else latest())
    assert found(collection) == [("b", "left", {})]
    assert not views
