"""Searches by vectors, by words and by both."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
from groundwire_index import (
    Collection,
    Include,
    Metric,
    ReciprocalRank,
    Record,
    SearchMode,
    SearchQuery,
    WeightedSum,
)
from groundwire_index.errors import InvalidArgumentError
from groundwire_index.filters import Condition, Filter, Operator
from groundwire_index.records import Vector

from tests.unit.index import oracle
from tests.unit.index.samples import hit_ids, pairs, record, vector

LEXICAL = SearchMode.LEXICAL
HYBRID = SearchMode.HYBRID
EVEN = Condition("even", Operator.EQ, True)


def words(text: str, **others: object) -> SearchQuery:
    return SearchQuery(text=text, mode=LEXICAL, **others)  # type: ignore[arg-type]


def filled(collection: Collection, count: int, seed: int = 0) -> dict[str, Record]:
    """Random records with twins among them: one vector in ten occurs twice."""
    random = np.random.default_rng(seed)
    dimension = collection.spec.dimension
    records = {}
    for number in range(count):
        drawn = random.normal(size=dimension).astype(np.float32) * random.uniform(0.1, 9)
        twin = records.get(f"r{number - 1}")
        if number % 10 == 9 and twin is not None and twin.vector is not None:
            drawn = twin.vector
        key = f"r{number}"
        records[key] = record(key, drawn, metadata={"even": number % 2 == 0, "n": number})
    collection.upsert(list(records.values()))
    return records


def random_vector(dimension: int, seed: int) -> Vector:
    return np.random.default_rng(seed).normal(size=dimension).astype(np.float32)


@pytest.mark.parametrize("metric", Metric)
@pytest.mark.parametrize("where", [None, EVEN, Condition("n", Operator.IN, (3, 9, 10, 77))])
def test_the_nearest_are_found_in_order_by_every_metric(
    make: Callable[..., Collection], metric: Metric, where: Filter | None
) -> None:
    collection = make("c", metric, 7)
    records = filled(collection, 300)
    for seed in range(5):
        query = random_vector(7, seed + 100)
        found = collection.search(SearchQuery(query, filter=where, top_k=20))
        oracle.assert_same_ranking(pairs(found), oracle.best(records, metric, query, 20, where))
        assert all(hit.score == hit.dense_score for hit in found.hits)
        assert all(hit.lexical_score is None for hit in found.hits)


@pytest.mark.parametrize("metric", Metric)
def test_equal_vectors_score_equal_and_come_in_order_of_id(
    make: Callable[..., Collection], metric: Metric
) -> None:
    collection = make("c", metric, 33)
    twin = random_vector(33, 1)
    names = [f"{number:03}" for number in range(90)]
    for start in range(0, 90, 17):
        batch = reversed(names[start : start + 17])
        collection.upsert([record(name, twin, "same words") for name in batch])
    query = random_vector(33, 2)
    for mode in SearchMode:
        found = collection.search(SearchQuery(query, "words", 20, mode))
        assert hit_ids(found) == names[:20], mode
        if mode is not HYBRID:
            assert len({hit.score for hit in found.hits}) == 1, mode


def test_what_words_and_vectors_find_to_be_equal_comes_in_order_of_id(
    make: Callable[..., Collection],
) -> None:
    collection = make("c", Metric.COSINE, 3)
    vectors = [record(name, vector(1, 0, 0)) for name in "zyx"]
    collection.upsert([*vectors, *(record(name, text="comet") for name in "cba")])
    query = SearchQuery(vector(1, 0, 0), "comet", 4, HYBRID, fusion=WeightedSum(0.5))
    found = collection.search(query)
    assert hit_ids(found) == ["a", "b", "c", "x"]
    assert len({hit.score for hit in found.hits}) == 1


def test_a_batch_of_queries_is_answered_as_one_by_one(make: Callable[..., Collection]) -> None:
    collection = make("c", Metric.EUCLIDEAN, 5)
    filled(collection, 200)
    collection.upsert([record(f"t{n}", text=f"common word{n % 3}") for n in range(30)])
    queries = [
        SearchQuery(
            random_vector(5, seed),
            f"common word{seed % 3}",
            top_k=seed + 1,
            mode=list(SearchMode)[seed % 3],
            filter=None if seed % 2 else EVEN,
        )
        for seed in range(12)
    ]
    together = collection.search_many(queries)
    assert [pairs(one) for one in together] == [pairs(collection.search(q)) for q in queries]
    assert collection.search_many([]) == []


def test_records_without_a_vector_are_never_dense_hits(collection: Collection) -> None:
    collection.upsert([record("v", vector(1, 0, 0)), record("t", text="words")])
    found = collection.search(SearchQuery(vector(1, 0, 0)))
    assert hit_ids(found) == ["v"]
    assert found.plan.scanned == 1


def test_an_empty_collection_has_no_hits(collection: Collection) -> None:
    for mode in SearchMode:
        query = SearchQuery(vector(1, 0, 0), "words", mode=mode, filter=EVEN)
        assert collection.search(query).hits == ()


def test_what_was_deleted_or_replaced_is_found_no_more(collection: Collection) -> None:
    collection.upsert([record("a", vector(1, 0, 0), "apple"), record("b", vector(0, 1, 0), "pear")])
    collection.upsert([record("a", vector(0, 0, 1), "plum")])
    collection.delete_ids(["b"])
    for text in ("apple", "pear"):
        assert collection.search(words(text)).hits == ()
    assert hit_ids(collection.search(words("plum"))) == ["a"]
    assert pairs(collection.search(SearchQuery(vector(0, 0, 2)))) == [("a", 1.0)]


def test_hits_carry_what_was_asked_for(collection: Collection) -> None:
    collection.upsert([record("a", vector(1, 2, 3), "words", metadata={"k": 1}, document_id="d")])
    (hit,) = collection.search(SearchQuery(vector(1, 2, 3), include=Include(vector=True))).hits
    assert hit.record.vector is not None
    np.testing.assert_array_equal(hit.record.vector, vector(1, 2, 3))
    assert (hit.record.text, hit.record.metadata) == ("words", {"k": 1})
    assert hit.record.document_id == "d"
    bare = SearchQuery(vector(1, 2, 3), include=Include(text=False, metadata=False))
    (hit,) = collection.search(bare).hits
    assert (hit.record.vector, hit.record.text, hit.record.metadata) == (None, None, {})


@pytest.mark.parametrize("mode", SearchMode)
def test_a_record_can_be_left_out(collection: Collection, mode: SearchMode) -> None:
    collection.upsert([record(key, vector(1, 0, n), "words") for n, key in enumerate("abcd")])
    query = SearchQuery(vector(1, 0, 0), "words", 3, mode, exclude_id="a")
    assert sorted(hit_ids(collection.search(query))) == ["b", "c", "d"]


def test_hits_below_the_least_score_are_dropped(collection: Collection) -> None:
    collection.upsert([record("a", vector(1, 0, 0)), record("b", vector(1, 1, 0))])
    query = SearchQuery(vector(1, 0, 0), min_score=0.9)
    assert hit_ids(collection.search(query)) == ["a"]
    assert collection.search(SearchQuery(vector(-1, 0, 0), min_score=0.0)).hits == ()


def test_words_are_found_by_their_stems_and_without_their_accents(collection: Collection) -> None:
    collection.upsert(
        [
            record("a", text="The telescope was calibrated at night."),
            record("b", text="Cafés near the observatory"),
            record("c", text="nothing of the kind"),
        ]
    )
    assert hit_ids(collection.search(words("calibrating TELESCOPES"))) == ["a"]
    assert hit_ids(collection.search(words("cafe"))) == ["b"]
    assert collection.search(words("zebra")).hits == ()


def test_rarer_and_more_frequent_words_weigh_more(collection: Collection) -> None:
    texts = ["common rare", "common common", "common other", "other things here", "more of them"]
    collection.upsert([record(f"r{n}", text=text) for n, text in enumerate(texts)])
    assert hit_ids(collection.search(words("common rare")))[0] == "r0"
    found = collection.search(words("common"))
    assert hit_ids(found) == ["r1", "r0", "r2"]
    scores = [hit.score for hit in found.hits]
    assert scores == sorted(scores, reverse=True)
    assert all(hit.lexical_score == hit.score and hit.dense_score is None for hit in found.hits)


def test_bm25_is_as_defined(collection: Collection) -> None:
    texts = ["alpha beta", "alpha alpha gamma delta", "beta", "epsilon zeta eta", "theta"]
    collection.upsert([record(f"r{n}", text=text) for n, text in enumerate(texts)])
    lengths = [len(text.split()) for text in texts]
    rarity = math.log(1 + (5 - 2 + 0.5) / (2 + 0.5))

    def bm25(frequency: int, length: int) -> float:
        norm = 0.9 * (0.6 + 0.4 * length / (sum(lengths) / 5))
        return rarity * frequency * 1.9 / (frequency + norm)

    found = dict(pairs(collection.search(words("alpha"))))
    assert found == pytest.approx({"r0": bm25(1, 2), "r1": bm25(2, 4)})


@pytest.mark.parametrize(
    "text",
    [
        '"',
        '"unbalanced alpha',
        "alpha AND",
        "NOT alpha OR",
        "NEAR(alpha, 2)",
        "text:alpha",
        "alpha*",
        "^alpha",
        "alpha + -beta {x} (",
        "a'; DROP TABLE rows; --",
        "alpha\x00beta",
    ],
)
def test_nothing_in_a_text_is_an_operator(collection: Collection, text: str) -> None:
    collection.upsert([record("a", text="alpha"), record("b", text="unrelated")])
    found = collection.search(words(text))
    assert hit_ids(found) == (["a"] if "alpha" in text else [])


@pytest.mark.parametrize("text", ["", "  ", "?!", "...", "\u2014"])
def test_a_text_without_words_has_no_hits(collection: Collection, text: str) -> None:
    collection.upsert([record("a", text="alpha ?! ... \u2014")])
    assert collection.search(words(text)).hits == ()


def test_a_very_long_text_is_searched(collection: Collection) -> None:
    collection.upsert([record("a", text="alpha")])
    long = "alpha " + " ".join(f"w{n}" for n in range(100_000))
    assert hit_ids(collection.search(words(long))) == ["a"]


@pytest.mark.parametrize("text", ["हिन्दी में खोज", "поиск по словам", "東京 観測所", "ελληνικά"])
def test_words_of_other_scripts_are_found(collection: Collection, text: str) -> None:
    collection.upsert([record("a", text=text), record("b", text="something else")])
    for word in text.split():
        assert hit_ids(collection.search(words(word))) == ["a"]


def test_other_collections_have_no_part_in_how_rare_a_word_is(
    make: Callable[..., Collection],
) -> None:
    alone, crowded = make("a"), make("b")
    sample = [record("1", text="comet alpha"), record("2", text="alpha"), record("3", text="x")]
    alone.upsert(sample)
    before = pairs(alone.search(words("comet alpha")))
    crowded.upsert([record(str(n), text="comet") for n in range(100)])
    assert pairs(alone.search(words("comet alpha"))) == before


def test_hybrid_joins_ranks(collection: Collection) -> None:
    collection.upsert(
        [
            record("both", vector(1, 0.1, 0), "comet"),
            record("near", vector(1, 0, 0), "unrelated"),
            record("word", text="comet comet"),
            record("none", vector(0, 0, 1), "unrelated too"),
        ]
    )
    query = SearchQuery(vector(1, 0, 0), "comet", mode=HYBRID, fusion=ReciprocalRank(10))
    hits = {hit.id: hit for hit in collection.search(query).hits}
    assert list(hits) == ["both", "near", "word", "none"]
    assert hits["both"].score == pytest.approx(1 / 12 + 1 / 12)
    assert hits["near"].score == pytest.approx(1 / 11)
    assert hits["word"].score == pytest.approx(1 / 11)
    assert (hits["word"].dense_score, hits["near"].lexical_score) == (None, None)
    assert hits["both"].dense_score is not None
    assert hits["both"].lexical_score is not None


def test_hybrid_joins_scaled_scores(collection: Collection) -> None:
    collection.upsert(
        [
            record("a", vector(1, 0, 0), "comet comet"),
            record("b", vector(1, 1, 0), "unrelated comet"),
            record("c", vector(0, 1, 0), "unrelated"),
        ]
    )
    query = SearchQuery(vector(1, 0, 0), "comet", mode=HYBRID, fusion=WeightedSum(0.75))
    scores = dict(pairs(collection.search(query)))
    alone, shared = (hit.score for hit in collection.search(words("comet")).hits)
    assert scores == pytest.approx(
        {
            "a": 1.0,
            "b": 0.75 * (math.sqrt(0.5) + 1) / 2 + 0.25 * shared / alone,
            "c": 0.75 * 0.5,
        }
    )


def test_hybrid_is_a_weighted_sum_unless_told(collection: Collection) -> None:
    collection.upsert([record("a", vector(1, 0, 0), "comet"), record("b", vector(0, 1, 0), "dust")])
    query = SearchQuery(vector(1, 0, 0), "dust", mode=HYBRID)
    assert dict(pairs(collection.search(query))) == pytest.approx({"a": 0.8, "b": 0.8 / 2 + 0.2})


@pytest.mark.parametrize("metric", [Metric.DOT, Metric.EUCLIDEAN])
def test_scores_without_a_least_count_from_the_last_candidate(
    make: Callable[..., Collection], metric: Metric
) -> None:
    collection = make("c", metric)
    collection.upsert([record(str(n), vector(n, 0, 0), "dust") for n in range(1, 4)])
    query = SearchQuery(vector(3, 0, 0), "comet", mode=HYBRID, fusion=WeightedSum(0.5))
    scores = dict(pairs(collection.search(query)))
    assert (scores["3"], scores["1"]) == (0.5, 0.0)
    assert 0.0 < scores["2"] < 0.5


@pytest.mark.parametrize("fusion", [WeightedSum(0.0), WeightedSum(1.0)])
def test_a_weight_of_one_side_gives_its_order(collection: Collection, fusion: WeightedSum) -> None:
    collection.upsert([record("a", vector(1, 0, 0), "comet"), record("b", vector(0, 1, 0), "dust")])
    query = SearchQuery(vector(1, 0, 0), "dust", mode=HYBRID, fusion=fusion)
    assert hit_ids(collection.search(query))[0] == ("a" if fusion.dense_weight else "b")


@pytest.mark.parametrize(
    ("mode", "where", "strategy"),
    [
        (SearchMode.DENSE, None, "exact"),
        (SearchMode.DENSE, EVEN, "filtered-exact"),
        (SearchMode.LEXICAL, EVEN, "lexical"),
        (SearchMode.HYBRID, None, "hybrid(exact,lexical)"),
        (SearchMode.HYBRID, EVEN, "hybrid(filtered-exact,lexical)"),
    ],
)
def test_the_plan_says_what_was_done(
    collection: Collection, mode: SearchMode, where: Filter | None, strategy: str
) -> None:
    filled(collection, 50)
    written = collection.upsert([record("t", text="words", metadata={"even": True})])
    plan = collection.search(SearchQuery(vector(1, 0, 0), "words", 5, mode, where)).plan
    assert plan.strategy == strategy
    assert plan.filtered == (26 if where else None)
    assert plan.scanned == (0 if mode is LEXICAL else 25 if where else 50)
    assert plan.sequence == written.sequence
    assert plan.took_s > 0


@pytest.mark.parametrize(
    ("query", "field"),
    [
        (SearchQuery(vector(1, 0, 0), top_k=0), "top_k"),
        (SearchQuery(vector(1, 0, 0), top_k=1_000_000), "top_k"),
        (SearchQuery(), "vector"),
        (SearchQuery(vector(1, 0)), "vector"),
        (SearchQuery(vector(1, math.nan, 0)), "vector"),
        (SearchQuery(vector(math.inf, 0, 0)), "vector"),
        (SearchQuery(vector(0, 0, 0)), "vector"),
        (SearchQuery(vector(1, 0, 0), mode=LEXICAL), "text"),
        (SearchQuery(vector(1, 0, 0), mode=HYBRID), "text"),
        (SearchQuery(text="words", mode=HYBRID), "vector"),
        (SearchQuery(text="x" * (2**20 + 1), mode=LEXICAL), "text"),
        (SearchQuery(vector(1, 0, 0), min_score=math.nan), "min_score"),
        (SearchQuery(vector(1, 0, 0), fusion=ReciprocalRank(0)), "fusion.k"),
        (SearchQuery(vector(1, 0, 0), fusion=WeightedSum(1.5)), "fusion.dense_weight"),
        (SearchQuery(vector(1, 0, 0), fusion=WeightedSum(math.nan)), "fusion.dense_weight"),
        (SearchQuery(vector(1, 0, 0), filter=Condition("", Operator.EQ, 1)), "filter.field"),
    ],
)
def test_bad_queries_are_refused_by_field(
    collection: Collection, query: SearchQuery, field: str
) -> None:
    with pytest.raises(InvalidArgumentError) as caught:
        collection.search(query)
    assert caught.value.violations[0].field == field


@pytest.mark.parametrize("metric", Metric)
def test_vectors_of_any_allowed_length_are_compared(
    make: Callable[..., Collection], metric: Metric
) -> None:
    collection = make("c", metric, 3)
    records = [record(f"e{e}", vector(1, e, 0) * np.float32(10.0**e)) for e in range(-15, 17, 4)]
    collection.upsert(records)
    for size in (1e-15, 1.0, 1e17):
        query = vector(1, 2, 3) * np.float32(size)
        found = collection.search(SearchQuery(query, top_k=20))
        expected = oracle.best({r.id: r for r in records}, metric, query, 20)
        assert hit_ids(found) == [key for key, _ in expected]
        assert [hit.score for hit in found.hits] == pytest.approx([s for _, s in expected])
