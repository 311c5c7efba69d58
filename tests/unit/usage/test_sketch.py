"""Quantiles from buckets are as near to the true ones as is said."""

from __future__ import annotations

import math
from collections import Counter

import pytest
from groundwire_server.usage.sketch import (
    ERROR,
    LONGEST_S,
    SHORTEST_S,
    bucket_of,
    quantile,
)
from hypothesis import given
from hypothesis import strategies as st

durations = st.lists(st.floats(SHORTEST_S, LONGEST_S), min_size=1, max_size=200)
shares = st.floats(0.01, 1.0)


def sketch_of(seconds: list[float]) -> Counter[int]:
    return Counter(map(bucket_of, seconds))


def nearest_rank(seconds: list[float], share: float) -> float:
    return sorted(seconds)[math.ceil(share * len(seconds)) - 1]


@given(durations, shares)
def test_a_quantile_is_off_by_no_more_than_is_said(seconds: list[float], share: float) -> None:
    found = quantile(sketch_of(seconds), share)
    assert found == pytest.approx(nearest_rank(seconds, share), rel=ERROR + 1e-9)


@given(durations, durations, shares)
def test_sketches_of_two_servers_add_up_to_the_sketch_of_both(
    here: list[float], there: list[float], share: float
) -> None:
    merged = sketch_of(here) + sketch_of(there)
    assert quantile(merged, share) == quantile(sketch_of(here + there), share)


@pytest.mark.parametrize(
    ("seconds", "told"), [(0.0, SHORTEST_S), (1e-7, SHORTEST_S), (1e9, LONGEST_S)]
)
def test_what_is_out_of_range_counts_as_its_end(seconds: float, told: float) -> None:
    assert quantile(sketch_of([seconds]), 0.95) == pytest.approx(told, rel=ERROR)


def test_nothing_has_no_quantile() -> None:
    assert quantile({}, 0.95) is None


def test_a_sketch_of_everything_is_a_few_hundred_numbers() -> None:
    assert bucket_of(LONGEST_S) == 206
