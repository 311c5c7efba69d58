"""What a search of an approximate index may be relied on for."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from groundwire_index.ann import Bitmap, Family, Tuning
from groundwire_index.records import Metric

from tests.conformance.ann.conftest import DIMENSION, ON_GPU, ROWS, Built, make
from tests.conformance.ann.corpus import clustered, recall, scores

DEPTH = 10


def bitmap(rows: np.ndarray) -> Bitmap:
    return np.packbits(rows, bitorder="little")


def test_the_nearest_are_among_the_candidates(built: Built) -> None:
    found = built.ann.search(built.queries, DEPTH, None, Tuning())
    exact = scores(built.vectors, built.queries, built.metric)
    assert built.ann.size == ROWS
    assert recall(exact, found, DEPTH) >= 0.95


@pytest.mark.parametrize("share", [0.5, 0.1, 0.01])
def test_a_filter_is_kept_to_and_the_nearest_that_pass_are_found(
    built: Built, share: float
) -> None:
    allowed = np.random.default_rng(5).random(ROWS) < share
    found = built.ann.search(built.queries, DEPTH, bitmap(allowed), Tuning())
    assert allowed[found[found >= 0]].all()
    assert (np.count_nonzero(found >= 0, axis=1) >= DEPTH).all()
    exact = scores(built.vectors, built.queries, built.metric)
    exact[:, ~allowed] = -np.inf
    assert recall(exact, found, DEPTH) >= 0.95


def test_all_that_pass_are_found_when_they_are_few_and_far(built: Built) -> None:
    exact = scores(built.vectors, built.queries[:1], built.metric)[0]
    farthest = np.argsort(exact)[:4]
    allowed = np.zeros(ROWS, np.bool_)
    allowed[farthest] = True
    found = built.ann.search(built.queries[:1], DEPTH, bitmap(allowed), Tuning(ef=1, nprobe=1))
    assert set(found[found >= 0].tolist()) == set(farthest.tolist())


@pytest.mark.parametrize("position", [0, 8, ROWS - 1])
def test_one_position_that_passes_is_found(built: Built, position: int) -> None:
    allowed = np.arange(ROWS) == position
    found = built.ann.search(built.queries, DEPTH, bitmap(allowed), Tuning())
    assert [row[row >= 0].tolist() for row in found] == [[position]] * len(built.queries)


def test_nothing_is_found_when_nothing_passes(built: Built) -> None:
    found = built.ann.search(built.queries, DEPTH, bitmap(np.zeros(ROWS, np.bool_)), Tuning())
    assert len(found) == len(built.queries)
    assert (found == -1).all()


@pytest.mark.parametrize("tuning", [Tuning(), Tuning(ef=1, nprobe=1)], ids=["default", "least"])
def test_no_search_comes_short(built: Built, tuning: Tuning) -> None:
    found = built.ann.search(built.queries, 100, None, tuning)
    for row in found:
        named = row[row >= 0]
        assert len(named) >= 100
        assert len(set(named.tolist())) == len(named)


def test_more_effort_finds_no_less(built: Built) -> None:
    exact = scores(built.vectors, built.queries, built.metric)
    least, most = (
        recall(exact, built.ann.search(built.queries, DEPTH, None, tuning), DEPTH)
        for tuning in (Tuning(ef=1, nprobe=1), Tuning(ef=2_000, nprobe=10_000))
    )
    assert least <= most
    assert most >= 0.99


def test_a_depth_past_the_size_names_every_vector_once(built: Built) -> None:
    found = built.ann.search(built.queries[:3], ROWS + 1000, None, Tuning())
    for row in found:
        assert sorted(row[row >= 0].tolist()) == list(range(ROWS))


def test_a_query_has_the_same_answer_beside_others(built: Built) -> None:
    if built.family in ON_GPU.values():
        pytest.skip("what a GPU finds may depend on what it is asked beside it")
    allowed = bitmap(np.arange(ROWS) % 3 == 0)

    def ask(number: int) -> tuple[list[int], list[int]]:
        query = built.queries[number : number + 1]
        every = built.ann.search(query, DEPTH, None, Tuning())
        passing = built.ann.search(query, DEPTH, allowed, Tuning())
        return every[0].tolist(), passing[0].tolist()

    numbers = list(range(len(built.queries)))
    alone = [ask(number) for number in numbers]
    with ThreadPoolExecutor(8) as threads:
        assert list(threads.map(ask, numbers * 4)) == alone * 4


def test_one_vector_is_found(family: Family, metric: Metric, tmp_path: Path) -> None:
    vectors, queries = clustered(1, DIMENSION, seed=1)
    found = make(family, vectors, tmp_path / "one", metric).search(queries, 3, None, Tuning())
    assert [row[row >= 0].tolist() for row in found] == [[0]] * len(queries)


@pytest.mark.parametrize("dimension", [1, 2, 17])
def test_any_dimension_will_do(family: Family, dimension: int, tmp_path: Path) -> None:
    vectors, queries = clustered(500, dimension, seed=dimension)
    ann = make(family, vectors, tmp_path / "index", Metric.EUCLIDEAN)
    exact = scores(vectors, queries, Metric.EUCLIDEAN)
    assert recall(exact, ann.search(queries, DEPTH, None, Tuning()), DEPTH) >= 0.95


def test_equal_vectors_are_all_there(family: Family, metric: Metric, tmp_path: Path) -> None:
    vectors = np.tile(clustered(2, DIMENSION, seed=2)[0], (400, 1))
    ann = make(family, vectors, tmp_path / "same", metric)
    exact = scores(vectors, vectors[:2], metric)
    found = ann.search(vectors[:2], 50, None, Tuning())
    for row, wanted in zip(found, exact, strict=True):
        assert np.sum(np.isclose(wanted[row[row >= 0]], wanted.max())) >= 50
    everything = ann.search(vectors[:1], len(vectors), None, Tuning())
    assert set(everything[0].tolist()) == set(range(len(vectors)))


def test_a_few_vectors_of_another_size_spoil_nothing(family: Family, tmp_path: Path) -> None:
    vectors, queries = clustered(3_000, DIMENSION, seed=3)
    vectors[::1000] *= 1e6
    ann = make(family, vectors, tmp_path / "outliers", Metric.EUCLIDEAN)
    exact = scores(vectors, queries, Metric.EUCLIDEAN)
    assert recall(exact, ann.search(queries, DEPTH, None, Tuning()), DEPTH) >= 0.95
    huge = ann.search(vectors[::1000], 1, None, Tuning())
    assert all(number in row for number, row in zip(range(0, 3_000, 1000), huge, strict=True))
