"""Vectors to index: clustered, of a decaying spectrum, as embeddings are."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from groundwire_index.records import Metric
from numpy.typing import NDArray

Matrix = NDArray[np.float32]


class Pieces:
    """Vectors in several arrays, as in several files; counts the rows that are read."""

    def __init__(self, *parts: Matrix) -> None:
        self._parts: Sequence[Matrix] = parts
        self.count = sum(len(part) for part in parts)
        self.dimension = parts[0].shape[1]
        self.rows_read = 0

    def read(self, start: int, stop: int) -> Matrix:
        assert 0 <= start < stop <= self.count
        self.rows_read += stop - start
        first, found = 0, []
        for part in self._parts:
            found.append(part[max(0, start - first) : max(0, stop - first)])
            first += len(part)
        return np.concatenate(found)


def clustered(
    count: int, dimension: int, *, seed: int, clusters: int = 100, spread: float = 0.3
) -> tuple[Matrix, Matrix]:
    """``count`` vectors, and 100 queries of the same kind. Their lengths vary by ``spread``."""
    rng = np.random.default_rng(seed)
    spectrum = (np.arange(1, dimension + 1) ** -0.5).astype(np.float32)
    centres = rng.standard_normal((clusters, dimension), dtype=np.float32) * spectrum

    def draw(size: int) -> Matrix:
        noise = rng.standard_normal((size, dimension), dtype=np.float32) * spectrum
        vectors = centres[rng.integers(0, clusters, size)] + 0.7 * noise
        return (vectors * rng.lognormal(0, spread, (size, 1))).astype(np.float32)

    return draw(count), draw(100)


def scores(vectors: Matrix, queries: Matrix, metric: Metric) -> NDArray[np.float64]:
    """Exact scores by the definition, shape (queries, vectors)."""
    wide, asked = vectors.astype(np.float64), queries.astype(np.float64)
    products = asked @ wide.T
    if metric is Metric.DOT:
        return products
    if metric is Metric.COSINE:
        lengths = np.linalg.norm(asked, axis=1)[:, None] * np.linalg.norm(wide, axis=1)
        return np.asarray(products / lengths)
    return np.asarray(2 * products - np.sum(wide**2, axis=1))


def recall(exact: NDArray[np.float64], candidates: NDArray[np.int64], depth: int) -> float:
    """Share of the best ``depth`` that is among the best ``depth`` candidates, rescored."""
    found = 0.0
    for row, proposed in zip(exact, candidates, strict=True):
        best = set(np.argsort(-row)[:depth].tolist())
        named = proposed[proposed >= 0]
        rescored = named[np.argsort(-row[named])][:depth]
        found += len(best & set(rescored.tolist())) / len(best)
    return found / len(exact)
