"""Changing a collection, and giving it other names, through the API."""

from __future__ import annotations

import grpc
import pytest
from groundwire.v1 import collection_pb2
from groundwire.v1 import retrieve_service_pb2 as pb

from tests.unit.retrieve.serving import Served, ids_of, record, refusal, vector

INVALID = grpc.StatusCode.INVALID_ARGUMENT


async def alias(served: Served, name: str, collection: str) -> pb.SetAliasResponse:
    return await served.stub.SetAlias(pb.SetAliasRequest(alias=name, collection=collection))


async def test_description_and_index_are_changed(served: Served) -> None:
    await served.create_plain(description="before")
    index = collection_pb2.IndexConfig(kind=collection_pb2.INDEX_KIND_HNSW, parameters={"m": "8"})
    request = pb.UpdateCollectionRequest(name="c", description="", index=index)
    changed = (await served.stub.UpdateCollection(request)).collection
    assert (changed.description, changed.index) == ("", index)
    found = await served.stub.GetCollection(pb.GetCollectionRequest(name="c"))
    assert found.collection == changed


async def test_what_is_not_named_stays(served: Served) -> None:
    kind = collection_pb2.INDEX_KIND_SQ8
    await served.create_plain(index=collection_pb2.IndexConfig(kind=kind))
    request = pb.UpdateCollectionRequest(name="c", description="new")
    changed = (await served.stub.UpdateCollection(request)).collection
    assert (changed.description, changed.index.kind) == ("new", kind)


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({}, "description"),
        ({"description": "x" * 1025}, "description"),
        ({"description": "x", "idempotency_key": "k" * 257}, "idempotency_key"),
        ({"index": collection_pb2.IndexConfig(kind=99)}, "index.kind"),  # type: ignore[arg-type]
        (
            {"index": collection_pb2.IndexConfig(kind=2, parameters={"x": "1"})},  # type: ignore[arg-type]
            'index.parameters["x"]',
        ),
    ],
)
async def test_what_cannot_be_changed_is_named(served: Served, fields: dict, field: str) -> None:
    await served.create_plain()
    request = pb.UpdateCollectionRequest(name="c", **fields)
    refused = await refusal(served.stub.UpdateCollection(request))
    assert (refused.code, refused.fields) == (INVALID, (field,))


async def test_an_alias_is_taken_wherever_a_collection_is_named(served: Served) -> None:
    await served.create("books-1")
    await served.create("books-2")
    await served.upsert(record("old", "aaa"), collection="books-1")
    await served.upsert(record("new", "aaa"), collection="books-2")
    assert list((await alias(served, "books", "books-1")).collection.aliases) == ["books"]
    search = pb.SearchRequest(collection="books", text="a")
    assert ids_of((await served.stub.Search(search)).hits) == ["old"]
    assert (await alias(served, "books", "books-2")).previous_collection == "books-1"
    assert ids_of((await served.stub.Search(search)).hits) == ["new"]
    await served.upsert(record("more", "bbb"), collection="books")
    await served.ingest(b"A guide.", collection="books")
    assert await served.count("books-2") == await served.count("books") == 3


async def test_a_cursor_does_not_go_on_in_another_collection(served: Served) -> None:
    for name in ("one", "two"):
        await served.create_plain(name)
        two = [record(key, vector=[1, 0]) for key in "ab"]
        await served.upsert(*two, collection=name)
    await alias(served, "both", "one")
    page = await served.stub.Scroll(pb.ScrollRequest(collection="both", page_size=1))
    await alias(served, "both", "two")
    request = pb.ScrollRequest(collection="both", cursor=page.next_cursor)
    refused = await refusal(served.stub.Scroll(request))
    assert (refused.code, refused.fields) == (INVALID, ("cursor",))


async def test_a_collection_with_an_alias_is_not_deleted(served: Served) -> None:
    await served.create_plain()
    await alias(served, "other", "c")
    refused = await refusal(served.stub.DeleteCollection(pb.DeleteCollectionRequest(name="c")))
    assert (refused.code, refused.reason) == (
        grpc.StatusCode.FAILED_PRECONDITION,
        "COLLECTION_HAS_ALIASES",
    )
    removed = await served.stub.DeleteAlias(pb.DeleteAliasRequest(alias="other"))
    assert removed.collection == "c"
    await served.stub.DeleteCollection(pb.DeleteCollectionRequest(name="c"))


async def test_bad_aliases_are_refused(served: Served) -> None:
    await served.create_plain()
    assert (await refusal(alias(served, "", "c"))).fields == ("alias",)
    assert (await refusal(alias(served, "x", ""))).fields == ("collection",)
    assert (await refusal(alias(served, "x", "none"))).code == grpc.StatusCode.NOT_FOUND
    assert (await refusal(alias(served, "c", "c"))).code == grpc.StatusCode.ALREADY_EXISTS
    missing = served.stub.DeleteAlias(pb.DeleteAliasRequest(alias="x"))
    assert (await refusal(missing)).code == grpc.StatusCode.NOT_FOUND
    nameless = served.stub.DeleteAlias(pb.DeleteAliasRequest())
    assert (await refusal(nameless)).fields == ("alias",)
    clash = served.stub.CreateCollection
    await alias(served, "taken", "c")
    refused = await refusal(clash(pb.CreateCollectionRequest(name="taken")))
    assert refused.code == grpc.StatusCode.ALREADY_EXISTS


async def test_a_vector_search_through_an_alias_says_which_state_it_saw(served: Served) -> None:
    await served.create_plain()
    sequence = await served.upsert(record("a", vector=[1, 0]))
    await alias(served, "other", "c")
    request = pb.SearchRequest(collection="other", vector=vector(1, 0))
    request.consistency.at_least_sequence = sequence
    assert (await served.stub.Search(request)).plan.sequence == sequence
