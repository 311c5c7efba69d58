"""A process that is killed at any moment loses nothing that it acknowledged."""

from __future__ import annotations

from collections import Counter
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
from groundwire_index import Collection, CollectionState, Index, SearchMode
from groundwire_index.errors import NotFoundError
from groundwire_index.filters import Condition, Not, Operator
from groundwire_index.records import Include, SearchQuery

from tests.faults.index.filling_child import BEFORE
from tests.faults.index.killing import expected_after, run_until_killed
from tests.faults.index.writing_child import DIMENSION, SEGMENT_BYTES, TENANT, spec_of, writes
from tests.unit.index import oracle

MOMENTS = 15


@pytest.mark.parametrize("seed", range(MOMENTS))
def test_after_a_kill_everything_acknowledged_is_there_and_nothing_is_half_there(
    tmp_path: Path, seed: int
) -> None:
    begun, done = run_until_killed(tmp_path, seed)
    with Index.open(tmp_path, segment_bytes=SEGMENT_BYTES) as index:
        try:
            collection = index.collection(TENANT, "c")
        except NotFoundError:
            assert done == 0
            return
        assert collection.spec == spec_of(seed)
        # The write that was in progress is there as a whole, or not at all.
        kept = collection.info().sequence
        assert kept in (done, begun)
        expected = expected_after(seed, kept)
        page = collection.scroll(limit=1000, include=Include(vector=True))
        assert [record.id for record in page.records] == list(expected)
        for found in page.records:
            wanted = expected[found.id]
            assert (found.text, found.metadata) == (wanted.text, wanted.metadata)
            assert found.document_id == wanted.document_id
            np.testing.assert_equal(found.vector, wanted.vector)
        info = collection.info()
        assert info.state is CollectionState.READY
        assert info.records == len(expected)

        draw = np.random.default_rng(seed)
        for _ in range(3):
            query = draw.normal(size=DIMENSION).astype(np.float32)
            hits = collection.search(SearchQuery(query)).hits
            nearest = oracle.best(expected, collection.spec.metric, query, 10)
            oracle.assert_same_ranking([(hit.id, hit.score) for hit in hits], nearest)
        words = SearchQuery(text=f"write{kept}", top_k=1000, mode=SearchMode.LEXICAL)
        holding = {
            key for key, one in expected.items() if (one.text or "").startswith(f"write{kept} ")
        }
        assert {hit.id for hit in collection.search(words).hits} == holding

        # And it goes on from there.
        next_write = next(islice(writes(seed), kept, None))
        next_write.do(collection)
        next_write.apply(expected)
        assert collection.count().count == len(expected)


def counts(collection: Collection) -> dict[int, int]:
    """How many records each write left, by filters; all of them, by their opposites."""
    total = collection.info().records
    found = {}
    for number in range(1, collection.info().sequence + 2):
        where = Condition("write", Operator.EQ, number)
        found[number] = collection.count(where).count
        assert collection.count(Not(where)).count == total - found[number]
    return {number: count for number, count in found.items() if count}


@pytest.mark.parametrize("seed", range(MOMENTS))
def test_after_a_kill_while_fields_are_indexed_filters_find_what_there_is(
    tmp_path: Path, seed: int
) -> None:
    _, done = run_until_killed(tmp_path, seed, "filling_child", (2 * BEFORE, 2 * BEFORE + 90))
    with Index.open(
        tmp_path, segment_bytes=SEGMENT_BYTES, background=False, index_fields_from=0
    ) as index:
        collection = index.collection(TENANT, "c")
        kept = collection.info().sequence
        assert kept >= done
        expected = Counter(one.metadata["write"] for one in expected_after(seed, kept).values())
        assert counts(collection) == expected
        # And what was being indexed is gone on with.
        while collection.upkeep.index_field():
            pass
        assert sorted(collection.info().indexed_fields) == ["$id", "write"]
        collection.delete_ids(["none"])  # Nothing is remembered after a write.
        assert counts(collection) == expected
