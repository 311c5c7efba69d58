"""Records: written whole, read as they were, deleted, and once for one key."""

from __future__ import annotations

import threading
from collections.abc import Callable

import numpy as np
import pytest
from groundwire_index.backend import CollectionBackend
from groundwire_index.errors import (
    AlreadyExistsError,
    FailedPreconditionError,
    InvalidArgumentError,
    NotFoundError,
)
from groundwire_index.filters import All, Condition, Filter, Not, Operator
from groundwire_index.records import ChunkPosition, Count, Include, Record, WriteResult

from tests.conformance.backend.conftest import Make
from tests.unit.index.samples import WITH_VECTOR, Clock, ids, record, vector

WHOLE = Record(
    'é "1" \\ 🦊',
    vector(0.1, -2, 3e-5),
    "Text with 'quotes', \"others\",\nlines and \t tabs — and 🦊.",
    {"a": [1, 2.5, None, {"b": "ж"}], "n": 2**62, "f": 1.0, "t": True, "": {"x.y": ""}},
    "d 1",
    ChunkPosition(3, 10, 20, page=2, last_page=3, headings=("One", "Zwei"), token_count=7),
)


def same(one: Record | None, other: Record) -> bool:
    assert one is not None
    if one.vector is None or other.vector is None:
        return one.vector is other.vector and repr(one) == repr(other)
    return bool(np.array_equal(one.vector, other.vector)) and repr(one) == repr(other)


def test_a_record_comes_back_as_it_was_written(collection: CollectionBackend) -> None:
    assert collection.upsert([WHOLE]) == WriteResult(1, 1)
    (read,) = collection.get([WHOLE.id], WITH_VECTOR)
    assert same(read, WHOLE)


def test_a_record_may_lack_a_text_or_a_vector(collection: CollectionBackend) -> None:
    seen = Record("seen", vector(1, 0, 0))
    written = Record("written", None, "words")
    empty = Record("empty", vector(0, 1, 0), "")
    collection.upsert([seen, written, empty])
    for expected in (seen, written, empty):
        (read,) = collection.get([expected.id], WITH_VECTOR)
        assert same(read, expected)
    info = collection.info()
    assert (info.records, info.vectors, info.documents, info.sequence) == (3, 2, 0, 1)


def test_reads_carry_what_is_asked_for(collection: CollectionBackend) -> None:
    collection.upsert([WHOLE])
    (bare,) = collection.get([WHOLE.id], Include(text=False, metadata=False))
    assert bare is not None
    assert (bare.text, bare.metadata, bare.vector) == (None, {}, None)
    assert (bare.document_id, bare.position) == (WHOLE.document_id, WHOLE.position)


def test_records_come_in_the_order_asked_for(collection: CollectionBackend) -> None:
    collection.upsert([record("a"), record("b")])
    found = collection.get(["b", "nobody", "a", "b"])
    assert [one and one.id for one in found] == ["b", None, "a", "b"]


def test_a_known_id_is_replaced_whole(collection: CollectionBackend) -> None:
    collection.upsert([WHOLE])
    assert collection.upsert([Record(WHOLE.id, None, "new")]) == WriteResult(2, 1)
    (read,) = collection.get([WHOLE.id], WITH_VECTOR)
    assert same(read, Record(WHOLE.id, None, "new"))
    assert collection.count() == Count(1, 2)
    assert collection.info().vectors == 0


def test_of_one_id_the_last_counts(collection: CollectionBackend) -> None:
    assert collection.upsert([record("a", text="1"), record("b"), record("a", text="2")]).count == 2
    (read,) = collection.get(["a"])
    assert read is not None
    assert read.text == "2"


def test_deleting_counts_what_was_there(collection: CollectionBackend) -> None:
    collection.upsert([record("a"), record("b"), record("c")])
    assert collection.delete_ids(["a", "a", "nobody"]) == WriteResult(2, 1)
    assert collection.delete_ids([]) == WriteResult(3, 0)
    assert collection.get(["a", "b"])[0] is None
    assert collection.count() == Count(2, 3)
    collection.upsert([record("a", text="again")])
    assert collection.count() == Count(3, 4)


def test_deleting_by_filter(collection: CollectionBackend) -> None:
    collection.upsert([record(str(n), metadata={"n": n}) for n in range(10)])
    assert collection.delete_filter(Condition("n", Operator.GTE, 4)) == WriteResult(2, 6)
    assert ids(collection.scroll().records) == ["0", "1", "2", "3"]
    with pytest.raises(InvalidArgumentError, match="delete the collection"):
        collection.delete_filter(Not(All(())))


def test_the_same_key_gets_the_first_answer_again(collection: CollectionBackend) -> None:
    first = collection.upsert([record("a")], idempotency_key="k 'é\"")
    collection.upsert([record("b")])
    assert collection.upsert([record("a")], idempotency_key="k 'é\"") == first
    assert collection.info().sequence == 2
    gone = collection.delete_ids(["a", "b"], idempotency_key="gone")
    assert collection.delete_ids(["a", "b"], idempotency_key="gone") == gone == WriteResult(3, 2)
    for other in (
        lambda: collection.upsert([record("c")], idempotency_key="gone"),
        lambda: collection.delete_ids(["b", "a"], idempotency_key="gone"),
        lambda: collection.delete_filter(Condition("n", Operator.EQ, 1), idempotency_key="gone"),
    ):
        with pytest.raises(AlreadyExistsError) as raised:
            other()
        assert raised.value.reason == "IDEMPOTENCY_KEY_REUSED"
    assert collection.count() == Count(0, 3)


def test_the_digest_of_a_request_says_what_is_the_same(collection: CollectionBackend) -> None:
    first = collection.upsert([record("a")], idempotency_key="k", request_digest=b"1")
    again = collection.upsert([record("b")], idempotency_key="k", request_digest=b"1")
    assert again == first
    with pytest.raises(AlreadyExistsError):
        collection.upsert([record("a")], idempotency_key="k", request_digest=b"2")


def test_a_write_that_is_refused_leaves_no_trace(collection: CollectionBackend) -> None:
    collection.upsert([record("a", text="old")])
    with pytest.raises(InvalidArgumentError) as raised:
        collection.upsert([record("a", text="new"), record("b", vector(1, 2))])
    assert raised.value.violations[0].field == "records[1].vector"
    (read,) = collection.get(["a"])
    assert read is not None
    assert read.text == "old"
    assert collection.count() == Count(1, 1)


@pytest.mark.parametrize(
    ("call", "field"),
    [
        (lambda c: c.upsert([]), "records"),
        (lambda c: c.upsert([record("")]), "records[0].id"),
        (lambda c: c.upsert([Record("a", vector(0, 0, 0))]), "records[0].vector"),
        (lambda c: c.upsert([Record("a", vector(1, np.nan, 0))]), "records[0].vector"),
        (lambda c: c.upsert([record("a", metadata={"x": float("inf")})]), "records[0].metadata.x"),
        (lambda c: c.get(["a", ""]), "ids[1]"),
        (lambda c: c.delete_ids(["\n"]), "ids[0]"),
        (lambda c: c.count(Condition("", Operator.EQ, 1)), "filter.field"),
        (lambda c: c.scroll(limit=0), "limit"),
        (lambda c: c.scroll(cursor="made up"), "cursor"),
        (lambda c: c.wait_for(1, 1.0), "at_least_sequence"),
        (lambda c: c.upsert([record("a")], idempotency_key="k" * 257), "idempotency_key"),
    ],
)
def test_what_is_wrong_is_named(
    collection: CollectionBackend, call: Callable[[CollectionBackend], object], field: str
) -> None:
    with pytest.raises(InvalidArgumentError) as raised:
        call(collection)
    assert raised.value.violations[0].field == field
    assert collection.info().sequence == 0


def test_the_vector_of_a_record(collection: CollectionBackend) -> None:
    collection.upsert([record("a", vector(1, 2, 3)), Record("b", None, "words")])
    assert collection.vector_of("a").tolist() == [1, 2, 3]
    with pytest.raises(NotFoundError, match='no record "c"'):
        collection.vector_of("c")
    with pytest.raises(FailedPreconditionError, match="has no vector"):
        collection.vector_of("b")


def test_a_scroll_goes_by_first_insertion(collection: CollectionBackend) -> None:
    for key in ("z", "m", "a"):
        collection.upsert([record(key, metadata={"k": key})])
    collection.upsert([record("z", text="replaced", metadata={"k": "z"}), record("b")])
    collection.delete_ids(["m"])
    assert ids(collection.scroll().records) == ["z", "a", "b"]
    with_key = Condition("k", Operator.EXISTS, True)
    assert ids(collection.scroll(with_key).records) == ["z", "a"]


def test_a_scroll_reads_every_record_once(collection: CollectionBackend) -> None:
    names = [f"r{number:03}" for number in range(157)]
    collection.upsert([record(name, metadata={"n": n}) for n, name in enumerate(names)])
    for where, expected in (
        (None, names),
        (Condition("n", Operator.GTE, 150), names[150:]),
        (Condition("n", Operator.IN, (0, 78, 156)), [names[0], names[78], names[156]]),
        (Condition("n", Operator.LT, 0), []),
    ):
        for limit in (1, 50, 157, 1000):
            if limit == 1 and where is None:
                continue
            read: list[str] = []
            cursor = ""
            while True:
                page = collection.scroll(where, cursor=cursor, limit=limit)
                assert len(page.records) <= limit
                read += ids(page.records)
                if not (cursor := page.next_cursor):
                    break
            assert read == expected


def test_the_newest_come_first_as_they_are_by_now(collection: CollectionBackend) -> None:
    names = [f"r{number:03}" for number in range(57)]
    collection.upsert([record(name, metadata={"odd": n % 2}) for n, name in enumerate(names)])
    collection.upsert([record("r000", text="replaced, and no newer", metadata={"odd": 0})])
    odd = Condition("odd", Operator.EQ, 1)
    for where, expected in ((None, names), (odd, names[1::2]), (Not(odd), names[::2])):
        for limit in (7, 57, 1000):
            assert newest_of(collection, where, limit) == expected[::-1]
    first = collection.newest(limit=3)
    assert ids(first.records) == ["r056", "r055", "r054"]
    collection.delete_ids(["r053"])
    collection.upsert([record("later")])
    assert ids(collection.newest(cursor=first.next_cursor, limit=2).records) == ["r052", "r051"]
    for wrong in (
        lambda: collection.newest(odd, cursor=first.next_cursor),
        lambda: collection.scroll(cursor=first.next_cursor),
    ):
        with pytest.raises(InvalidArgumentError) as raised:
            wrong()
        assert raised.value.reason == "CURSOR_INVALID"


def newest_of(collection: CollectionBackend, where: Filter | None, limit: int) -> list[str]:
    read: list[str] = []
    cursor = ""
    while True:
        page = collection.newest(where, cursor=cursor, limit=limit)
        assert len(page.records) <= limit
        read += ids(page.records)
        if not (cursor := page.next_cursor):
            return read


def test_a_cursor_is_good_for_one_collection_and_filter(make: Make) -> None:
    one, other = make("one"), make("other")
    for collection in (one, other):
        collection.upsert([record("a"), record("b")])
    cursor = one.scroll(limit=1).next_cursor
    for wrong in (
        lambda: other.scroll(cursor=cursor),
        lambda: one.scroll(Condition("a", Operator.EQ, 1), cursor=cursor),
    ):
        with pytest.raises(InvalidArgumentError) as raised:
            wrong()
        assert raised.value.reason == "CURSOR_INVALID"


def test_a_scroll_shows_one_state_or_says_that_it_cannot(collection: CollectionBackend) -> None:
    collection.upsert([record("a"), record("b")])
    cursor = collection.scroll(limit=1).next_cursor
    collection.upsert([record("c")])
    collection.delete_ids(["b"])
    assert rest_of(collection, cursor) in (["b"], "CURSOR_EXPIRED")


def rest_of(collection: CollectionBackend, cursor: str) -> list[str] | str:
    try:
        return ids(collection.scroll(cursor=cursor).records)
    except FailedPreconditionError as error:
        return error.reason


def test_keys_are_remembered_for_a_day(collection: CollectionBackend, clock: Clock) -> None:
    first = collection.upsert([record("a")], idempotency_key="k")
    clock.advance(23 * 3600)
    assert collection.upsert([record("a")], idempotency_key="k") == first


def test_each_write_has_a_number_of_its_own(collection: CollectionBackend) -> None:
    numbers: list[int] = []

    def write(name: str) -> None:
        numbers.extend(collection.upsert([record(f"{name}{n}")]).sequence for n in range(5))

    threads = [threading.Thread(target=write, args=(name,)) for name in "abcd"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(numbers) == list(range(1, 21))
    assert collection.count() == Count(20, 20)
    collection.wait_for(20, 1.0)


def test_a_read_beside_writes_sees_one_state(collection: CollectionBackend) -> None:
    """Every write replaces all three; whoever counts finds three of one kind."""
    collection.upsert([record(key, metadata={"round": 0}) for key in "abc"])
    done = threading.Event()

    def write() -> None:
        for number in range(1, 30):
            collection.upsert([record(key, metadata={"round": number}) for key in "abc"])
        done.set()

    thread = threading.Thread(target=write)
    thread.start()
    seen = []
    while not done.is_set() or not seen:
        found = [one and one.metadata["round"] for one in collection.get(["a", "b", "c"])]
        counted = collection.count(Condition("round", Operator.EQ, found[0]))
        seen.append(found)
        assert len(set(found)) == 1
        assert counted.count in (0, 3)
    thread.join()
