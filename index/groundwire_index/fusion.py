"""Joining a ranking by vectors and a ranking by words into one.

A ranking is a sequence of ``(row, score)``, best first, with scores of 0 and more. What only
one ranking holds gets nothing from the other.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

Ranking = Sequence[tuple[int, float]]


@dataclass(frozen=True, slots=True)
class ReciprocalRank:
    """score = sum over rankings of 1 / (k + rank), rank from 1 (Cormack et al., 2009)."""

    k: int = 60
    """1 to 10,000; the larger, the less the first few ranks stand out."""

    def fuse(self, dense: Ranking, lexical: Ranking) -> Mapping[int, float]:
        """Fused score of every row that is in either ranking."""
        fused: defaultdict[int, float] = defaultdict(float)
        for ranking in (dense, lexical):
            for rank, (row, _) in enumerate(ranking, start=1):
                fused[row] += 1.0 / (self.k + rank)
        return fused


@dataclass(frozen=True, slots=True)
class WeightedSum:
    """score = dense_weight * dense + (1 - dense_weight) * lexical, each a share of its best.

    Scores count from the least that there can be, which does not depend on the candidates: -1
    for cosine similarity, 0 for BM25. So how far a candidate is behind the best is kept, which
    a rank forgets. This is TM2C2, with its weight, of Bruch, Gai and Ingber, "An Analysis of
    Fusion Functions for Hybrid Retrieval", ACM TOIS 42(1), 2023.
    """

    dense_weight: float = 0.8
    """0 to 1."""

    def fuse(self, dense: Ranking, lexical: Ranking) -> Mapping[int, float]:
        """Fused score, 0 to 1, of every row that is in either ranking."""
        fused: defaultdict[int, float] = defaultdict(float)
        for ranking, weight in ((dense, self.dense_weight), (lexical, 1.0 - self.dense_weight)):
            for row, share in _shares(ranking):
                fused[row] += weight * share
        return fused


Fusion = ReciprocalRank | WeightedSum


def above_least(ranking: Ranking, least: float | None) -> Ranking:
    """The ranking with scores counted from ``least``; if None, from its last score."""
    if not ranking:
        return ranking
    floor = ranking[-1][1] if least is None else least
    # Rounding may put a cosine below -1.
    return [(row, max(0.0, score - floor)) for row, score in ranking]


def _shares(ranking: Ranking) -> list[tuple[int, float]]:
    best = ranking[0][1] if ranking else 0.0
    return [(row, score / best if best else 1.0) for row, score in ranking]
