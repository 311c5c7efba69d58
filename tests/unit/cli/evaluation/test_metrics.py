"""The measures of a ranking, against values worked out by hand."""

from __future__ import annotations

import math

import pytest
from groundwire_server.cli.evaluation.metrics import ndcg, percentile, recall, reciprocal_rank

GRADES = {"a": 3, "b": 2, "c": 1, "d": 0, "e": -1}


@pytest.mark.parametrize(
    ("ranking", "expected"),
    [
        # 3 / log2(2) + 2 / log2(3) + 1 / log2(4) is the best there is: 4.761860.
        (["a", "b", "c"], 1.0),
        # 1 + 2 / 1.584963 + 3 / 2 = 3.761860.
        (["c", "b", "a"], 3.761860 / 4.761860),
        # Not judged, judged not relevant, and less than that, are all 0: 3 / log2(5) = 1.292030.
        (["x", "d", "e", "a"], 1.292030 / 4.761860),
        (["x"], 0.0),
        ([], 0.0),
    ],
)
def test_ndcg_is_the_share_of_the_best_gain(ranking: list[str], expected: float) -> None:
    assert ndcg(ranking, GRADES, 10) == pytest.approx(expected, abs=1e-6)


def test_ndcg_looks_no_deeper_for_the_best_order_either() -> None:
    assert ndcg(["a", "b", "x"], GRADES, 2) == 1.0
    assert ndcg(["x", "y", "a"], GRADES, 2) == 0.0
    assert ndcg(["b", "x"], {"a": 1, "b": 1}, 1) == 1.0


def test_ndcg_of_two_grades_at_the_second_rank() -> None:
    assert ndcg(["x", "a"], {"a": 1}, 10) == pytest.approx(1 / math.log2(3))


def test_recall_is_the_share_of_what_is_relevant() -> None:
    assert recall(["a", "x", "c"], GRADES, 100) == pytest.approx(2 / 3)
    assert recall(["x", "a", "c"], GRADES, 2) == pytest.approx(1 / 3)
    assert recall(["d", "e"], GRADES, 100) == 0.0


def test_reciprocal_rank_is_that_of_the_first_relevant() -> None:
    assert reciprocal_rank(["x", "d", "c", "a"], GRADES, 10) == pytest.approx(1 / 3)
    assert reciprocal_rank(["x", "d", "c", "a"], GRADES, 2) == 0.0


def test_where_nothing_is_relevant_there_is_nothing_to_gain() -> None:
    for measure in (ndcg, recall, reciprocal_rank):
        assert measure(["d"], {"d": 0, "e": -1}, 10) == 0.0


def test_a_percentile_is_one_of_the_values() -> None:
    values = [0.5, 0.1, 0.4, 0.2, 0.3]
    assert percentile(values, 0.5) == 0.3
    assert percentile(values, 0.95) == 0.5
    assert percentile([0.7], 0.5) == 0.7
