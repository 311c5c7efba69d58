from __future__ import annotations

from pathlib import Path

import grpc
import pytest
from groundwire.v1 import collection_pb2
from groundwire.v1 import retrieve_service_pb2 as pb

from tests.unit.retrieve.letters import LettersEmbedder
from tests.unit.retrieve.serving import Served, ingest_requests, record, refusal, serving

INVALID = grpc.StatusCode.INVALID_ARGUMENT


async def test_a_collection_has_the_servers_embedder_unless_it_says_otherwise(
    served: Served, embedder: LettersEmbedder
) -> None:
    request = pb.CreateCollectionRequest(name="c", description="letters")
    created = (await served.stub.CreateCollection(request)).collection
    assert created.metric == collection_pb2.METRIC_COSINE
    assert created.dimension == embedder.fingerprint.dimension
    assert created.fingerprint.model == "letters"
    assert created.state == collection_pb2.COLLECTION_STATE_READY
    assert created.description == "letters"
    assert created.create_time.seconds > 0
    found = (await served.stub.GetCollection(pb.GetCollectionRequest(name="c"))).collection
    assert found.counts.records == 0
    found.ClearField("counts")
    created.ClearField("counts")
    assert found == created


@pytest.mark.parametrize(
    ("asked", "made"),
    [
        (collection_pb2.VECTOR_TYPE_UNSPECIFIED, collection_pb2.VECTOR_TYPE_FLOAT32),
        (collection_pb2.VECTOR_TYPE_FLOAT32, collection_pb2.VECTOR_TYPE_FLOAT32),
        (collection_pb2.VECTOR_TYPE_FLOAT16, collection_pb2.VECTOR_TYPE_FLOAT16),
    ],
)
async def test_vectors_are_stored_as_the_type_that_is_asked_for(
    served: Served, asked: collection_pb2.VectorType, made: collection_pb2.VectorType
) -> None:
    request = pb.CreateCollectionRequest(name="c", embedder="none", dimension=2, vector_type=asked)
    created = (await served.stub.CreateCollection(request)).collection
    found = (await served.stub.GetCollection(pb.GetCollectionRequest(name="c"))).collection
    assert created.vector_type == found.vector_type == made


async def test_a_number_that_the_type_does_not_hold_is_refused(served: Served) -> None:
    await served.create_plain(vector_type=collection_pb2.VECTOR_TYPE_FLOAT16)
    large = pb.UpsertRequest(
        collection="c",
        records=[record("a", vector=[1, 2]), record("b", vector=[70_000, 1])],
    )
    refused = await refusal(served.stub.Upsert(large))
    assert (refused.code, refused.fields) == (INVALID, ("records[1].vector",))
    assert "70000 at [0]" in refused.message


async def test_counts_say_what_a_collection_holds(served: Served) -> None:
    await served.create()
    await served.upsert(record("a", "text"), record("b", "text"))
    await served.ingest(b"A short text.")
    found = (await served.stub.GetCollection(pb.GetCollectionRequest(name="c"))).collection
    assert (found.counts.records, found.counts.vectors, found.counts.documents) == (3, 3, 1)
    assert found.counts.disk_bytes > 0
    assert found.sequence == 2


async def test_a_collection_for_own_vectors_has_no_fingerprint(served: Served) -> None:
    request = pb.CreateCollectionRequest(
        name="c", embedder="none", dimension=3, metric=collection_pb2.METRIC_EUCLIDEAN
    )
    created = (await served.stub.CreateCollection(request)).collection
    assert created.dimension == 3
    assert created.metric == collection_pb2.METRIC_EUCLIDEAN
    assert not created.HasField("fingerprint")


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"name": ""}, "name"),
        ({"name": "a b"}, "name"),
        ({"name": "../c"}, "name"),
        ({"name": "-c"}, "name"),
        ({"name": "c" * 129}, "name"),
        ({"metric": 99}, "metric"),
        ({"vector_type": 99}, "vector_type"),
        ({"dimension": 5}, "dimension"),
        ({"embedder": "none"}, "dimension"),
        ({"embedder": "none", "dimension": 0}, "dimension"),
        ({"embedder": "none", "dimension": 65_537}, "dimension"),
        ({"description": "x" * 1025}, "description"),
        ({"idempotency_key": "x" * 257}, "idempotency_key"),
        ({"index": collection_pb2.IndexConfig(kind=99)}, "index.kind"),
    ],
)
async def test_a_wrong_field_is_named(served: Served, fields: dict, field: str) -> None:
    request = pb.CreateCollectionRequest(**{"name": "c", **fields})
    refused = await refusal(served.stub.CreateCollection(request))
    assert (refused.code, refused.fields) == (INVALID, (field,))
    listed = await served.stub.ListCollections(pb.ListCollectionsRequest())
    assert len(listed.collections) == 0


async def test_an_index_that_needs_a_gpu_is_refused_without_one(served: Served) -> None:
    index = collection_pb2.IndexConfig(kind=collection_pb2.INDEX_KIND_CAGRA)
    request = pb.CreateCollectionRequest(name="c", index=index)
    refused = await refusal(served.stub.CreateCollection(request))
    assert (refused.code, refused.reason) == (
        grpc.StatusCode.FAILED_PRECONDITION,
        "GPU_NOT_FOUND",
    )


@pytest.mark.parametrize(
    "index",
    [
        collection_pb2.IndexConfig(kind=collection_pb2.INDEX_KIND_FLAT),
        collection_pb2.IndexConfig(kind=collection_pb2.INDEX_KIND_HNSW, parameters={"m": "24"}),
    ],
)
async def test_an_index_is_kept_as_it_was_asked_for(
    served: Served, index: collection_pb2.IndexConfig
) -> None:
    await served.create(index=index)
    found = await served.stub.GetCollection(pb.GetCollectionRequest(name="c"))
    assert found.collection.index == index


async def test_an_unknown_embedder_is_not_found(served: Served) -> None:
    request = pb.CreateCollectionRequest(name="c", embedder="other")
    refused = await refusal(served.stub.CreateCollection(request))
    assert refused.code == grpc.StatusCode.NOT_FOUND
    assert '"letters"' in refused.message


async def test_a_name_that_is_taken_is_refused_and_what_is_there_stays(served: Served) -> None:
    await served.create()
    await served.upsert(record("a", "text"))
    refused = await refusal(served.stub.CreateCollection(pb.CreateCollectionRequest(name="c")))
    assert refused.code == grpc.StatusCode.ALREADY_EXISTS
    assert await served.count() == 1


async def test_a_name_that_is_taken_with_another_spec_says_what_differs(served: Served) -> None:
    await served.create()
    other = pb.CreateCollectionRequest(name="c", embedder="none", dimension=7)
    refused = await refusal(served.stub.CreateCollection(other))
    assert refused.code == grpc.StatusCode.ALREADY_EXISTS
    assert 'instead of 7, embedder "letters" instead of "none":' in refused.message


NAMELESS = {
    "GetCollection": pb.GetCollectionRequest(),
    "DeleteCollection": pb.DeleteCollectionRequest(),
    "Upsert": pb.UpsertRequest(records=[record("a", "text")]),
    "Delete": pb.DeleteRequest(ids=pb.RecordIds(ids=["a"])),
    "Get": pb.GetRequest(ids=["a"]),
    "Scroll": pb.ScrollRequest(),
    "Count": pb.CountRequest(),
    "Search": pb.SearchRequest(text="text"),
    "SearchBatch": pb.SearchBatchRequest(searches=[pb.SearchRequest(text="text")]),
    "ListDocuments": pb.ListDocumentsRequest(),
    "DeleteDocument": pb.DeleteDocumentRequest(document_id="a"),
}


@pytest.mark.parametrize("method", NAMELESS)
async def test_a_request_that_names_no_collection_is_refused(served: Served, method: str) -> None:
    refused = await refusal(getattr(served.stub, method)(NAMELESS[method]))
    assert refused.code == grpc.StatusCode.INVALID_ARGUMENT
    assert refused.fields == ("name" if method.endswith("Collection") else "collection",)


async def test_an_ingest_that_names_no_collection_is_refused(served: Served) -> None:
    requests = ingest_requests(b"text", filename="a.txt")
    refused = await refusal(served.stub.IngestDocument(requests))
    assert refused.code == grpc.StatusCode.INVALID_ARGUMENT
    assert refused.fields == ("header.collection",)


async def test_the_same_key_and_request_give_the_first_answer_again(served: Served) -> None:
    request = pb.CreateCollectionRequest(name="c", idempotency_key="k")
    first = await served.stub.CreateCollection(request)
    assert await served.stub.CreateCollection(request) == first
    other = pb.CreateCollectionRequest(name="c", idempotency_key="k", description="other")
    refused = await refusal(served.stub.CreateCollection(other))
    assert refused.code == grpc.StatusCode.ALREADY_EXISTS


async def test_collections_are_listed_by_name_page_by_page(served: Served) -> None:
    for name in ("b", "a", "d", "c"):
        await served.create(name)
    names, cursor = [], ""
    while True:
        request = pb.ListCollectionsRequest(page_size=2, cursor=cursor)
        page = await served.stub.ListCollections(request)
        names.append([collection.name for collection in page.collections])
        cursor = page.next_cursor
        if not cursor:
            break
    assert names == [["a", "b"], ["c", "d"]]


@pytest.mark.parametrize(
    ("fields", "field"), [({"page_size": 1001}, "page_size"), ({"cursor": "!"}, "cursor")]
)
async def test_a_wrong_page_is_refused(served: Served, fields: dict, field: str) -> None:
    refused = await refusal(served.stub.ListCollections(pb.ListCollectionsRequest(**fields)))
    assert (refused.code, refused.fields) == (INVALID, (field,))


async def test_a_deleted_collection_is_gone_with_its_records(served: Served) -> None:
    await served.create()
    await served.upsert(record("a", "text"), record("b", "text"))
    deleted = await served.stub.DeleteCollection(pb.DeleteCollectionRequest(name="c"))
    assert deleted.records == 2
    for call in (
        served.stub.GetCollection(pb.GetCollectionRequest(name="c")),
        served.stub.DeleteCollection(pb.DeleteCollectionRequest(name="c")),
        served.stub.Count(pb.CountRequest(collection="c")),
    ):
        assert (await refusal(call)).code == grpc.StatusCode.NOT_FOUND
    await served.create()
    assert await served.count() == 0


async def test_tenants_do_not_see_each_other(served: Served) -> None:
    await served.create()
    other = (("groundwire-tenant", "other"),)
    listed = await served.stub.ListCollections(pb.ListCollectionsRequest(), metadata=other)
    assert len(listed.collections) == 0
    call = served.stub.GetCollection(pb.GetCollectionRequest(name="c"), metadata=other)
    assert (await refusal(call)).code == grpc.StatusCode.NOT_FOUND


async def test_another_embedder_may_not_embed_for_a_collection(tmp_path: Path) -> None:
    async with serving(tmp_path, LettersEmbedder("first")) as served:
        await served.create()
        await served.upsert(record("a", "text"))
    async with serving(tmp_path, LettersEmbedder("second")) as served:
        upsert = pb.UpsertRequest(collection="c", records=[record("b", "text")])
        search = pb.SearchRequest(collection="c", text="text")
        ingest = served.stub.IngestDocument(_one_file())
        for call in (served.stub.Upsert(upsert), served.stub.Search(search), ingest):
            refused = await refusal(call)
            assert refused.code == grpc.StatusCode.FAILED_PRECONDITION
            assert '"first"' in refused.message
            assert '"second"' in refused.message
        search.mode = pb.SEARCH_MODE_LEXICAL
        assert len((await served.stub.Search(search)).hits) == 1


async def _one_file():
    yield pb.IngestDocumentRequest(header=pb.IngestHeader(collection="c", filename="a.txt"))
