"""Records: written by key, read back as they were, deleted."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from groundwire_index import Collection, CollectionSpec, Include, Index, Metric, Record
from groundwire_index.errors import (
    AlreadyExistsError,
    FailedPreconditionError,
    InvalidArgumentError,
    NotFoundError,
)
from groundwire_index.filters import All, Any, Condition, Not, Operator
from groundwire_index.records import ChunkPosition, Metadata

from tests.unit.index.samples import TENANT, WITH_VECTOR, Clock, record, vector

METADATA: Metadata = {
    "title": 'Ünïcode \U0001f98a "quoted" back\\slash',
    "nested": {"list": [1, 2.5, True, None, "x", {"deep": []}], "": "empty key"},
    "number": 0.1 + 0.2,
    "large": 2**62,
    "truth": False,
    "nothing": None,
}


def field_of(error: pytest.ExceptionInfo[InvalidArgumentError]) -> str:
    return error.value.violations[0].field


def test_a_record_comes_back_as_it_was(collection: Collection) -> None:
    position = ChunkPosition(3, 10, 20, page=1, last_page=2, headings=("A", "B"), token_count=7)
    written = Record("a", vector(3, 4, 0), "Text with\nlines", METADATA, "doc", position)
    collection.upsert([written])
    (found,) = collection.get(["a"], WITH_VECTOR)
    assert found is not None
    assert found.vector is not None
    # Not normalised, although the metric is cosine.
    np.testing.assert_array_equal(found.vector, written.vector)
    assert found.vector.dtype == np.float32
    assert (found.text, found.metadata) == (written.text, written.metadata)
    assert (found.document_id, found.position) == ("doc", position)


def test_an_answer_carries_what_was_asked_for(collection: Collection) -> None:
    collection.upsert([record("a", vector(1, 2, 3), "words", metadata={"k": 1})])
    (bare,) = collection.get(["a"], Include(text=False, metadata=False))
    assert bare is not None
    assert (bare.vector, bare.text, bare.metadata) == (None, None, {})
    (usual,) = collection.get(["a"])
    assert usual is not None
    assert (usual.vector, usual.text, usual.metadata) == (None, "words", {"k": 1})


def test_records_come_in_request_order_with_none_for_the_unknown(collection: Collection) -> None:
    collection.upsert([record(key) for key in "abc"])
    found = collection.get(["c", "x", "a", "c"])
    assert [one and one.id for one in found] == ["c", None, "a", "c"]


def test_a_record_needs_no_vector_or_no_text(collection: Collection) -> None:
    collection.upsert([record("v", vector(1, 0, 0)), record("t", text="words")])
    found = collection.get(["v", "t"], WITH_VECTOR)
    assert [(one.vector is None, one.text) for one in found if one] == [
        (False, None),
        (True, "words"),
    ]
    info = collection.info()
    assert (info.records, info.vectors) == (2, 1)


def test_a_known_id_is_replaced_whole(collection: Collection) -> None:
    collection.upsert([record("a", vector(1, 0, 0), "old words", metadata={"k": 1})])
    collection.upsert([record("a", text="new")])
    (found,) = collection.get(["a"], WITH_VECTOR)
    assert found is not None
    assert (found.vector, found.text, found.metadata) == (None, "new", {})
    assert (collection.info().records, collection.info().vectors) == (1, 0)


def test_sequence_numbers_grow_by_one_and_counts_are_of_distinct_ids(
    collection: Collection,
) -> None:
    first = collection.upsert([record("a"), record("b")])
    second = collection.upsert([record("b"), record("c"), record("b")])
    third = collection.delete_ids(["a", "a", "zzz"])
    assert [(one.sequence, one.count) for one in (first, second, third)] == [(1, 2), (2, 2), (3, 1)]
    assert collection.info().sequence == 3


def test_of_one_id_twice_in_a_batch_the_last_counts(collection: Collection) -> None:
    collection.upsert([record("a", text="first"), record("b"), record("a", text="last")])
    (found,) = collection.get(["a"])
    assert found is not None
    assert found.text == "last"
    assert collection.count().count == 2


def test_a_batch_is_written_whole_or_not_at_all(collection: Collection) -> None:
    with pytest.raises(InvalidArgumentError) as caught:
        collection.upsert([record("a"), record("b", vector(1, math.nan, 0))])
    assert field_of(caught) == "records[1].vector"
    assert collection.count().count == 0
    assert collection.info().sequence == 0


def test_deleting_by_filter_counts_what_went(collection: Collection) -> None:
    collection.upsert([record(str(n), metadata={"n": n}) for n in range(10)])
    gone = collection.delete_filter(Condition("n", Operator.GTE, 7))
    assert gone.count == 3
    assert collection.count().count == 7
    assert collection.get(["7"]) == [None]


@pytest.mark.parametrize("empty", [All(()), Not(Any(())), All((All(()), Any(())))])
def test_a_filter_without_a_condition_deletes_nothing(collection: Collection, empty: All) -> None:
    collection.upsert([record("a")])
    with pytest.raises(InvalidArgumentError, match="delete the collection"):
        collection.delete_filter(empty)
    assert collection.count().count == 1


def test_a_repeated_key_gives_the_first_answer(collection: Collection) -> None:
    first = collection.upsert([record("a", text="x")], idempotency_key="k")
    collection.delete_ids(["a"])
    again = collection.upsert([record("a", text="x")], idempotency_key="k")
    assert again == first
    assert collection.count().count == 0


def test_keys_outlive_a_restart_and_expire_after_a_day(folder: Path, clock: Clock) -> None:
    with Index.open(folder, now=clock) as index:
        index.create_collection(TENANT, CollectionSpec("c", Metric.DOT, 3))
        first = index.collection(TENANT, "c").upsert([record("a")], idempotency_key="k")
    clock.advance(23 * 3600)
    with Index.open(folder, now=clock) as index:
        collection = index.collection(TENANT, "c")
        assert collection.upsert([record("a")], idempotency_key="k") == first
        clock.advance(2 * 3600)
        collection.upsert([record("b")])
        assert collection.upsert([record("c")], idempotency_key="k").sequence == 3


@pytest.mark.parametrize(
    "other",
    [
        lambda c: c.upsert([record("a", text="y")], idempotency_key="k"),
        lambda c: c.upsert([record("a", vector(1, 2, 3), "x")], idempotency_key="k"),
        lambda c: c.delete_ids(["a"], idempotency_key="k"),
        lambda c: c.delete_filter(Condition("a", Operator.EQ, 1), idempotency_key="k"),
        lambda c: c.delete_document("a", idempotency_key="k"),
        lambda c: c.upsert([record("a", text="x")], idempotency_key="k", request_digest=b"other"),
    ],
)
def test_a_key_with_another_request_is_refused(
    collection: Collection, other: Callable[[Collection], object]
) -> None:
    collection.upsert([record("a", text="x")], idempotency_key="k")
    with pytest.raises(AlreadyExistsError, match='"k"'):
        other(collection)
    assert collection.info().sequence == 1


def test_the_caller_may_say_what_makes_a_request_the_same(collection: Collection) -> None:
    first = collection.upsert([record("a")], idempotency_key="k", request_digest=b"same")
    again = collection.upsert([record("b")], idempotency_key="k", request_digest=b"same")
    assert again == first
    assert collection.get(["b"]) == [None]


def test_a_refused_write_does_not_use_up_its_key(collection: Collection) -> None:
    with pytest.raises(NotFoundError):
        collection.delete_document("a", idempotency_key="k")
    assert collection.upsert([record("a")], idempotency_key="k").sequence == 1


def test_the_vector_of_a_record(collection: Collection) -> None:
    collection.upsert([record("v", vector(1, 2, 3)), record("t", text="words")])
    np.testing.assert_array_equal(collection.vector_of("v"), vector(1, 2, 3))
    with pytest.raises(NotFoundError, match='"x"'):
        collection.vector_of("x")
    with pytest.raises(FailedPreconditionError, match='"t"'):
        collection.vector_of("t")


def test_a_sequence_that_was_given_out_is_visible(collection: Collection) -> None:
    written = collection.upsert([record("a")])
    collection.wait_for(written.sequence, timeout_s=0)
    collection.wait_for(0, timeout_s=0)
    with pytest.raises(InvalidArgumentError) as caught:
        collection.wait_for(written.sequence + 1, timeout_s=0)
    assert field_of(caught) == "at_least_sequence"


@pytest.mark.parametrize(
    ("bad", "field"),
    [
        (record(""), "records[0].id"),
        (record("x" * 513), "records[0].id"),
        (record("ü" * 257), "records[0].id"),
        (record("a\nb"), "records[0].id"),
        (record("\ud800"), "records[0].id"),
        (record("a", document_id="\x00"), "records[0].document_id"),
        (Record("a"), "records[0]"),
        (record("a", text=""), "records[0].text"),
        (record("a", text=" \n\t"), "records[0].text"),
        (record("a", text="x" * (2**20 + 1)), "records[0].text"),
        (record("a", text="\udc00"), "records[0].text"),
        (record("a", vector(1, 2)), "records[0].vector"),
        (record("a", np.ones((3, 1), np.float32)), "records[0].vector"),
        (record("a", vector(1, math.inf, 0)), "records[0].vector"),
        (record("a", vector(math.nan, 0, 0)), "records[0].vector"),
        (record("a", vector(0, 0, 0)), "records[0].vector"),
        (record("a", vector(3e38, 3e38, 0)), "records[0].vector"),
        (record("a", metadata={"x": math.nan}), "records[0].metadata.x"),
        (record("a", metadata={"x": [1, {"y": math.inf}]}), "records[0].metadata.x[1].y"),
        (record("a", metadata={"x": 2**63}), "records[0].metadata.x"),
        (record("a", metadata={"x": "\x00"}), "records[0].metadata.x"),
        (record("a", metadata={"x": {1, 2}}), "records[0].metadata.x"),  # type: ignore[dict-item]
        (record("a", metadata={1: 2}), "records[0].metadata"),  # type: ignore[dict-item]
        (record("a", metadata={"x": "y" * 2**16}), "records[0].metadata"),
    ],
)
def test_bad_records_are_refused_by_field(collection: Collection, bad: Record, field: str) -> None:
    with pytest.raises(InvalidArgumentError) as caught:
        collection.upsert([bad])
    assert field_of(caught) == field
    assert collection.count().count == 0


def test_metadata_has_sixteen_levels(collection: Collection) -> None:
    def nested(levels: int) -> Metadata:
        return {} if levels == 1 else {"x": nested(levels - 1)}  # type: ignore[dict-item]

    collection.upsert([record("a", metadata=nested(16))])
    with pytest.raises(InvalidArgumentError, match="16 levels"):
        collection.upsert([record("a", metadata=nested(17))])


def test_blank_text_is_fine_beside_a_vector(collection: Collection) -> None:
    collection.upsert([record("a", vector(1, 0, 0), "  ")])
    (found,) = collection.get(["a"])
    assert found is not None
    assert found.text == "  "


def test_a_zero_vector_is_refused_under_cosine_alone(make: Callable[..., Collection]) -> None:
    for metric in (Metric.DOT, Metric.EUCLIDEAN):
        make(metric.value, metric).upsert([record("a", vector(0, 0, 0))])


@pytest.mark.parametrize("ids", [[], ["a"] * 10_001, ["\x00"], [""]])
def test_bad_lists_of_ids_are_refused(collection: Collection, ids: list[str]) -> None:
    with pytest.raises(InvalidArgumentError):
        collection.get(ids)


def test_batches_have_limits(collection: Collection) -> None:
    for count in (0, 10_001):
        with pytest.raises(InvalidArgumentError) as caught:
            collection.upsert([record("a")] * count)
        assert field_of(caught) == "records"


def test_a_key_has_a_limit(collection: Collection) -> None:
    with pytest.raises(InvalidArgumentError) as caught:
        collection.upsert([record("a")], idempotency_key="x" * 257)
    assert field_of(caught) == "idempotency_key"
