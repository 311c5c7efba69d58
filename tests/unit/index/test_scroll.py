"""Scrolls: every record once, in order of first insertion, as of the moment they began."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from groundwire_index import Collection, CollectionSpec, Include, Index, Metric, purge, scroll
from groundwire_index.errors import FailedPreconditionError, InvalidArgumentError
from groundwire_index.filters import Condition, Filter, Operator

from tests.unit.index.samples import TENANT, WITH_VECTOR, Clock, ids, record, vector

ODD = Condition("odd", Operator.EQ, True)


def fill(collection: Collection, count: int) -> list[str]:
    names = [f"{(number * 7) % count:02}" for number in range(count)]
    for start in range(0, count, 4):
        collection.upsert(
            [
                record(name, metadata={"odd": int(name) % 2 == 1})
                for name in names[start : start + 4]
            ]
        )
    return names


def pages(collection: Collection, where: Filter | None = None, limit: int = 3) -> list[list[str]]:
    found, cursor = [], ""
    while not found or cursor:
        page = collection.scroll(where, cursor=cursor, limit=limit)
        found.append(ids(page.records))
        cursor = page.next_cursor
    return found


def flat(found: list[list[str]]) -> list[str]:
    return [key for page in found for key in page]


def test_every_record_comes_once_in_order_of_first_insertion(collection: Collection) -> None:
    names = fill(collection, 10)
    collection.upsert([record(names[8]), record(names[0])])
    assert flat(pages(collection)) == names
    assert [len(page) for page in pages(collection)] == [3, 3, 3, 1]
    assert [len(page) for page in pages(collection, limit=5)] == [5, 5]


def test_a_record_that_was_deleted_and_came_again_is_last(collection: Collection) -> None:
    collection.upsert([record("a"), record("b")])
    collection.delete_ids(["a"])
    collection.upsert([record("a")])
    assert flat(pages(collection)) == ["b", "a"]


def test_a_filter_chooses(collection: Collection) -> None:
    names = fill(collection, 12)
    assert flat(pages(collection, ODD)) == [name for name in names if int(name) % 2]


def test_an_empty_collection_is_one_empty_page(collection: Collection) -> None:
    page = collection.scroll()
    assert (page.records, page.next_cursor) == ((), "")


def test_pages_carry_what_was_asked_for(collection: Collection) -> None:
    collection.upsert([record("a", vector(1, 2, 3), "words", metadata={"k": 1})])
    (full,) = collection.scroll(include=WITH_VECTOR).records
    assert full.vector is not None
    np.testing.assert_array_equal(full.vector, vector(1, 2, 3))
    (bare,) = collection.scroll(include=Include(text=False, metadata=False)).records
    assert (bare.vector, bare.text, bare.metadata) == (None, None, {})


def test_writes_do_not_disturb_a_scroll_that_has_begun(collection: Collection) -> None:
    collection.upsert([record(key, text=f"old {key}") for key in "abcdef"])
    first = collection.scroll(limit=2)
    collection.upsert([record("c", text="new"), record("g", text="new")])
    collection.delete_ids(["a", "d"])
    rest = collection.scroll(cursor=first.next_cursor, limit=10)
    assert ids(rest.records) == ["c", "d", "e", "f"]
    assert [one.text for one in rest.records] == ["old c", "old d", "old e", "old f"]
    assert flat(pages(collection)) == ["b", "c", "e", "f", "g"]


def test_a_scroll_goes_on_after_a_restart(folder: Path, clock: Clock) -> None:
    with Index.open(folder, now=clock) as index:
        index.create_collection(TENANT, CollectionSpec("c", Metric.DOT, 3))
        index.collection(TENANT, "c").upsert([record(key) for key in "abc"])
        cursor = index.collection(TENANT, "c").scroll(limit=1).next_cursor
    with Index.open(folder, now=clock) as index:
        collection = index.collection(TENANT, "c")
        collection.delete_ids(["b"])
        assert ids(collection.scroll(cursor=cursor).records) == ["b", "c"]


def test_a_page_of_large_records_ends_early(
    collection: Collection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scroll, "MAX_PAGE_BYTES", 1000)
    collection.upsert([record(key, text=key * 600) for key in "abcde"])
    assert [len(page) for page in pages(collection, limit=100)] == [2, 2, 1]


def test_a_cursor_is_of_one_filter_and_one_collection(make: Callable[..., Collection]) -> None:
    one, other = make("one"), make("other")
    for collection in (one, other):
        fill(collection, 8)
    cursor = one.scroll(ODD, limit=1).next_cursor
    for collection, where in ((one, None), (other, ODD), (one, Condition("x", Operator.EQ, True))):
        with pytest.raises(InvalidArgumentError) as caught:
            collection.scroll(where, cursor=cursor)
        assert caught.value.violations[0].field == "cursor"
    assert one.scroll(ODD, cursor=cursor).records


def test_a_cursor_that_was_tampered_with_is_refused(collection: Collection) -> None:
    fill(collection, 8)
    cursor = collection.scroll(limit=1).next_cursor
    for place in range(len(cursor)):
        other = "A" if cursor[place] != "A" else "B"
        with pytest.raises(InvalidArgumentError):
            collection.scroll(cursor=cursor[:place] + other + cursor[place + 1 :])
    for broken in (cursor[:-1], cursor + "A", cursor * 2, "ü", "x", "====", "!"):
        with pytest.raises(InvalidArgumentError):
            collection.scroll(cursor=broken)


@pytest.mark.parametrize("limit", [0, 1001])
def test_page_sizes_have_limits(collection: Collection, limit: int) -> None:
    with pytest.raises(InvalidArgumentError):
        collection.scroll(limit=limit)


def test_what_was_deleted_is_kept_for_an_hour_and_then_gone(
    collection: Collection, clock: Clock, folder: Path
) -> None:
    collection.upsert([record(key, text=f"secret-{key} words") for key in "abcd"])
    cursor = collection.scroll(limit=1).next_cursor
    collection.delete_ids(["b"])
    clock.advance(3500)
    assert collection.upkeep.purge() == 0
    assert ids(collection.scroll(cursor=cursor).records) == ["b", "c", "d"]
    clock.advance(200)
    assert collection.upkeep.purge() == 1
    with pytest.raises(FailedPreconditionError, match="start again"):
        collection.scroll(cursor=cursor)
    assert flat(pages(collection)) == ["a", "c", "d"]


def test_writes_remove_what_has_expired(collection: Collection, clock: Clock) -> None:
    collection.upsert([record("a", text="one"), record("b")])
    cursor = collection.scroll(limit=1).next_cursor
    collection.delete_ids(["a"])
    clock.advance(3601)
    collection.upsert([record("c")])
    with pytest.raises(FailedPreconditionError):
        collection.scroll(cursor=cursor)
    assert collection.upkeep.purge() == 0


def test_much_is_removed_in_turns(
    collection: Collection, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(purge, "_MOST_ROWS", 7)
    collection.upsert([record(str(n)) for n in range(60)])
    for start in range(0, 60, 20):
        collection.delete_ids([str(n) for n in range(start, start + 20)])
    clock.advance(3601)
    assert collection.upkeep.purge() == 60
    collection.upsert([record("a")])
    assert flat(pages(collection)) == ["a"]


def test_a_clock_that_was_set_back_removes_nothing_early(
    collection: Collection, clock: Clock
) -> None:
    clock.advance(10 * 365 * 24 * 3600)
    collection.upsert([record("a"), record("b")])
    collection.delete_ids(["a"])
    clock.advance(-10 * 365 * 24 * 3600)
    assert collection.upkeep.purge() == 0
    clock.advance(3500)
    assert collection.upkeep.purge() == 0
    clock.advance(200)
    assert collection.upkeep.purge() == 1


def test_a_purged_text_is_not_in_the_database_any_more(folder: Path, clock: Clock) -> None:
    secret = "correct-horse-battery-staple"
    with Index.open(folder, now=clock) as index:
        index.create_collection(TENANT, CollectionSpec("c", Metric.DOT, 3))
        collection = index.collection(TENANT, "c")
        collection.upsert([record("a", text=f"{secret} {'filler ' * 2000}"), record("b")])
        collection.delete_ids(["a"])
        clock.advance(3601)
        assert index.purge() == 1
    held = b"".join(path.read_bytes() for path in folder.rglob("*") if path.is_file())
    assert secret.encode() not in held
