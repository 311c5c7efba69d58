"""What is stored and asked: the same in every run, from a seed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tests.bench.texts import passages

ROWS = 100_000
DIMENSION = 384
QUERIES = 500
CENTRES = 1000
# Of the distances within a cluster, against those between centres.
SPREAD = 0.6


@dataclass(frozen=True, slots=True)
class Below:
    """Lets rows through of which a field of the metadata is less than a bound."""

    field: str
    bound: int


@dataclass(frozen=True, slots=True)
class Corpus:
    """Rows of unit vectors, with a text and two metadata fields each, and queries."""

    vectors: NDArray[np.float32]
    """Shape (rows, dimension)."""
    texts: Sequence[str]
    queries: NDArray[np.float32]
    """Shape (queries, dimension)."""

    def metadata(self, row: int) -> dict[str, int]:
        """Two fields, of a hundred and of a thousand values."""
        return {"shelf": row % 100, "box": row % 1000}


def corpus() -> Corpus:
    """Points around a thousand centres, in random order, as embeddings of texts lie."""
    rng = np.random.default_rng(384)
    centres = rng.standard_normal((CENTRES, DIMENSION), dtype=np.float32)
    return Corpus(
        _around(centres, rng, ROWS), passages(ROWS, seed=384), _around(centres, rng, QUERIES)
    )


def _around(
    centres: NDArray[np.float32], rng: np.random.Generator, count: int
) -> NDArray[np.float32]:
    vectors = centres[rng.integers(0, len(centres), count)]
    vectors += SPREAD * rng.standard_normal((count, DIMENSION), dtype=np.float32)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
