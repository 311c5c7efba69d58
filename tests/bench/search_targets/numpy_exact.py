"""One multiplication of a matrix in memory: what an exact search cannot be much faster than."""

from __future__ import annotations

import asyncio
from typing import Self

import numpy as np
from numpy.typing import NDArray

from tests.bench.search_targets.corpus import Below, Corpus
from tests.bench.search_targets.target import Vector


class NumpyExact:
    """Brute force in this process: no server, no texts, no metadata, nothing on disk.

    What passes a filter is a matrix of its own from its first search on.
    """

    name = "numpy"

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *error: object) -> None:
        self._rows.clear()

    async def fill(self, corpus: Corpus) -> None:
        """Keep the vectors."""
        self._corpus = corpus
        self._rows = {None: (np.arange(len(corpus.vectors)), corpus.vectors)}

    async def search(self, query: Vector, top_k: int, where: Below | None) -> list[int]:
        """Multiply, in a thread as a server would."""
        return await asyncio.to_thread(self._nearest, query, top_k, where)

    def _nearest(self, query: Vector, top_k: int, where: Below | None) -> list[int]:
        if where not in self._rows:
            self._rows[where] = self._passing(where)
        numbers, vectors = self._rows[where]
        scores = vectors @ query
        best = np.argpartition(scores, -top_k)[-top_k:]
        return [int(row) for row in numbers[best[np.argsort(-scores[best])]]]

    def _passing(self, where: Below | None) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        rows = range(len(self._corpus.vectors))
        passing = [
            row
            for row in rows
            if where is None or self._corpus.metadata(row)[where.field] < where.bound
        ]
        return np.array(passing), self._corpus.vectors[passing]
