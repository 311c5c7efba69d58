"""How many pieces fit into a budget, found with few exact counts."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from itertools import accumulate

# Guesses from the estimates are close after two exact counts; halving bounds the worst case.
_GUESSES = 4


@dataclass(frozen=True, slots=True)
class Fit:
    """The first ``pieces`` pieces, with what they are packed in, take ``tokens``."""

    pieces: int
    tokens: int


async def largest_fit(
    count: Callable[[int], Awaitable[int]],
    estimates: Sequence[int],
    *,
    known: Fit,
    budget: int,
) -> Fit:
    """The largest number of first pieces that fits, given one that does.

    ``count(n)`` is exact for the first n pieces and grows with n; ``estimates`` has a number
    for each piece that is roughly in proportion. Calls ``count`` about twice, and O(log n)
    times at worst.
    """
    totals = list(accumulate(estimates, initial=0))
    fit, least_too_many, scale, guesses = known, len(estimates) + 1, 1.0, 0
    while fit.pieces + 1 < least_too_many:
        room = (budget - fit.tokens) / scale
        guess = bisect_right(totals, totals[fit.pieces] + room) - 1
        if guesses >= _GUESSES:
            guess = (fit.pieces + least_too_many) // 2
        guess = min(max(guess, fit.pieces + 1), least_too_many - 1)
        tokens = await count(guess)
        guesses += 1
        estimate = totals[guess] - totals[known.pieces]
        scale = max((tokens - known.tokens) / estimate, 0.01) if estimate else scale
        if tokens <= budget:
            fit = Fit(guess, tokens)
        else:
            least_too_many = guess
    return fit
