"""From texts to postings: sorted by block of rows, by term, and by row."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, pairwise

import numpy as np
from numpy.typing import NDArray

from groundwire_index.porter import stem
from groundwire_index.terms import words

BLOCK = 1024
# Greater counts and lengths are kept as this.
_MOST = 2**16 - 1
POSTING = np.dtype([("offset", "<u2"), ("count", "<u2"), ("length", "<u2")])
"""A row's place in its block, how often it holds the term, and how many terms its text has."""

Texts = Sequence[tuple[int, str]]
"""Rows and their texts, in order of row."""


@dataclass(frozen=True, slots=True, eq=False)
class Group:
    """Postings of one term in one block."""

    block: int
    term: str
    postings: NDArray[np.void]


@dataclass(frozen=True, slots=True)
class BlockSize:
    """What the texts of one block come to."""

    block: int
    texts: int
    terms: int


class Inversion:
    """The postings of some texts."""

    def __init__(self, texts: Texts) -> None:
        numbers = _Numbers()
        split = [words(text) for _, text in texts]
        self._rows = np.fromiter((row for row, _ in texts), np.int64, len(texts))
        self._lengths = np.fromiter(map(len, split), np.int64, len(texts))
        every = map(numbers.__getitem__, chain.from_iterable(split))
        self._found = np.fromiter(every, np.int64, int(self._lengths.sum()))
        self._terms = numbers.terms

    def sizes(self) -> list[BlockSize]:
        """What the texts come to, block by block."""
        blocks, places = np.unique(self._rows // BLOCK, return_inverse=True)
        texts = np.bincount(places, minlength=len(blocks))
        terms = np.bincount(places, self._lengths, len(blocks)).astype(np.int64)
        columns = (blocks.tolist(), texts.tolist(), terms.tolist())
        return [BlockSize(*size) for size in zip(*columns, strict=True)]

    def groups(self) -> Iterator[Group]:
        """The postings, by block and then by term, each group in order of row."""
        pairs, counts = np.unique(self._keys(), return_counts=True)
        owners, places = np.divmod(pairs, max(1, len(self._rows)))
        postings = self._postings(places, counts)
        starts = np.flatnonzero(np.diff(owners, prepend=-1))
        blocks, numbers = np.divmod(owners[starts], max(1, len(self._terms)))
        bounds = pairwise([*starts.tolist(), len(owners)])
        for block, number, (start, end) in zip(
            blocks.tolist(), numbers.tolist(), bounds, strict=True
        ):
            yield Group(block, self._terms[number], postings[start:end])

    def _keys(self) -> NDArray[np.int64]:
        """Block, term and place of each word as one number, so that one sort does it."""
        places = np.repeat(np.arange(len(self._rows)), self._lengths)
        blocks = self._rows[places] // BLOCK
        keys: NDArray[np.int64] = (blocks * len(self._terms) + self._found) * len(
            self._rows
        ) + places
        return keys

    def _postings(self, places: NDArray[np.int64], counts: NDArray[np.int64]) -> NDArray[np.void]:
        postings = np.empty(len(places), POSTING)
        postings["offset"] = self._rows[places] % BLOCK
        postings["count"] = np.minimum(counts, _MOST)
        postings["length"] = np.minimum(self._lengths[places], _MOST)
        return postings


class _Numbers(dict[str, int]):
    """Numbers of words: those with one stem share one, which is its place in `terms`."""

    def __init__(self) -> None:
        self.terms: list[str] = []
        self._known: dict[str, int] = {}

    def __missing__(self, word: str) -> int:
        term = stem(word)
        number = self._known.setdefault(term, len(self.terms))
        if number == len(self.terms):
            self.terms.append(term)
        self[word] = number
        return number
