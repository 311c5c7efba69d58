"""A collection of a Chroma database as a source."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from groundwire import Record
from groundwire.results.collections import Metric

from groundwire_server.cli.transfer.chroma_database import chroma_errors
from groundwire_server.cli.transfer.source import PAGE, Page, Placed, TransferError

if TYPE_CHECKING:
    from chromadb import Collection
    from chromadb.api import ClientAPI

# Chroma's l2 is the squared distance, as ours is; its cosine and ip are 1 minus ours.
METRICS: Mapping[str, Metric] = {"l2": "euclidean", "cosine": "cosine", "ip": "dot"}
# The name under which Chroma itself keeps a record's URI among its metadata.
URI = "chroma:uri"
LONGEST_DESCRIPTION = 1024
LISTED = 100
IDS = 10_000


def chroma_collections(database: ClientAPI, where: str) -> list[str]:
    """The names of all collections, in order; ``where`` the database is, for errors."""
    names: list[str] = []
    with chroma_errors(where):
        while page := database.list_collections(limit=LISTED, offset=len(names)):
            names.extend(collection.name for collection in page)
    return sorted(names)


class ChromaCollection:
    """Ids, vectors, documents (as texts), metadata and URIs, in Chroma's order."""

    def __init__(self, database: ClientAPI, name: str) -> None:
        with chroma_errors(name):
            # Its texts have their vectors: what would make them is not needed, nor loaded.
            collection = database.get_collection(name, embedding_function=None)
        self.name = name
        self.metric: Metric | None = _metric(collection)
        settings = collection.metadata or {}
        said = settings.get("description", "")
        fits = isinstance(said, str) and len(said) <= LONGEST_DESCRIPTION
        self.description = said if fits else ""
        self.notes = _notes(key for key in settings if key != "description" or not fits)
        self._collection = collection

    def count(self) -> int:
        """Records in it now."""
        with chroma_errors(self.name):
            return int(self._collection.count())

    def pages(self) -> Iterator[Page]:
        """All of them. One that is deleted meanwhile is left out, which `count` then tells."""
        with chroma_errors(self.name):
            ids = list(self._ids())
            for start in range(0, len(ids), PAGE):
                yield self._page(ids[start : start + PAGE])

    def _ids(self) -> Iterator[str]:
        # By id a page is found at once; by offset, Chroma counts its way to it again.
        offset = 0
        while ids := self._collection.get(limit=IDS, offset=offset, include=[])["ids"]:
            yield from ids
            offset += len(ids)

    def _page(self, ids: list[str]) -> Page:
        found: Any = self._collection.get(
            ids=ids, include=["embeddings", "documents", "metadatas", "uris"]
        )
        nothing = [None] * len(found["ids"])
        columns = (found[name] for name in ("embeddings", "documents", "metadatas", "uris"))
        whole = (nothing if column is None else column for column in columns)
        return [_placed(*row) for row in zip(found["ids"], *whole, strict=True)]


def _placed(
    record_id: str,
    vector: np.ndarray[Any, Any] | None,
    document: str | None,
    metadata: Mapping[str, Any] | None,
    uri: str | None,
) -> Placed:
    record = Record(
        record_id,
        text=document,
        metadata={**(metadata or {}), **({URI: uri} if uri else {})},
        vector=None if vector is None else np.asarray(vector, "<f4").tobytes(),
    )
    return Placed(record, f"record {record_id!r}")


def _metric(collection: Collection) -> Metric:
    configured: Mapping[str, Any] = collection.configuration_json or {}
    kinds = (configured.get(kind) or {} for kind in ("hnsw", "spann"))
    spaces = (str(kind["space"]) for kind in kinds if kind.get("space"))
    space = next(spaces, str((collection.metadata or {}).get("hnsw:space", "l2")))
    if space not in METRICS:
        raise TransferError(
            f"the Chroma collection {collection.name!r} compares vectors by {space!r}, and what "
            f"can be copied is {', '.join(METRICS)}"
        )
    return METRICS[space]


def _notes(keys: Iterable[str]) -> tuple[str, ...]:
    # What begins so are the parameters of Chroma's index; the metric among them is copied.
    left = sorted(key for key in keys if not key.startswith("hnsw:"))
    if not left:
        return ()
    return (f"a collection has no metadata of its own here; not copied: {', '.join(left)}",)
