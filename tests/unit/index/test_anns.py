"""Approximate indexes make searches fast, and change nothing else."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from groundwire_index import Collection, CollectionSpec, Index, Metric, Record
from groundwire_index.ann import BuildCancelledError
from groundwire_index.errors import InvalidArgumentError
from groundwire_index.filters import Condition, Operator
from groundwire_index.records import SearchQuery, SearchResult, Vector

from tests.patience import PATIENCE_S
from tests.unit.index.samples import TENANT

COUNT = 3000
DIMENSION = 16
QUERIES = 40
# 1,000 vectors to a segment.
SEGMENT_BYTES = 1000 * 4 * DIMENSION

CENTRES = np.random.default_rng(1).standard_normal((50, DIMENSION))


def points(seed: int, count: int) -> np.ndarray:
    random = np.random.default_rng(seed)
    near = CENTRES[random.integers(0, len(CENTRES), count)]
    return (near + 0.4 * random.standard_normal((count, DIMENSION))).astype(np.float32)


def sample(vectors: np.ndarray, first: int = 0) -> list[Record]:
    return [
        Record(f"r{number}", vector, metadata={"shelf": number % 100})
        for number, vector in enumerate(vectors, start=first)
    ]


@pytest.fixture
def opened(folder: Path) -> Callable[..., Index]:
    def opened(*, background: bool = False) -> Index:
        return Index.open(folder / "i", segment_bytes=SEGMENT_BYTES, background=background)

    return opened


@pytest.fixture
def index(opened: Callable[..., Index]) -> Iterator[Index]:
    with opened() as index:
        yield index


@pytest.fixture(params=["hnsw", "ivf_pq", "sq8"])
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def make(index: Index, kind: str, metric: Metric = Metric.COSINE) -> Collection:
    index.create_collection(TENANT, CollectionSpec("c", metric, DIMENSION, index_kind=kind))
    collection = index.collection(TENANT, "c")
    collection.upsert(sample(points(2, COUNT)))
    return collection


def build(collection: Collection) -> int:
    times = 0
    while collection.upkeep.build_index():
        times += 1
    return times


def nearest(collection: Collection, vector: Vector, **options: object) -> SearchResult:
    return collection.search(SearchQuery(vector, **options))  # type: ignore[arg-type]


def recall(collection: Collection, top_k: int = 10) -> float:
    """Share of the true nearest that are found; scores of what is found are exact."""
    found = 0
    for vector in points(3, QUERIES):
        truth = nearest(collection, vector, top_k=top_k, exact=True)
        got = nearest(collection, vector, top_k=top_k)
        assert truth.plan.strategy == "exact"
        assert got.plan.strategy == "ann"
        exact = {hit.id: hit.score for hit in truth.hits}
        found += sum(exact.get(hit.id) == hit.score for hit in got.hits)
    return found / (QUERIES * top_k)


@pytest.mark.parametrize("metric", list(Metric))
def test_it_finds_what_comparing_every_vector_finds(
    index: Index, kind: str, metric: Metric
) -> None:
    collection = make(index, kind, metric)
    assert nearest(collection, points(3, 1)[0]).plan.strategy == "exact"
    assert build(collection) == 1
    assert recall(collection) >= 0.95


def test_a_vector_is_found_as_soon_as_it_is_written(index: Index, kind: str) -> None:
    collection = make(index, kind)
    build(collection)
    fresh = points(4, 20)
    collection.upsert(sample(fresh, COUNT))
    for number, vector in enumerate(fresh, start=COUNT):
        result = nearest(collection, vector, top_k=1)
        assert (result.hits[0].id, result.plan.strategy) == (f"r{number}", "ann")


def test_what_was_deleted_or_replaced_is_not_found(index: Index, kind: str) -> None:
    collection = make(index, kind)
    build(collection)
    vectors = points(2, COUNT)
    collection.delete_ids([f"r{number}" for number in range(500)])
    collection.upsert(sample(-vectors[500:600], 500))
    for number in (0, 250, 499, 500, 599):
        assert f"r{number}" not in {h.id for h in nearest(collection, vectors[number]).hits}
    assert nearest(collection, -vectors[555], top_k=1).hits[0].id == "r555"
    assert recall(collection) >= 0.95


@pytest.mark.parametrize("shelves", [1, 30, 90])
def test_a_filter_is_honoured(index: Index, kind: str, shelves: int) -> None:
    collection = make(index, kind)
    build(collection)
    where = Condition("shelf", Operator.LT, shelves)
    found = 0
    for vector in points(3, QUERIES):
        truth = nearest(collection, vector, filter=where, exact=True)
        got = nearest(collection, vector, filter=where)
        assert got.plan.filtered == shelves * COUNT // 100
        assert all(int(hit.id[1:]) % 100 < shelves for hit in got.hits)
        found += len({hit.id for hit in truth.hits} & {hit.id for hit in got.hits})
    assert found >= 0.95 * 10 * QUERIES


def test_as_many_are_found_as_there_are(index: Index, kind: str) -> None:
    collection = make(index, kind)
    build(collection)
    collection.delete_ids([f"r{number}" for number in range(2500)])
    assert len(nearest(collection, points(3, 1)[0], top_k=1000).hits) == 500


def test_a_restart_uses_what_was_built(opened: Callable[..., Index], kind: str) -> None:
    with opened() as index:
        collection = make(index, kind)
        build(collection)
        before = [hit.id for hit in nearest(collection, points(3, 1)[0]).hits]
    with opened() as index:
        collection = index.collection(TENANT, "c")
        assert not collection.upkeep.build_index()
        result = nearest(collection, points(3, 1)[0])
        assert [hit.id for hit in result.hits] == before
        assert result.plan.strategy == "ann"


def damage(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 0x10
    path.write_bytes(data)


@pytest.mark.parametrize("harm", [damage, Path.unlink, lambda path: path.write_bytes(b"")])
def test_a_damaged_index_is_done_without_and_built_again(
    opened: Callable[..., Index],
    folder: Path,
    kind: str,
    harm: Callable[[Path], object],
    caplog: pytest.LogCaptureFixture,
) -> None:
    with opened() as index:
        build(make(index, kind))
    (path,) = folder.rglob("*.faiss")
    harm(path)
    with opened() as index, caplog.at_level(logging.WARNING):
        collection = index.collection(TENANT, "c")
        assert nearest(collection, points(3, 1)[0]).plan.strategy == "exact"
        assert str(path) in caplog.text
        assert build(collection) == 1
        assert recall(collection) >= 0.95
        assert collection.info().vectors == COUNT


def test_writes_go_on_while_it_is_built(index: Index) -> None:
    collection = make(index, "hnsw")
    fresh = points(5, 1)
    asked = 0

    def write_meanwhile() -> bool:
        nonlocal asked
        asked += 1
        if asked == 1:
            collection.upsert(sample(fresh, COUNT))
            collection.delete_ids(["r7"])
        return False

    assert collection.upkeep.build_index(write_meanwhile)
    assert asked
    assert nearest(collection, fresh[0], top_k=1).hits[0].id == f"r{COUNT}"
    assert "r7" not in {hit.id for hit in nearest(collection, points(2, COUNT)[7]).hits}


def test_a_build_that_is_cancelled_leaves_nothing(
    opened: Callable[..., Index], folder: Path
) -> None:
    with opened() as index:
        collection = make(index, "hnsw")
        with pytest.raises(BuildCancelledError):
            collection.upkeep.build_index(lambda: True)
        assert nearest(collection, points(3, 1)[0]).plan.strategy == "exact"
    with opened() as index:
        index.collection(TENANT, "c").info()
        nearest(index.collection(TENANT, "c"), points(3, 1)[0])
        assert not [path for path in folder.rglob("anns/*") if path.is_file()]


def test_few_indexes_cover_what_comes_bit_by_bit(index: Index) -> None:
    collection = make(index, "hnsw")
    build(collection)
    for number in range(6):
        collection.upsert(sample(points(10 + number, 1100), COUNT + 1100 * number))
        build(collection)
    assert len(collection._store.writer.latest().anns) <= 3
    assert recall(collection) >= 0.95


def test_it_is_built_in_the_background(opened: Callable[..., Index]) -> None:
    with opened(background=True) as index:
        collection = make(index, "hnsw")
        assert index._background.indexer is not None
        assert index._background.indexer.wait(PATIENCE_S)
        assert nearest(collection, points(3, 1)[0]).plan.strategy == "ann"


def test_closing_does_not_wait_for_a_build(opened: Callable[..., Index]) -> None:
    with opened(background=True) as index:
        make(index, "hnsw")
    with opened() as index:
        assert index.collection(TENANT, "c").info().vectors == COUNT


def test_a_small_collection_is_compared_vector_by_vector(index: Index) -> None:
    collection = make(index, "auto")
    assert not collection.upkeep.build_index()
    assert nearest(collection, points(3, 1)[0]).plan.strategy == "exact"


def test_a_collection_after_compaction_is_indexed_anew(index: Index) -> None:
    collection = make(index, "hnsw")
    build(collection)
    collection.delete_ids([f"r{number}" for number in range(0, 2000, 2)])
    while collection._store.writer.write(lambda transaction: purge_all(transaction)):
        pass
    while collection.upkeep.compact():
        pass
    build(collection)
    assert recall(collection) >= 0.95
    covered = sum(ann.entry.size for ann in collection._store.writer.latest().anns)
    assert covered <= 2000


def purge_all(transaction: object) -> int:
    from groundwire_index.purge import Retention, purge

    return purge(transaction, Retention(lambda: 4e9))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("kind", "parameters", "named"),
    [
        ("btree", {}, "index.kind"),
        ("hnsw", {"m": "many"}, "m"),
        ("hnsw", {"mm": "16"}, "mm"),
        ("flat", {"m": "16"}, "m"),
    ],
)
def test_a_wrong_configuration_is_refused(
    index: Index, kind: str, parameters: dict[str, str], named: str
) -> None:
    spec = CollectionSpec("c", Metric.COSINE, 3, index_kind=kind, index_parameters=parameters)
    with pytest.raises(InvalidArgumentError, match=named):
        index.create_collection(TENANT, spec)
