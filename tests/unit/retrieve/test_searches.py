from __future__ import annotations

import grpc
import pytest
from google.protobuf import json_format
from groundwire.v1 import filter_pb2, vector_pb2
from groundwire.v1 import retrieve_service_pb2 as pb

from tests.unit.retrieve.letters import LettersEmbedder
from tests.unit.retrieve.serving import Served, ids_of, record, refusal, vector

INVALID = grpc.StatusCode.INVALID_ARGUMENT
NAN, INF = float("nan"), float("inf")


def search(**fields) -> pb.SearchRequest:
    return pb.SearchRequest(collection="c", **fields)


def condition(**fields) -> filter_pb2.Filter:
    return json_format.ParseDict({"condition": fields}, filter_pb2.Filter())


@pytest.fixture
async def filled(served: Served) -> Served:
    await served.create()
    await served.upsert(
        record("abba", "abba abba", year=1972),
        record("banana", "banana split", year=1999),
        record("cocoa", "cocoa bean", year=2004),
    )
    return served


async def test_a_text_query_is_hybrid_unless_it_says_otherwise(filled: Served) -> None:
    found = await filled.stub.Search(search(text="banana"))
    best = found.hits[0]
    assert best.id == "banana"
    assert best.HasField("dense_score")
    assert best.HasField("lexical_score")
    assert best.record.text == "banana split"
    assert best.record.metadata["year"] == 1999
    assert not best.record.HasField("vector")
    assert found.plan.strategy.startswith("hybrid")
    assert found.plan.sequence == 1
    assert not found.plan.HasField("filtered")


async def test_a_vector_query_is_dense(filled: Served) -> None:
    values = [0.0] * 36
    values[0], values[1] = 0.5, 0.5
    found = await filled.stub.Search(search(vector=vector(*values)))
    assert ids_of(found.hits)[0] == "abba"
    assert not found.hits[0].HasField("lexical_score")
    assert found.hits[0].score == found.hits[0].dense_score
    assert found.plan.scanned == 3


async def test_a_lexical_query_needs_no_embedder(filled: Served, embedder: LettersEmbedder) -> None:
    embedder.calls.clear()
    found = await filled.stub.Search(search(text="cocoa", mode=pb.SEARCH_MODE_LEXICAL))
    assert ids_of(found.hits) == ["cocoa"]
    assert not found.hits[0].HasField("dense_score")
    assert embedder.calls == []


async def test_the_phases_of_a_search_are_measured(filled: Served) -> None:
    def count(phase: str) -> float | None:
        name, labels = "groundwire_search_phase_seconds_count", {"phase": phase}
        return filled.metrics.registry.get_sample_value(name, labels)

    assert (count("embed"), count("search")) == (0, 0)
    await filled.stub.Search(search(text="banana"))
    assert (count("embed"), count("search")) == (1, 1)
    await filled.stub.Search(search(text="banana", mode=pb.SEARCH_MODE_LEXICAL))
    assert (count("embed"), count("search")) == (1, 2)
    batch = [search(text="banana"), search(text="cocoa")]
    await filled.stub.SearchBatch(pb.SearchBatchRequest(collection="c", searches=batch))
    assert (count("embed"), count("search")) == (2, 3)


async def test_a_record_query_is_by_its_vector_and_leaves_it_out(filled: Served) -> None:
    found = await filled.stub.Search(search(record_id="banana"))
    assert set(ids_of(found.hits)) == {"abba", "cocoa"}
    (banana,) = await filled.get("banana", vector=True)
    by_vector = await filled.stub.Search(search(vector=banana.vector))
    assert list(found.hits) == list(by_vector.hits)[1:]
    refused = await refusal(filled.stub.Search(search(record_id="none")))
    assert refused.code == grpc.StatusCode.NOT_FOUND


async def test_filters_apply_and_the_plan_says_how_many_passed(filled: Served) -> None:
    since = condition(field="year", gte=1999)
    found = await filled.stub.Search(search(text="banana", mode=1, filter=since))
    assert set(ids_of(found.hits)) == {"banana", "cocoa"}
    assert found.plan.filtered == 2


@pytest.mark.parametrize(
    "unmatched",
    [condition(field="none", eq=1), condition(field="year", eq="1999")],
    ids=["missing field", "other type"],
)
async def test_a_filter_on_a_missing_field_or_another_type_matches_nothing(
    filled: Served, unmatched: filter_pb2.Filter
) -> None:
    found = await filled.stub.Search(search(text="banana", filter=unmatched))
    assert ids_of(found.hits) == []
    assert (await filled.stub.Count(pb.CountRequest(collection="c", filter=unmatched))).count == 0


async def test_top_k_and_min_score_bound_the_hits(filled: Served) -> None:
    assert len((await filled.stub.Search(search(text="banana", top_k=1))).hits) == 1
    every = (await filled.stub.Search(search(text="banana", mode=1))).hits
    least = every[1].score
    found = await filled.stub.Search(search(text="banana", mode=1, min_score=least))
    assert ids_of(found.hits) == ids_of(every)[:2]


async def test_ten_hits_unless_asked_otherwise(served: Served) -> None:
    await served.create()
    await served.upsert(*[record(str(number), "same text") for number in range(20)])
    found = (await served.stub.Search(search(text="same", mode=pb.SEARCH_MODE_DENSE))).hits
    assert ids_of(found) == sorted(map(str, range(20)))[:10]


async def test_fusion_can_be_chosen(filled: Served) -> None:
    lexical_only = pb.Fusion(weighted_sum=pb.WeightedSum(dense_weight=0))
    found = await filled.stub.Search(search(text="banana", fusion=lexical_only))
    assert found.hits[0].id == "banana"
    assert found.hits[0].score == 1.0
    rank = pb.Fusion(reciprocal_rank=pb.ReciprocalRank(k=1))
    found = await filled.stub.Search(search(text="banana", fusion=rank))
    assert found.hits[0].score == pytest.approx(1.0)


RRF = pb.Fusion(reciprocal_rank=pb.ReciprocalRank())


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({}, "query"),
        ({"text": ""}, "text"),
        ({"text": " \n"}, "text"),
        ({"text": "x" * 10_000_000}, "text"),
        ({"vector": vector(1, 2)}, "vector"),
        ({"vector": vector_pb2.Vector()}, "vector"),
        ({"vector": vector_pb2.Vector(f32le=b"123")}, "vector.f32le"),
        ({"vector": vector(*[NAN] * 36)}, "vector"),
        ({"vector": vector(*[INF] * 36)}, "vector"),
        ({"vector": vector(*[0.0] * 36)}, "vector"),
        ({"record_id": ""}, "record_id"),
        ({"text": "x", "top_k": 0}, "top_k"),
        ({"text": "x", "top_k": 1_000_000}, "top_k"),
        ({"text": "x", "min_score": NAN}, "min_score"),
        ({"text": "x", "mode": 9}, "mode"),
        ({"vector": vector(*[1] * 36), "mode": pb.SEARCH_MODE_LEXICAL}, "mode"),
        ({"vector": vector(*[1] * 36), "mode": pb.SEARCH_MODE_HYBRID}, "mode"),
        ({"record_id": "abba", "mode": pb.SEARCH_MODE_HYBRID}, "mode"),
        ({"text": "x", "mode": pb.SEARCH_MODE_DENSE, "fusion": RRF}, "fusion"),
        ({"vector": vector(*[1] * 36), "fusion": RRF}, "fusion"),
        ({"text": "x", "fusion": pb.Fusion()}, "fusion"),
        (
            {"text": "x", "fusion": pb.Fusion(reciprocal_rank=pb.ReciprocalRank(k=0))},
            "fusion.reciprocal_rank.k",
        ),
        (
            {"text": "x", "fusion": pb.Fusion(weighted_sum=pb.WeightedSum(dense_weight=1.1))},
            "fusion.weighted_sum.dense_weight",
        ),
        ({"text": "x", "filter": filter_pb2.Filter()}, "filter"),
        ({"text": "x", "filter": condition(field="f", lt=True)}, "filter.condition.lt"),
        ({"text": "x", "filter": condition(field="f", eq=[1])}, "filter.condition.eq"),
    ],
)
async def test_a_wrong_field_is_named_alone_and_in_a_batch(
    filled: Served, fields: dict, field: str
) -> None:
    refused = await refusal(filled.stub.Search(search(**fields)))
    assert (refused.code, refused.fields) == (INVALID, (field,))
    batch = pb.SearchBatchRequest(
        collection="c", searches=[pb.SearchRequest(text="fine"), pb.SearchRequest(**fields)]
    )
    refused = await refusal(filled.stub.SearchBatch(batch))
    assert (refused.code, refused.fields) == (INVALID, (f"searches[1].{field}",))
    assert await filled.count() == 3


async def test_a_text_query_by_meaning_needs_an_embedder_by_words_not(served: Served) -> None:
    await served.create_plain()
    await served.upsert(record("a", "some text", [1, 0]))
    refused = await refusal(served.stub.Search(search(text="text")))
    assert (refused.code, refused.reason) == (grpc.StatusCode.FAILED_PRECONDITION, "NO_EMBEDDER")
    found = await served.stub.Search(search(text="text", mode=pb.SEARCH_MODE_LEXICAL))
    assert ids_of(found.hits) == ["a"]


async def test_a_batch_is_answered_in_order_and_embedded_in_one_call(
    filled: Served, embedder: LettersEmbedder
) -> None:
    embedder.calls.clear()
    batch = pb.SearchBatchRequest(
        collection="c",
        searches=[
            pb.SearchRequest(text="banana", top_k=1),
            pb.SearchRequest(record_id="abba", top_k=1),
            pb.SearchRequest(collection="c", text="cocoa", mode=pb.SEARCH_MODE_DENSE, top_k=1),
            pb.SearchRequest(text="abba", mode=pb.SEARCH_MODE_LEXICAL, top_k=1),
        ],
    )
    responses = (await filled.stub.SearchBatch(batch)).responses
    assert [ids_of(one.hits) for one in responses] == [["banana"], ["banana"], ["cocoa"], ["abba"]]
    assert embedder.calls == [["banana", "cocoa"]]


@pytest.mark.parametrize(
    ("batch", "field"),
    [
        (pb.SearchBatchRequest(collection="c"), "searches"),
        (
            pb.SearchBatchRequest(collection="c", searches=[pb.SearchRequest(text="x")] * 257),
            "searches",
        ),
        (
            pb.SearchBatchRequest(
                collection="c", searches=[pb.SearchRequest(collection="d", text="x")]
            ),
            "searches[0].collection",
        ),
    ],
)
async def test_a_wrong_batch_is_refused(
    filled: Served, batch: pb.SearchBatchRequest, field: str
) -> None:
    refused = await refusal(filled.stub.SearchBatch(batch))
    assert (refused.code, refused.fields) == (INVALID, (field,))


# --- consistency ---


async def test_a_read_sees_the_write_it_asks_for(filled: Served) -> None:
    sequence = await filled.upsert(record("date", "date palm"))
    seen = pb.Consistency(at_least_sequence=sequence)
    counted = await filled.stub.Count(pb.CountRequest(collection="c", consistency=seen))
    assert (counted.count, counted.sequence) == (4, sequence)
    got = await filled.stub.Get(pb.GetRequest(collection="c", ids=["date"], consistency=seen))
    assert got.results[0].HasField("record")
    found = await filled.stub.Search(search(text="date", consistency=seen))
    assert found.plan.sequence >= sequence


async def test_a_sequence_that_was_never_given_out_is_refused(filled: Served) -> None:
    unseen = pb.Consistency(at_least_sequence=99)
    batch = pb.SearchBatchRequest(
        collection="c", searches=[pb.SearchRequest(text="x", consistency=unseen)]
    )
    for call in (
        filled.stub.Count(pb.CountRequest(collection="c", consistency=unseen)),
        filled.stub.Get(pb.GetRequest(collection="c", ids=["a"], consistency=unseen)),
        filled.stub.Search(search(text="x", consistency=unseen)),
        filled.stub.SearchBatch(batch),
    ):
        refused = await refusal(call)
        assert refused.code == INVALID
        assert refused.fields[0].endswith("consistency.at_least_sequence")


# --- get, scroll ---


@pytest.mark.parametrize("number", [0, 10_001])
async def test_no_ids_and_too_many_are_refused(filled: Served, number: int) -> None:
    request = pb.GetRequest(collection="c", ids=["a"] * number)
    refused = await refusal(filled.stub.Get(request))
    assert (refused.code, refused.fields) == (INVALID, ("ids",))


async def scrolled(served: Served, **fields) -> list[list[str]]:
    pages, cursor = [], ""
    while True:
        request = pb.ScrollRequest(collection="c", cursor=cursor, **fields)
        page = await served.stub.Scroll(request)
        pages.append([found.id for found in page.records])
        cursor = page.next_cursor
        if not cursor:
            return pages


async def test_a_scroll_reads_every_match_in_order_of_first_insertion(filled: Served) -> None:
    await filled.upsert(record("abba", "abba again", year=1999))
    assert await scrolled(filled) == [["abba", "banana", "cocoa"]]
    assert await scrolled(filled, page_size=2) == [["abba", "banana"], ["cocoa"]]
    in_1999 = condition(field="year", eq=1999)
    assert await scrolled(filled, page_size=1, filter=in_1999) == [["abba"], ["banana"]]


async def test_a_cursor_is_bound_to_its_scroll(filled: Served) -> None:
    first = await filled.stub.Scroll(pb.ScrollRequest(collection="c", page_size=1))
    for other in (
        pb.ScrollRequest(
            collection="c", cursor=first.next_cursor, filter=condition(field="year", eq=1999)
        ),
        pb.ScrollRequest(collection="c", cursor="made up"),
    ):
        refused = await refusal(filled.stub.Scroll(other))
        assert (refused.code, refused.fields) == (INVALID, ("cursor",))


async def test_a_page_of_more_than_a_thousand_is_refused(filled: Served) -> None:
    refused = await refusal(filled.stub.Scroll(pb.ScrollRequest(collection="c", page_size=1001)))
    assert (refused.code, refused.fields) == (INVALID, ("page_size",))
