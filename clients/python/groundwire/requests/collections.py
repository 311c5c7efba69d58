"""Creating, describing, changing, naming, listing and deleting collections."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from groundwire.call import Pages, Unary, call
from groundwire.made import made
from groundwire.requests.keys import idempotency_key as key
from groundwire.results import collections as results
from groundwire.v1 import collection_pb2
from groundwire.v1 import retrieve_service_pb2 as pb
from groundwire.values import enum_number


def create_collection(
    name: str,
    *,
    metric: results.Metric = "cosine",
    dimension: int | None = None,
    embedder: str = "",
    index_kind: results.IndexKind | None = None,
    index_parameters: Mapping[str, str] | None = None,
    description: str = "",
    vector_type: results.VectorType | None = None,
    idempotency_key: str = "",
    timeout: float | None = None,
) -> Unary[results.Collection]:
    """Create an empty collection; AlreadyExistsError if the name is taken.

    ``embedder`` turns its texts into vectors: empty for the server's default, "none" for a
    collection whose clients bring vectors, which then needs ``dimension``. As "float16", vectors
    take half the room, and their numbers are rounded; unless it is given, they stay as they are.
    """
    metric_number = enum_number(collection_pb2.Metric.DESCRIPTOR, metric)
    kind_number = enum_number(collection_pb2.IndexKind.DESCRIPTOR, index_kind)
    type_number = enum_number(collection_pb2.VectorType.DESCRIPTOR, vector_type)
    request = made(
        pb.CreateCollectionRequest,
        name=name,
        metric=metric_number,
        dimension=dimension,
        embedder=embedder,
        index=made(collection_pb2.IndexConfig, kind=kind_number, parameters=index_parameters),
        description=description,
        vector_type=type_number,
        idempotency_key=key(idempotency_key),
    )
    return call(
        "RetrieveService/CreateCollection",
        request,
        pb.CreateCollectionResponse,
        lambda answer: results.collection(answer.collection),
        timeout,
    )


def get_collection(name: str, *, timeout: float | None = None) -> Unary[results.Collection]:
    """Describe a collection."""
    return call(
        "RetrieveService/GetCollection",
        pb.GetCollectionRequest(name=name),
        pb.GetCollectionResponse,
        lambda answer: results.collection(answer.collection),
        timeout,
    )


def list_collections(
    *, page_size: int = 100, timeout: float | None = None
) -> Pages[results.Collection]:
    """Iterate over the tenant's collections, by name."""
    return Pages(
        lambda cursor: call(
            "RetrieveService/ListCollections",
            made(pb.ListCollectionsRequest, page_size=page_size, cursor=cursor),
            pb.ListCollectionsResponse,
            results.collections,
            timeout,
        )
    )


def update_collection(
    name: str,
    *,
    description: str | None = None,
    index_kind: results.IndexKind | Literal["auto"] | None = None,
    index_parameters: Mapping[str, str] | None = None,
    idempotency_key: str = "",
    timeout: float | None = None,
) -> Unary[results.Collection]:
    """Change the description, or the kind of index with its parameters; what is None stays.

    "auto" lets the server choose. An index is built anew in the background; until it is there
    the former one answers.
    """
    if index_parameters is not None and index_kind is None:
        raise ValueError("Parameters are of a kind of index: give index_kind as well.")
    kind = None if index_kind == "auto" else index_kind
    number = enum_number(collection_pb2.IndexKind.DESCRIPTOR, kind)
    index = made(collection_pb2.IndexConfig, kind=number, parameters=index_parameters)
    request = pb.UpdateCollectionRequest(
        name=name,
        description=description,
        index=None if index_kind is None else index,
        idempotency_key=key(idempotency_key),
    )
    return call(
        "RetrieveService/UpdateCollection",
        request,
        pb.UpdateCollectionResponse,
        lambda answer: results.collection(answer.collection),
        timeout,
    )


def set_alias(
    alias: str, collection: str, *, idempotency_key: str = "", timeout: float | None = None
) -> Unary[results.Collection]:
    """Point an alias to a collection, atomically: from then on it stands for that one.

    Fill a new collection, then switch: nobody who uses the alias sees anything in between.
    """
    return call(
        "RetrieveService/SetAlias",
        pb.SetAliasRequest(
            alias=alias, collection=collection, idempotency_key=key(idempotency_key)
        ),
        pb.SetAliasResponse,
        lambda answer: results.collection(answer.collection),
        timeout,
    )


def delete_alias(alias: str, *, timeout: float | None = None) -> Unary[str]:
    """Remove an alias; the name of the collection, which stays. Not repeated after a failure."""
    return call(
        "RetrieveService/DeleteAlias",
        pb.DeleteAliasRequest(alias=alias),
        pb.DeleteAliasResponse,
        lambda answer: answer.collection,
        timeout,
    )


def delete_collection(name: str, *, timeout: float | None = None) -> Unary[int]:
    """Delete a collection with everything in it; the number of records removed.

    Not undoable, and not repeated after a failure: a second try would say NOT_FOUND of what
    the first one deleted.
    """
    return call(
        "RetrieveService/DeleteCollection",
        pb.DeleteCollectionRequest(name=name),
        pb.DeleteCollectionResponse,
        lambda answer: answer.records,
        timeout,
    )
