"""One multiplication of a matrix in memory: what an exact search cannot be much faster than."""

from __future__ import annotations

import asyncio
from typing import Self

import numpy as np

from tests.bench.search_targets.corpus import Corpus
from tests.bench.search_targets.target import Vector


class NumpyExact:
    """Brute force in this process: no server, no texts, no metadata, nothing on disk.

    Each shelf is a matrix of its own, so that a filter costs nothing.
    """

    name = "numpy"

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *error: object) -> None:
        self._rows.clear()

    async def fill(self, corpus: Corpus) -> None:
        """Keep the vectors."""
        numbers = np.arange(len(corpus.vectors))
        shelves = np.array([corpus.shelf(int(row)) for row in numbers])
        self._rows = {None: (numbers, corpus.vectors)}
        for shelf in np.unique(shelves):
            of_shelf = numbers[shelves == shelf]
            self._rows[int(shelf)] = (of_shelf, corpus.vectors[of_shelf])

    async def search(self, query: Vector, top_k: int, shelf: int | None) -> list[int]:
        """Multiply, in a thread as a server would."""
        return await asyncio.to_thread(self._nearest, query, top_k, shelf)

    def _nearest(self, query: Vector, top_k: int, shelf: int | None) -> list[int]:
        numbers, vectors = self._rows[shelf]
        scores = vectors @ query
        best = np.argpartition(scores, -top_k)[-top_k:]
        return [int(row) for row in numbers[best[np.argsort(-scores[best])]]]
