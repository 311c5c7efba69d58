"""Sets of rows, also those that are all but some."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Rows = NDArray[np.int64]
"""Row numbers, ascending, none twice."""

# Bytes of a table that cost as much as sorting or searching one number.
_DENSE = 32


@dataclass(frozen=True, slots=True, eq=False)
class RowSet:
    """Some rows or, inverted, every row but these."""

    rows: Rows
    inverted: bool = False

    def __invert__(self) -> RowSet:
        return RowSet(self.rows, not self.inverted)

    def __and__(self, other: RowSet) -> RowSet:
        if self.inverted and other.inverted:
            return RowSet(_either(self.rows, other.rows), inverted=True)
        if self.inverted:
            return RowSet(_without(other.rows, self.rows))
        if other.inverted:
            return RowSet(_without(self.rows, other.rows))
        return RowSet(_both(self.rows, other.rows))

    def __or__(self, other: RowSet) -> RowSet:
        return ~(~self & ~other)


def nothing() -> RowSet:
    """No row."""
    return RowSet(np.empty(0, np.int64))


def everything() -> RowSet:
    """Every row."""
    return ~nothing()


def ascending(numbers: Rows) -> Rows:
    """Numbers in any order, made ascending, each once."""
    if not len(numbers) or (numbers[1:] > numbers[:-1]).all():
        return numbers
    low, high = int(numbers.min()), int(numbers.max())
    if _is_dense(len(numbers), low, high):
        return low + np.flatnonzero(_table(numbers, low, high))
    # Sorting is several times faster than numpy's unique.
    numbers = np.sort(numbers)
    return numbers[np.flatnonzero(np.diff(numbers, prepend=-1))]


def _both(one: Rows, other: Rows) -> Rows:
    few, many = (one, other) if len(one) < len(other) else (other, one)
    return few[_are_in(few, many)]


def _either(one: Rows, other: Rows) -> Rows:
    return ascending(np.concatenate((one, other)))


def _without(rows: Rows, gone: Rows) -> Rows:
    return rows[~_are_in(rows, gone)]


def _are_in(rows: Rows, others: Rows) -> NDArray[np.bool_]:
    if not len(others):
        return np.zeros(len(rows), np.bool_)
    low, high = int(others[0]), int(others[-1])
    if _is_dense(len(rows), low, high):
        start, stop = np.searchsorted(rows, (low, high + 1))
        found = np.zeros(len(rows), np.bool_)
        found[start:stop] = _table(others, low, high)[rows[start:stop] - low]
        return found
    places = np.minimum(np.searchsorted(others, rows), len(others) - 1)
    equal: NDArray[np.bool_] = others[places] == rows
    return equal


def _is_dense(count: int, low: int, high: int) -> bool:
    """Whether so many numbers are looked up sooner in a table of all from low to high."""
    return high - low < _DENSE * count


def _table(numbers: Rows, low: int, high: int) -> NDArray[np.bool_]:
    table = np.zeros(high - low + 1, np.bool_)
    table[numbers - low] = True
    return table
