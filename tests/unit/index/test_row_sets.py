"""Sets of rows do as Python's sets do, and the cache of them keeps within its bounds."""

from __future__ import annotations

import numpy as np
from groundwire_index.filter_sql import CompiledFilter, compile_filter
from groundwire_index.filters import Condition, Operator
from groundwire_index.match_cache import MatchCache, Matched
from groundwire_index.matching import Bound
from groundwire_index.row_set import RowSet, ascending
from groundwire_index.state import State
from hypothesis import given
from hypothesis import strategies as st

# Both close together and far apart: they are joined in different ways.
NUMBERS = st.lists(st.integers(1, 20) | st.sampled_from([10**6, 10**9, 2**40]), max_size=30)
ALL = frozenset([*range(1, 21), 10**6, 10**9, 2**40])


def row_set(numbers: list[int], inverted: bool) -> RowSet:
    return RowSet(ascending(np.array(numbers, np.int64)), inverted)


def members(rows: RowSet) -> frozenset[int]:
    held = frozenset(rows.rows.tolist())
    assert rows.rows.tolist() == sorted(held)
    return ALL - held if rows.inverted else held


@given(one=NUMBERS, other=NUMBERS, inverted=st.tuples(st.booleans(), st.booleans()))
def test_row_sets_are_sets(one: list[int], other: list[int], inverted: tuple[bool, bool]) -> None:
    a, b = row_set(one, inverted[0]), row_set(other, inverted[1])
    assert members(~a) == ALL - members(a)
    assert members(a & b) == members(a) & members(b)
    assert members(a | b) == members(a) | members(b)


def where(number: int) -> CompiledFilter:
    return compile_filter(Condition("n", Operator.EQ, number))


def matched(rows: int, sequence: int = 5) -> Matched:
    state = State(sequence, next_row=rows, records=rows, vectors=0, documents=0, purged=0)
    return Matched(state, Bound(RowSet(np.arange(rows)), exact=True))


def test_the_cache_forgets_what_was_not_asked_for_longest() -> None:
    cache = MatchCache(max_bytes=30_000)
    for number in (1, 2, 3):
        cache.put(where(number), matched(1000))
    assert cache.get(where(1)) is not None
    cache.put(where(4), matched(1000))
    assert cache.get(where(2)) is None
    assert all(cache.get(where(number)) is not None for number in (1, 3, 4))


def test_the_cache_keeps_nothing_that_is_too_large() -> None:
    cache = MatchCache(max_bytes=30_000)
    cache.put(where(1), matched(10_000))
    assert cache.get(where(1)) is None
    cache.put(where(2), matched(1000))
    assert cache.get(where(2)) is not None


def test_the_cache_keeps_the_last_that_is_known_of_a_filter() -> None:
    cache = MatchCache()
    for sequence in (5, 6, 4):
        cache.put(where(1), matched(sequence, sequence))
    found = cache.get(where(1))
    assert found is not None
    assert found.state.sequence == 6
    assert found.bound.rows.rows.tolist() == [0, 1, 2, 3, 4, 5]
