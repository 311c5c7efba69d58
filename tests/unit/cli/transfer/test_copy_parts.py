"""Parts of a copy: batches, samples, reading ahead, numbers that are too large."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import pytest
from groundwire import Collection, Record
from groundwire.results import collections as results
from groundwire.v1 import collection_pb2
from groundwire_server.cli.transfer.batches import batches
from groundwire_server.cli.transfer.large_numbers import LargeNumbersAsText
from groundwire_server.cli.transfer.read_ahead import read_ahead
from groundwire_server.cli.transfer.rounding import as_stored
from groundwire_server.cli.transfer.sample import Sample
from groundwire_server.cli.transfer.source import Page, Placed, Refused


def placed(record_id: str, **parts: object) -> Placed:
    return Placed(Record(record_id, **parts), record_id)  # type: ignore[arg-type]


def test_a_batch_stays_below_its_size_and_nothing_is_left_out() -> None:
    page = [placed(str(n), text="x" * 1000, vector=bytes(4)) for n in range(10)]
    cut = list(batches(page, max_bytes=3100))
    assert [len(batch) for batch in cut] == [3, 3, 3, 1]
    assert [one for batch in cut for one in batch] == page


def test_a_record_larger_than_a_batch_goes_alone() -> None:
    page = [placed("a", text="x"), placed("b", text="x" * 9000), placed("c", text="x")]
    cut = list(batches([*page], max_bytes=4000))
    assert [[one.record.id for one in batch] for batch in cut] == [["a"], ["b"], ["c"]]


def test_texts_to_embed_go_in_small_batches() -> None:
    page = [placed(str(n), text="words") for n in range(200)]
    assert max(len(batch) for batch in batches(page)) < 65


def test_a_sample_is_of_all_and_holds_each_record_as_it_was_last() -> None:
    sample = Sample(size=50)
    for n in range(1000):
        sample.add(Record(str(n)))
    kept = {int(record.id) for record in sample.records}
    assert len(kept) == 50
    assert min(kept) < 250
    assert max(kept) > 750
    again = sample.records[7]
    sample.add(Record(again.id, text="new"))
    assert len(sample.records) == 50
    assert [one.text for one in sample.records if one.id == again.id] == ["new"]


def test_pages_that_are_read_ahead_come_in_order_and_an_error_in_its_place() -> None:
    def pages() -> Iterator[int]:
        yield 1
        yield 2
        raise OSError("worn out")

    ahead = read_ahead(pages())
    assert [next(ahead), next(ahead)] == [1, 2]
    with pytest.raises(OSError, match="worn out"):
        next(ahead)


class Given:
    """A source of one page."""

    name, metric, description, notes = "given", None, "", ()

    def __init__(self, *items: Placed | Refused) -> None:
        self._items = items

    def count(self) -> int:
        return len(self._items)

    def pages(self) -> Iterator[Page]:
        yield self._items


def collection_of(vector_type: str) -> Collection:
    message = collection_pb2.Collection(
        vector_type=collection_pb2.VectorType.Value(f"VECTOR_TYPE_{vector_type.upper()}")
    )
    return results.collection(message)


def test_a_record_is_compared_as_its_collection_stores_it() -> None:
    third = placed("a", vector=[1 / 3, 2, 65504])
    assert as_stored(third, collection_of("float32")) is third
    rounded = as_stored(third, collection_of("float16"))
    assert rounded == placed("a", vector=(0.333251953125, 2.0, 65504.0))
    assert as_stored(placed("b", text="text"), collection_of("float16")).record.vector is None


@pytest.mark.parametrize(
    "vector", [[1.0, 70_000.0], [1e-9, 0.0], [math.nan, 1.0], [math.inf, 1.0], [], ["x"], b"123"]
)
def test_what_a_collection_refuses_is_left_for_it_to_refuse(vector: Any) -> None:
    kept = as_stored(placed("a", vector=vector), collection_of("float16")).record.vector
    assert kept is not None
    assert [*map(str, kept)] == [*map(str, vector)]


def test_numbers_that_do_not_fit_become_texts_wherever_they_are() -> None:
    large = 2**53 + 1
    metadata = {"id": large, "in": [{"a": -large}], "fits": 2**53, "yes": True, "half": 0.5}
    refused = Refused("line 1", "is not JSON")
    ((item, same),) = LargeNumbersAsText(Given(placed("a", metadata=metadata), refused)).pages()
    assert isinstance(item, Placed)
    assert item.record.metadata == {
        **metadata,
        "id": str(large),
        "in": [{"a": str(-large)}],
    }
    assert same is refused
