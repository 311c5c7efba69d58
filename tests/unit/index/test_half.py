"""Vectors of float16: rounded when they are written, and exact from there on."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from groundwire_index import (
    Collection,
    CollectionSpec,
    Index,
    Metric,
    Record,
    SearchQuery,
    VectorType,
)
from groundwire_index.backup.arriving import settle
from groundwire_index.backup.whole import IndexCopy
from groundwire_index.errors import AlreadyExistsError, DataLossError, InvalidArgumentError
from groundwire_index.filters import Condition, Operator
from groundwire_index.half import widened
from groundwire_index.inspect import stat
from groundwire_index.records import CollectionChange
from groundwire_index.stopped import stopped
from groundwire_index.stored_spec import decode_spec, encode_spec
from groundwire_index.verify import verify

from tests.unit.index import oracle
from tests.unit.index.copied import all_of, flip, many
from tests.unit.index.samples import TENANT, WITH_VECTOR, as_stored, pairs, record, vector

Make = Callable[..., Collection]
FLOAT16 = VectorType.FLOAT16
FINITE = np.arange(2**16, dtype=np.uint16).view(np.float16)
FINITE = FINITE[np.isfinite(FINITE)].reshape(62, 1024)


@pytest.fixture
def halves(make: Make) -> Collection:
    return make(vector_type=FLOAT16)


def drawn(count: int, dimension: int, seed: int = 0) -> dict[str, Record]:
    vectors = np.random.default_rng(seed).normal(size=(count, dimension)).astype(np.float32)
    return {
        f"r{number}": record(f"r{number}", one, metadata={"n": number})
        for number, one in enumerate(vectors)
    }


def rounded(records: dict[str, Record]) -> dict[str, Record]:
    return {key: as_stored(one, FLOAT16) for key, one in records.items()}


def bits(numbers: np.ndarray | None) -> bytes:
    assert numbers is not None
    assert numbers.dtype == np.float32
    return numbers.tobytes()


def test_every_number_of_16_bits_is_widened_exactly() -> None:
    assert bits(widened(FINITE)) == bits(FINITE.astype(np.float32))
    given = np.ones((2, 3), np.float32)
    assert widened(given) is given


def test_every_number_of_16_bits_is_given_back_to_the_bit(make: Make, index: Index) -> None:
    collection = make("c", Metric.DOT, 1024, FLOAT16)
    given = FINITE.astype(np.float32)
    collection.upsert([record(str(number), one) for number, one in enumerate(given)])
    found = collection.get([str(number) for number in range(len(given))], WITH_VECTOR)
    for one, wanted in zip(found, given, strict=True):
        assert one is not None
        assert bits(one.vector) == bits(wanted)
    query = np.eye(1, 1024, 5, dtype=np.float32)[0]
    hits = collection.search(SearchQuery(query, top_k=62)).hits
    assert sorted(hit.score for hit in hits) == sorted(given[:, 5].tolist())


def test_other_numbers_are_rounded_to_the_nearest_of_them(make: Make) -> None:
    collection = make("c", Metric.DOT, 1000, FLOAT16)
    between = np.random.default_rng(1).uniform(-9, 9, 1000).astype(np.float32)
    # Halfway between two, the one whose last bit is 0.
    between[:4] = 1 + 2.0**-11, 1 + 3 * 2.0**-11, 2.0**-25, 3 * 2.0**-25
    collection.upsert([record("a", between)])
    (found,) = collection.get(["a"], WITH_VECTOR)
    assert found is not None
    assert bits(found.vector) == bits(between.astype(np.float16).astype(np.float32))
    assert found.vector is not None
    assert found.vector[:4].tolist() == [1.0, 1 + 2.0**-9, 0.0, 2.0**-23]


@pytest.fixture
def large(folder: Path) -> Iterator[Collection]:
    """A collection of one segment, of more numbers than are widened at once."""
    with Index.open(folder / "index", background=False) as index:
        spec = CollectionSpec("c", Metric.COSINE, 331, vector_type=FLOAT16)
        index.create_collection(TENANT, spec)
        collection = index.collection(TENANT, "c")
        collection.upsert(list(drawn(1000, 331).values()))
        yield collection


def test_none_is_left_out_where_all_are_compared(large: Collection) -> None:
    records = drawn(1000, 331)
    queries = [SearchQuery(one.vector, top_k=1) for one in records.values()]
    for size in (1, 7, 1000):
        found = [
            hit.id
            for start in range(0, 1000, size)
            for result in large.search_many(queries[start : start + size])
            for hit in result.hits
        ]
        assert found == list(records)


@pytest.mark.parametrize("metric", Metric)
def test_scores_are_exact_for_what_is_stored(make: Make, metric: Metric) -> None:
    collection = make("c", metric, 33, FLOAT16)
    records = drawn(1000, 33)
    collection.upsert(list(records.values()))
    expected = rounded(records)
    for where in (None, Condition("n", Operator.LT, 40), Condition("n", Operator.GT, 300)):
        queries = [SearchQuery(one.vector, filter=where) for one in drawn(5, 33, 7).values()]
        for query, found in zip(queries, collection.search_many(queries), strict=True):
            assert query.vector is not None
            best = oracle.best(expected, metric, query.vector, 10, where)
            oracle.assert_same_ranking(pairs(found), best)
            assert pairs(found) == pairs(collection.search(query))


@pytest.mark.parametrize("kind", ["hnsw", "ivf_pq", "sq8"])
def test_indexes_find_the_nearest_of_what_is_stored(
    index: Index, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("groundwire_index.ann_builder.LEAST", 100)
    spec = CollectionSpec("c", Metric.COSINE, 24, index_kind=kind, vector_type=FLOAT16)
    index.create_collection(TENANT, spec)
    collection = index.collection(TENANT, "c")
    records = drawn(2000, 24)
    collection.upsert(list(records.values()))
    while collection.upkeep.build_index():
        pass
    expected, found = rounded(records), 0
    for one in drawn(20, 24, 7).values():
        assert one.vector is not None
        result = collection.search(SearchQuery(one.vector, nprobe=64, ef=200))
        assert result.plan.strategy == "ann"
        scores = dict(oracle.best(expected, Metric.COSINE, one.vector, 2000))
        assert all(abs(score - scores[key]) <= 1e-9 for key, score in pairs(result))
        found += len(dict(pairs(result)).keys() & set(list(scores)[:10]))
    assert found >= 190


def test_a_number_beyond_the_range_is_refused_with_its_place(halves: Collection) -> None:
    halves.upsert([record("most", vector(65504, -65504, 1))])
    for beyond in (65505.0, -65520.0, 65504.0078125, 2.0**100):
        with pytest.raises(InvalidArgumentError) as raised:
            halves.upsert([record("a"), record("b", vector(1, 2, beyond))])
        (violation,) = raised.value.violations
        assert violation.field == "records[1].vector"
        assert f"{beyond:.9g} at [2]" in violation.description
        assert "-65,504 to 65,504" in violation.description
    with pytest.raises(InvalidArgumentError, match="finite numbers"):
        halves.upsert([record("a", vector(1, np.inf, 2))])
    assert halves.info().records == 1


def test_what_rounds_to_zeros_is_refused_where_cosine_compares(make: Make) -> None:
    tiny = vector(2.0**-25, 1e-9, 0)
    halves = make(vector_type=FLOAT16)
    with pytest.raises(InvalidArgumentError) as raised:
        halves.upsert([record("a"), record("b", tiny)])
    (violation,) = raised.value.violations
    assert violation.field == "records[1].vector"
    assert "rounds to zeros" in violation.description
    halves.upsert([record("least", vector(2.0**-24, 0, 0))])
    (hit,) = halves.search(SearchQuery(vector(1, 0, 0))).hits
    assert hit.score == 1.0
    dots = make("dots", Metric.DOT, vector_type=FLOAT16)
    dots.upsert([record("b", tiny)])
    (hit,) = dots.search(SearchQuery(vector(1, 1, 1))).hits
    assert hit.score == 0.0


def test_a_write_that_is_repeated_is_done_once(halves: Collection) -> None:
    third = record("a", vector(1 / 3, 1, 1))
    first = halves.upsert([third], idempotency_key="k")
    assert halves.upsert([third], idempotency_key="k") == first
    with pytest.raises(AlreadyExistsError):
        halves.upsert([record("a", vector(2 / 3, 1, 1))], idempotency_key="k")
    (found,) = halves.get(["a"], WITH_VECTOR)
    assert found is not None
    assert halves.upsert([found]).count == 1
    assert halves.get(["a"], WITH_VECTOR)[0].vector.tolist() == found.vector.tolist()  # type: ignore[union-attr]


def test_the_type_is_kept_and_cannot_be_another(index: Index, halves: Collection) -> None:
    changed = index.update_collection(TENANT, "c", CollectionChange(description="new"))
    assert changed.spec == replace(halves.spec, description="new", vector_type=FLOAT16)
    with pytest.raises(AlreadyExistsError, match="vector type float16 instead of float32"):
        index.create_collection(TENANT, CollectionSpec("c", Metric.COSINE, 3))


def test_vectors_take_half_the_room(folder: Path) -> None:
    sizes = {}
    with Index.open(folder / "index", background=False) as index:
        for vector_type in VectorType:
            name = vector_type.value
            spec = CollectionSpec(name, Metric.COSINE, 256, vector_type=vector_type)
            index.create_collection(TENANT, spec)
            index.collection(TENANT, name).upsert(list(drawn(1024, 256).values()))
            (file,) = index.collection(TENANT, name)._store.folder.glob("segments/*")
            sizes[file.suffix] = file.stat().st_size
    assert sizes == {".f32": 1024 * 256 * 4, ".f16": 1024 * 256 * 2}
    with stopped(folder / "index") as closed:
        stats = [stat(one, closed.connections) for one in closed.collections()]
    assert [one.vector_type for one in stats] == ["float16", "float32"]
    half, whole = (one.segments[0].disk_bytes for one in stats)
    assert 2 * half == whole >= 1024 * 256 * 4


def test_a_spec_of_before_there_was_a_choice_is_of_float32() -> None:
    before = (
        '{"description": "", "dimension": 3, "fingerprint": null, "index_kind": "auto", '
        '"index_parameters": {}, "metric": "cosine", "name": "c"}'
    )
    spec = decode_spec(before)
    assert spec.vector_type is VectorType.FLOAT32
    # The same text again: a creation that is repeated after an upgrade is still the same one.
    assert encode_spec(spec) == before
    halves = replace(spec, vector_type=FLOAT16)
    assert decode_spec(encode_spec(halves)) == halves


def test_they_are_there_when_the_index_is_opened_again(folder: Path) -> None:
    records = drawn(200, 5)
    with Index.open(folder / "index", segment_bytes=256) as index:
        index.create_collection(TENANT, CollectionSpec("c", Metric.COSINE, 5, vector_type=FLOAT16))
        index.collection(TENANT, "c").upsert(list(records.values()))
    with Index.open(folder / "index", segment_bytes=256) as index:
        collection = index.collection(TENANT, "c")
        query = vector(1, 2, 3, 4, 5)
        best = oracle.best(rounded(records), Metric.COSINE, query, 10)
        oracle.assert_same_ranking(pairs(collection.search(SearchQuery(query))), best)
        assert len(list(collection._store.folder.glob("segments/*.f16"))) == 8


def test_a_flipped_bit_is_found_and_named(folder: Path) -> None:
    with Index.open(folder / "index", segment_bytes=60, background=False) as index:
        index.create_collection(TENANT, CollectionSpec("c", Metric.COSINE, 3, vector_type=FLOAT16))
        index.collection(TENANT, "c").upsert(many(0, 25))
    (file,) = folder.glob("index/collections/*/segments/2.f16")
    # The fourth vector of the second segment, of six bytes each.
    flip(file, at=6 * 3 + 1)
    with stopped(folder / "index") as closed:
        (collection,) = closed.collections()
        (damage,) = verify(collection, closed.connections)
    assert damage.file == file
    assert "the first at byte 18" in damage.what
    with Index.open(folder / "index", segment_bytes=60) as index:
        opened = index.collection(TENANT, "c")
        hits = opened.search(SearchQuery(vector(1, 1, 1), top_k=100)).hits
        assert {f"r{number}" for number in range(25)} - {hit.id for hit in hits} == {"r13"}
        with pytest.raises(DataLossError, match=r"2\.f16"):
            opened.get(["r13"], WITH_VECTOR)
        with pytest.raises(DataLossError, match="the first at byte 18"):
            opened.upsert(many(0, 1))


def test_a_snapshot_and_what_is_restored_of_it_are_of_the_same_type(
    index: Index, halves: Collection, folder: Path
) -> None:
    halves.upsert(many(0, 200))
    before = all_of(halves)
    taken = index.snapshots.take(TENANT, "c")
    assert {Path(file.name).suffix for file in taken.files} == {".db", ".f16"}
    halves.upsert(many(200, 100))
    copy = index.snapshots.restore(TENANT, taken.id, name="copy")
    assert copy.spec.vector_type is FLOAT16
    assert all_of(index.collection(TENANT, "copy")) == before
    index.collection(TENANT, "copy").upsert(many(500, 50))
    assert len(all_of(index.collection(TENANT, "copy"))) == 250


def test_a_copy_of_the_whole_index_holds_them(
    index: Index, halves: Collection, make: Make, folder: Path
) -> None:
    halves.upsert(many(0, 100))
    make("whole").upsert(many(0, 100))
    before = all_of(halves)
    (folder / "copy").mkdir()
    copies = list(IndexCopy(folder / "index", folder / "copy", begin=lambda *_: None).collections())
    types = {one.info.spec.name: one.info.spec.vector_type for one in copies}
    assert types == {"c": FLOAT16, "whole": VectorType.FLOAT32}
    settle(folder / "copy")
    with Index.open(folder / "copy", segment_bytes=256) as copy:
        assert all_of(copy.collection(TENANT, "c")) == before
        copy.collection(TENANT, "c").upsert(many(100, 50))


def test_what_is_derived_is_made_again_of_them(folder: Path) -> None:
    with Index.open(folder / "index", segment_bytes=60, background=False) as index:
        index.create_collection(TENANT, CollectionSpec("c", Metric.COSINE, 3, vector_type=FLOAT16))
        index.collection(TENANT, "c").upsert(many(0, 25))
        before = all_of(index.collection(TENANT, "c"))
    (sums,) = folder.glob("index/collections/*/collection.db.sums")
    sums.unlink()
    # Without checksums of its pages everything is looked through, then made again.
    with Index.open(folder / "index", segment_bytes=60, background=False) as index:
        collection = index.collection(TENANT, "c")
        assert all_of(collection) == before
        collection.upsert(many(25, 25))
        hits = collection.search(SearchQuery(vector(1, 1, 1), top_k=100)).hits
        assert len(hits) == 50
