from __future__ import annotations

import struct

import grpc
import numpy as np
import pytest
from google.protobuf import json_format
from groundwire.v1 import filter_pb2, record_pb2, vector_pb2
from groundwire.v1 import retrieve_service_pb2 as pb

from tests.unit.retrieve.letters import LettersEmbedder
from tests.unit.retrieve.serving import Served, record, refusal, vector

INVALID = grpc.StatusCode.INVALID_ARGUMENT
FAILED_PRECONDITION = grpc.StatusCode.FAILED_PRECONDITION


async def test_a_record_comes_back_as_it_was_written(served: Served) -> None:
    await served.create_plain(metric=3)
    written = record("a", "text", [1.5, -2.0], year=1999, tags=["x", 1.5, None], deep={"y": True})
    written.document_id = "doc"
    written.position.CopyFrom(
        record_pb2.ChunkPosition(ordinal=0, start=1, end=5, page=2, headings=["H"], token_count=3)
    )
    await served.upsert(written)
    assert await served.get("a", vector=True) == [written]


async def test_answers_carry_the_parts_that_were_asked_for(served: Served) -> None:
    await served.create_plain()
    await served.upsert(record("a", "text", [1, 0], year=1999))
    (usual,) = await served.get("a")
    assert (usual.text, len(usual.metadata.fields), usual.HasField("vector")) == ("text", 1, False)
    (bare,) = await served.get("a", text=False, metadata=False)
    assert bare == record_pb2.Record(id="a")


async def test_records_are_read_in_request_order_the_missing_ones_absent(served: Served) -> None:
    await served.create_plain()
    await served.upsert(record("a", vector=[1, 0]), record("b", vector=[0, 1]))
    request = pb.GetRequest(collection="c", ids=["b", "none", "a", "b"])
    results = (await served.stub.Get(request)).results
    assert [result.id for result in results] == ["b", "none", "a", "b"]
    assert [result.HasField("record") for result in results] == [True, False, True, True]


async def test_texts_without_a_vector_are_embedded_in_one_call(
    served: Served, embedder: LettersEmbedder
) -> None:
    await served.create()
    own = np.eye(36, dtype=np.float32)[0]
    await served.upsert(record("a", "aaa"), record("own", "bbb", own), record("c", "ccc"))
    assert embedder.calls == [["aaa", "ccc"]]
    first, kept, last = await served.get("a", "own", "c", vector=True)
    vectors = [np.frombuffer(one.vector.f32le, "<f4") for one in (first, kept, last)]
    assert [int(one.argmax()) for one in vectors] == [0, 0, 2]
    np.testing.assert_array_equal(vectors[1], own)


async def test_the_last_of_several_records_with_one_id_counts(served: Served) -> None:
    await served.create()
    request = pb.UpsertRequest(collection="c", records=[record("a", "old"), record("a", "new")])
    assert (await served.stub.Upsert(request)).count == 1
    assert (await served.get("a"))[0].text == "new"


async def test_a_vector_can_be_typed_as_a_list(served: Served) -> None:
    await served.create_plain()
    await served.upsert(record_pb2.Record(id="a", vector=vector(1, 0)))
    (found,) = await served.get("a", vector=True)
    assert found.vector.f32le == struct.pack("<2f", 1, 0)


NAN, INF = float("nan"), float("inf")


@pytest.mark.parametrize(
    ("bad", "field"),
    [
        (record("x", vector=[1, 0, 0]), "vector"),
        (record("x", vector=[1]), "vector"),
        (record("x", vector=[]), "vector"),
        (record("x", vector=[NAN, 0]), "vector"),
        (record("x", vector=[0, INF]), "vector"),
        (record("x", vector=[0, 0]), "vector"),
        (record_pb2.Record(id="x", vector=vector(-INF, 0)), "vector"),
        (record_pb2.Record(id="x", vector=vector_pb2.Vector()), "vector"),
        (record_pb2.Record(id="x", vector=vector_pb2.Vector(f32le=b"12345")), "vector.f32le"),
        (record("x"), ""),
        (record("x", ""), "text"),
        (record("x", " \t\n"), "text"),
        (record("x", "y" * 10_000_000, [1, 0]), "text"),
        (record("", vector=[1, 0]), "id"),
        (record("x" * 513, vector=[1, 0]), "id"),
        (record("a\nb", vector=[1, 0]), "id"),
        (record("x", vector=[1, 0], n=NAN), "metadata.n"),
        (record("x", vector=[1, 0], big="y" * 70_000), "metadata"),
        (record_pb2.Record(id="x", vector=vector(1, 0), document_id="y" * 513), "document_id"),
    ],
)
async def test_one_bad_record_is_named_and_nothing_is_written(
    served: Served, bad: record_pb2.Record, field: str
) -> None:
    await served.create_plain()
    await served.upsert(record("before", vector=[1, 0]))
    records = [record("good", vector=[1, 0]), bad]
    request = pb.UpsertRequest(collection="c", records=records)
    refused = await refusal(served.stub.Upsert(request))
    path = f"records[1].{field}" if field else "records[1]"
    assert (refused.code, refused.fields) == (INVALID, (path,))
    assert await served.get("before", "good") == [record("before"), None]


def deep(levels: int) -> dict:
    inner: dict = {}
    for _ in range(levels - 1):
        inner = {"x": inner}
    return inner


async def test_metadata_may_be_sixteen_levels_deep(served: Served) -> None:
    await served.create_plain()
    deepest = record("a", vector=[1, 0], **deep(16))
    await served.upsert(deepest)
    assert (await served.get("a"))[0].metadata == deepest.metadata
    request = pb.UpsertRequest(collection="c", records=[record("a", vector=[1, 0], **deep(17))])
    refused = await refusal(served.stub.Upsert(request))
    assert refused.code == INVALID
    assert refused.fields[0].startswith("records[0].metadata")


@pytest.mark.parametrize("number", [0, 10_001])
async def test_no_records_and_too_many_are_refused(served: Served, number: int) -> None:
    await served.create_plain()
    request = pb.UpsertRequest(collection="c", records=[record("a", vector=[1, 0])] * number)
    refused = await refusal(served.stub.Upsert(request))
    assert (refused.code, refused.fields) == (INVALID, ("records",))


async def test_ten_thousand_records_are_written(served: Served) -> None:
    await served.create_plain()
    records = [record(str(number), vector=[1, number]) for number in range(10_000)]
    request = pb.UpsertRequest(collection="c", records=records)
    assert (await served.stub.Upsert(request)).count == 10_000
    assert await served.count() == 10_000


async def test_text_alone_needs_an_embedder(served: Served) -> None:
    await served.create_plain()
    request = pb.UpsertRequest(collection="c", records=[record("a", "text")])
    refused = await refusal(served.stub.Upsert(request))
    assert (refused.code, refused.reason) == (FAILED_PRECONDITION, "NO_EMBEDDER")


@pytest.mark.parametrize(("embedder_name", "model"), [("", "other"), ("none", "letters")])
async def test_vectors_of_another_model_are_refused(
    served: Served, embedder_name: str, model: str
) -> None:
    await served.create(embedder=embedder_name, dimension=36)
    own = record("a", vector=[1] * 36)
    request = pb.UpsertRequest(collection="c", records=[own], embedding_model=model)
    refused = await refusal(served.stub.Upsert(request))
    assert refused.code == FAILED_PRECONDITION
    search = pb.SearchRequest(collection="c", vector=own.vector, embedding_model=model)
    assert (await refusal(served.stub.Search(search))).code == FAILED_PRECONDITION
    assert await served.count() == 0


async def test_vectors_of_the_collections_model_are_taken(served: Served) -> None:
    await served.create()
    own = record("a", vector=[1] * 36)
    request = pb.UpsertRequest(collection="c", records=[own], embedding_model="letters")
    assert (await served.stub.Upsert(request)).count == 1


async def test_an_unknown_durability_is_refused(served: Served) -> None:
    await served.create()
    request = pb.UpsertRequest(collection="c", records=[record("a", "x")], durability=9)
    refused = await refusal(served.stub.Upsert(request))
    assert (refused.code, refused.fields) == (INVALID, ("durability",))


async def test_the_same_key_and_request_write_once(served: Served) -> None:
    await served.create()
    request = pb.UpsertRequest(
        collection="c", records=[record("a", "first", b=1, a=2)], idempotency_key="k"
    )
    first = await served.stub.Upsert(request)
    await served.upsert(record("a", "second"))
    assert await served.stub.Upsert(request) == first
    assert (await served.get("a"))[0].text == "second"

    request.records[0].text = "third"
    refused = await refusal(served.stub.Upsert(request))
    assert refused.code == grpc.StatusCode.ALREADY_EXISTS
    assert (await served.get("a"))[0].text == "second"


async def test_a_key_that_is_too_long_is_refused(served: Served) -> None:
    await served.create()
    request = pb.UpsertRequest(
        collection="c", records=[record("a", "x")], idempotency_key="k" * 257
    )
    refused = await refusal(served.stub.Upsert(request))
    assert (refused.code, refused.fields) == (INVALID, ("idempotency_key",))


# --- delete ---


def by_filter(json: dict) -> pb.DeleteRequest:
    chosen = json_format.ParseDict(json, filter_pb2.Filter())
    return pb.DeleteRequest(collection="c", filter=chosen)


async def test_records_are_deleted_by_id_and_unknown_ids_do_not_matter(served: Served) -> None:
    await served.create()
    await served.upsert(record("a", "x"), record("b", "x"))
    request = pb.DeleteRequest(collection="c", ids=pb.RecordIds(ids=["a", "none"]))
    deleted = await served.stub.Delete(request)
    assert deleted.count == 1
    assert await served.get("a", "b") == [None, record("b", "x")]


async def test_records_are_deleted_by_filter(served: Served) -> None:
    await served.create()
    await served.upsert(record("a", "x", year=1998), record("b", "x", year=1999))
    deleted = await served.stub.Delete(by_filter({"condition": {"field": "year", "lt": 1999}}))
    assert deleted.count == 1
    assert await served.get("a", "b", metadata=False) == [None, record("b", "x")]


@pytest.mark.parametrize(
    ("request_", "field"),
    [
        (pb.DeleteRequest(collection="c"), "target"),
        (pb.DeleteRequest(collection="c", filter=filter_pb2.Filter()), "filter"),
        (by_filter({"all": {}}), "filter"),
        (by_filter({"not": {"any": {}}}), "filter"),
        (
            by_filter({"any": {"filters": [{"all": {}}, {"condition": {"field": "x", "eq": 1}}]}}),
            "filter",
        ),
        (pb.DeleteRequest(collection="c", ids=pb.RecordIds(ids=["x"] * 10_001)), "ids.ids"),
    ],
)
async def test_deleting_everything_by_mistake_is_refused(
    served: Served, request_: pb.DeleteRequest, field: str
) -> None:
    await served.create()
    await served.upsert(record("a", "x"))
    refused = await refusal(served.stub.Delete(request_))
    assert (refused.code, refused.fields) == (INVALID, (field,))
    assert await served.count() == 1


@pytest.mark.parametrize(
    "call",
    [
        lambda stub: stub.Upsert(pb.UpsertRequest(collection="no", records=[record("a", "x")])),
        lambda stub: stub.Delete(pb.DeleteRequest(collection="no", ids=pb.RecordIds(ids=["a"]))),
        lambda stub: stub.Get(pb.GetRequest(collection="no", ids=["a"])),
        lambda stub: stub.Scroll(pb.ScrollRequest(collection="no")),
        lambda stub: stub.Count(pb.CountRequest(collection="no")),
        lambda stub: stub.Search(pb.SearchRequest(collection="no", text="x")),
        lambda stub: stub.ListDocuments(pb.ListDocumentsRequest(collection="no")),
        lambda stub: stub.DeleteDocument(
            pb.DeleteDocumentRequest(collection="no", document_id="d")
        ),
    ],
)
async def test_an_unknown_collection_is_not_found(served: Served, call) -> None:
    refused = await refusal(call(served.stub))
    assert refused.code == grpc.StatusCode.NOT_FOUND
    assert "no" in refused.message
