"""Measures of one ranking, 0 to 1, as trec_eval computes them.

A ranking is ids, best first, none twice. Grades say how relevant a document was judged, by id;
0, less than 0 and not judged all mean not relevant. Documents of equal score are taken in the
order of the answer, which is what a user sees (trec_eval would sort them by id, descending).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence

Ranking = Sequence[str]
Grades = Mapping[str, int]


def ndcg(ranking: Ranking, grades: Grades, depth: int) -> float:
    """Normalised discounted cumulative gain of the first ``depth``.

    The sum of grade / log2(rank + 1), as a share of what the best order would have (Järvelin
    and Kekäläinen, ACM TOIS 20(4), 2002, with the discount of trec_eval's ndcg_cut, which
    begins at the second rank). 0 if nothing is relevant.
    """
    ideal = _gain(sorted(grades.values(), reverse=True)[:depth])
    return _gain(grades.get(one, 0) for one in ranking[:depth]) / ideal if ideal else 0.0


def recall(ranking: Ranking, grades: Grades, depth: int) -> float:
    """The share of what is relevant that is among the first ``depth``; 0 if nothing is."""
    relevant = {one for one, grade in grades.items() if grade > 0}
    return len(relevant.intersection(ranking[:depth])) / len(relevant) if relevant else 0.0


def reciprocal_rank(ranking: Ranking, grades: Grades, depth: int) -> float:
    """1 / rank of the first that is relevant (Voorhees, TREC-8, 1999); 0 past ``depth``."""
    ranks = (rank for rank, one in enumerate(ranking[:depth], 1) if grades.get(one, 0) > 0)
    first = next(ranks, None)
    return 1.0 / first if first else 0.0


def percentile(values: Sequence[float], share: float) -> float:
    """The least of the values that at least ``share`` of them do not exceed (nearest rank)."""
    return sorted(values)[max(0, math.ceil(share * len(values)) - 1)]


def _gain(grades: Iterable[int]) -> float:
    return sum(max(0, grade) / math.log2(rank + 1) for rank, grade in enumerate(grades, 1))
