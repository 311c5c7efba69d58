"""What is stored and asked: the same in every run, from a seed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tests.bench.texts import passages

ROWS = 100_000
DIMENSION = 384
SHELVES = 100
QUERIES = 500


@dataclass(frozen=True, slots=True)
class Corpus:
    """Rows of unit vectors, with a text and two metadata fields each, and queries."""

    vectors: NDArray[np.float32]
    """Shape (rows, dimension)."""
    texts: Sequence[str]
    queries: NDArray[np.float32]
    """Shape (queries, dimension)."""

    def shelf(self, row: int) -> int:
        """Metadata that one row in a hundred shares."""
        return row % SHELVES

    def year(self, row: int) -> int:
        """Metadata that is there to be carried."""
        return 1950 + row % 83


def corpus() -> Corpus:
    """Random directions: for an exact search, as hard as any."""
    rng = np.random.default_rng(384)
    return Corpus(_units(rng, ROWS), passages(ROWS, seed=384), _units(rng, QUERIES))


def _units(rng: np.random.Generator, count: int) -> NDArray[np.float32]:
    vectors = rng.standard_normal((count, DIMENSION), dtype=np.float32)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
