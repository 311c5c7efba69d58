"""The largest number of pieces that fits is found exactly, and cheaply."""

from __future__ import annotations

from itertools import accumulate

from groundwire_server.memory.fit import Fit, largest_fit
from hypothesis import given
from hypothesis import strategies as st


class Counter:
    def __init__(self, sizes: list[int], bare: int) -> None:
        self.totals = list(accumulate(sizes, initial=bare))
        self.calls = 0

    async def __call__(self, pieces: int) -> int:
        self.calls += 1
        return self.totals[pieces]


@given(
    pieces=st.lists(st.tuples(st.integers(1, 50), st.integers(1, 50)), max_size=200),
    bare=st.integers(0, 20),
    room=st.integers(0, 4000),
)
async def test_it_is_the_largest_whatever_the_estimates(
    pieces: list[tuple[int, int]], bare: int, room: int
) -> None:
    sizes, estimates = [size for size, _ in pieces], [estimate for _, estimate in pieces]
    count = Counter(sizes, bare)
    fit = await largest_fit(count, estimates, known=Fit(0, bare), budget=bare + room)
    assert fit.tokens == count.totals[fit.pieces] <= bare + room
    assert fit.pieces == len(pieces) or count.totals[fit.pieces + 1] > bare + room
    assert count.calls <= 4 + len(pieces).bit_length()


async def test_estimates_in_proportion_take_few_counts() -> None:
    sizes = [20 + n % 7 for n in range(10_000)]
    for scale in (0.5, 1, 2):
        count = Counter(sizes, 10)
        estimates = [round(size * scale) for size in sizes]
        fit = await largest_fit(count, estimates, known=Fit(0, 10), budget=50_000)
        assert count.totals[fit.pieces] <= 50_000 < count.totals[fit.pieces + 1]
        assert count.calls <= 6


async def test_what_is_known_to_fit_is_not_counted_again() -> None:
    count = Counter([10] * 10, 0)
    fit = await largest_fit(count, [10] * 10, known=Fit(7, 70), budget=75)
    assert fit == Fit(7, 70)
    assert count.calls == 1


async def test_nothing_to_fit_takes_no_count() -> None:
    count = Counter([], 5)
    assert await largest_fit(count, [], known=Fit(0, 5), budget=100) == Fit(0, 5)
    assert count.calls == 0
