"""Joining a ranking by vectors and a ranking by words into one.

A ranking is a sequence of ``(row, score)``, best first. What only one ranking holds gets
nothing from the other.
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
    """score = dense_weight * dense + (1 - dense_weight) * lexical, each scaled to 0..1.

    Scaled by the least and the greatest score among the candidates of the query; where they
    are all equal, each is 1.
    """

    dense_weight: float = 0.6
    """0 to 1."""

    def fuse(self, dense: Ranking, lexical: Ranking) -> Mapping[int, float]:
        """Fused score of every row that is in either ranking."""
        fused: defaultdict[int, float] = defaultdict(float)
        for ranking, weight in ((dense, self.dense_weight), (lexical, 1.0 - self.dense_weight)):
            for row, share in _scaled(ranking):
                fused[row] += weight * share
        return fused


Fusion = ReciprocalRank | WeightedSum


def _scaled(ranking: Ranking) -> list[tuple[int, float]]:
    if not ranking:
        return []
    best, worst = ranking[0][1], ranking[-1][1]
    spread = best - worst
    return [(row, (score - worst) / spread if spread else 1.0) for row, score in ranking]
