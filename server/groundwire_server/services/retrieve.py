"""RetrieveService: collections of records, searched by meaning, by words, or by both."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing

from groundwire.v1 import retrieve_service_pb2 as pb
from groundwire.v1 import retrieve_service_pb2_grpc
from groundwire_index.backend import CollectionBackend, IndexBackend
from groundwire_index.errors import GroundwireError, NotFoundError

from groundwire_server.blocking import run_blocking
from groundwire_server.deadline import seconds_left
from groundwire_server.embedders.embedder import Embedder
from groundwire_server.identity import current_identity
from groundwire_server.ingestion import Destination, DocumentIngest, IngestEvent, NewCollection
from groundwire_server.interceptors.method import Context
from groundwire_server.observability.search import SearchMetrics
from groundwire_server.services import reads, snapshots, writes
from groundwire_server.services.collections import change_of, collection_message, spec_of
from groundwire_server.services.documents import (
    data_of,
    event_message,
    header_of,
    ingest_fields,
    ingest_request_of,
    read_on,
)
from groundwire_server.services.embedded import require_model, with_query_vectors, with_vectors
from groundwire_server.services.search import search_of, searches_of
from groundwire_server.services.search_lanes import SearchLanes
from groundwire_server.services.upsert_stream import UpsertStream
from groundwire_server.services.validate import require, require_idempotency_key
from groundwire_server.services.violations import within
from groundwire_server.tracing import part

# How long a read without a deadline waits for the write it must have seen.
_MAX_WAIT_S = 60.0


class RetrieveService(retrieve_service_pb2_grpc.RetrieveServiceServicer):
    """Checks, converts and passes on. What takes long leaves the event loop, conversion of
    many records included."""

    def __init__(
        self,
        index: IndexBackend,
        embedder: Embedder,
        documents: DocumentIngest,
        metrics: SearchMetrics,
    ) -> None:
        self._index = index
        self._embedder = embedder
        self._documents = documents
        self._metrics = metrics
        self._searches = SearchLanes()

    # --- collections ---

    async def CreateCollection(
        self, request: pb.CreateCollectionRequest, context: Context
    ) -> pb.CreateCollectionResponse:
        """Create an empty collection."""
        require_idempotency_key(request.idempotency_key)
        spec = spec_of(request, self._embedder.fingerprint)
        info = await run_blocking(
            self._index.create_collection, _tenant(), spec, idempotency_key=request.idempotency_key
        )
        return pb.CreateCollectionResponse(collection=collection_message(info))

    async def GetCollection(
        self, request: pb.GetCollectionRequest, context: Context
    ) -> pb.GetCollectionResponse:
        """Describe a collection."""
        collection = await self._collection(request.name, "name")
        info = await run_blocking(collection.info)
        return pb.GetCollectionResponse(collection=collection_message(info))

    async def ListCollections(
        self, request: pb.ListCollectionsRequest, context: Context
    ) -> pb.ListCollectionsResponse:
        """List the tenant's collections by name."""
        return await run_blocking(reads.list_collections, self._index, _tenant(), request)

    async def UpdateCollection(
        self, request: pb.UpdateCollectionRequest, context: Context
    ) -> pb.UpdateCollectionResponse:
        """Change a collection's description or index configuration."""
        _require_named(request.name, "name")
        require_idempotency_key(request.idempotency_key)
        change, key = change_of(request), request.idempotency_key
        info = await run_blocking(
            self._index.update_collection, _tenant(), request.name, change, idempotency_key=key
        )
        return pb.UpdateCollectionResponse(collection=collection_message(info))

    async def SetAlias(self, request: pb.SetAliasRequest, context: Context) -> pb.SetAliasResponse:
        """Point an alias to a collection."""
        _require_named(request.collection, "collection")
        require_idempotency_key(request.idempotency_key)
        info, previous = await run_blocking(
            self._index.set_alias,
            _tenant(),
            request.alias,
            request.collection,
            idempotency_key=request.idempotency_key,
        )
        return pb.SetAliasResponse(
            collection=collection_message(info), previous_collection=previous
        )

    async def DeleteAlias(
        self, request: pb.DeleteAliasRequest, context: Context
    ) -> pb.DeleteAliasResponse:
        """Remove an alias."""
        require(bool(request.alias), "alias", "must name an alias")
        name = await run_blocking(self._index.delete_alias, _tenant(), request.alias)
        return pb.DeleteAliasResponse(collection=name)

    async def DeleteCollection(
        self, request: pb.DeleteCollectionRequest, context: Context
    ) -> pb.DeleteCollectionResponse:
        """Delete a collection with everything in it."""
        _require_named(request.name, "name")
        records = await run_blocking(self._index.delete_collection, _tenant(), request.name)
        return pb.DeleteCollectionResponse(records=records)

    # --- records ---

    async def Upsert(self, request: pb.UpsertRequest, context: Context) -> pb.UpsertResponse:
        """Write records, embedding the texts that come without a vector."""
        records = await run_blocking(writes.records_to_upsert, request)
        collection = await self._collection(request.collection)
        require_model(collection.spec, request.embedding_model)
        with part("embed"):
            complete = await with_vectors(records, collection, self._embedder)
        return await run_blocking(writes.upsert, collection, request, complete)

    async def UpsertStream(
        self, request_iterator: AsyncIterator[pb.UpsertStreamRequest], context: Context
    ) -> pb.UpsertStreamResponse:
        """Write many records, message by message."""
        return await UpsertStream(request_iterator, self._collection, self._embedder).run()

    async def Delete(self, request: pb.DeleteRequest, context: Context) -> pb.DeleteResponse:
        """Delete records by id or by filter."""
        target = writes.target_of(request)
        collection = await self._collection(request.collection)
        return await run_blocking(writes.delete, collection, request, target)

    async def Get(self, request: pb.GetRequest, context: Context) -> pb.GetResponse:
        """Read records by id."""
        reads.check_get(request)
        collection = await self._consistent(request.collection, request.consistency, context)
        return await run_blocking(reads.get, collection, request)

    async def Scroll(self, request: pb.ScrollRequest, context: Context) -> pb.ScrollResponse:
        """Read the records that match, page by page."""
        collection = await self._collection(request.collection)
        return await run_blocking(reads.scroll, collection, request)

    async def Count(self, request: pb.CountRequest, context: Context) -> pb.CountResponse:
        """Count the records that match."""
        collection = await self._consistent(request.collection, request.consistency, context)
        return await run_blocking(reads.count, collection, request)

    # --- searches ---

    async def Search(self, request: pb.SearchRequest, context: Context) -> pb.SearchResponse:
        """Find the best records for one query."""
        search = search_of(request, self._index.text_mode)
        collection = await self._consistent(request.collection, request.consistency, context)
        require_model(collection.spec, request.embedding_model)
        (complete,) = await with_query_vectors([search], collection, self._embedder, self._metrics)
        with self._metrics.searching():
            return await self._searches.search(collection, complete)

    async def SearchBatch(
        self, request: pb.SearchBatchRequest, context: Context
    ) -> pb.SearchBatchResponse:
        """Find the best records for each of many queries."""
        searches = searches_of(request, self._index.text_mode)
        collection = await self._collection(request.collection)
        for number, search in enumerate(request.searches):
            with within(f"searches[{number}]"):
                await self._wait(collection, search.consistency, context)
            require_model(collection.spec, search.embedding_model)
        complete = await with_query_vectors(searches, collection, self._embedder, self._metrics)
        with self._metrics.searching():
            return await run_blocking(reads.search_batch, collection, complete)

    # --- documents ---

    async def IngestDocument(
        self, request_iterator: AsyncIterator[pb.IngestDocumentRequest], context: Context
    ) -> AsyncGenerator[pb.IngestDocumentResponse, None]:
        """Take a file in, and report how far it has come."""
        try:
            with ingest_fields():
                async with aclosing(self._ingest(request_iterator)) as events:
                    # gRPC ends the data of a client that has gone as if it were complete. To
                    # report its arrival then fails, before any of it could be stored.
                    async for event in events:
                        yield event_message(event)
        except GroundwireError:
            await read_on(request_iterator, self._documents.max_document_bytes)
            raise

    async def ListDocuments(
        self, request: pb.ListDocumentsRequest, context: Context
    ) -> pb.ListDocumentsResponse:
        """List documents by id."""
        collection = await self._collection(request.collection)
        return await run_blocking(reads.list_documents, collection, request)

    async def DeleteDocument(
        self, request: pb.DeleteDocumentRequest, context: Context
    ) -> pb.DeleteDocumentResponse:
        """Delete a document with all its chunks."""
        writes.check_delete_document(request)
        collection = await self._collection(request.collection)
        return await run_blocking(writes.delete_document, collection, request)

    # --- snapshots ---

    async def CreateSnapshot(
        self, request: pb.CreateSnapshotRequest, context: Context
    ) -> pb.CreateSnapshotResponse:
        """Take a snapshot of a collection in use."""
        return await run_blocking(snapshots.create, self._index.snapshots, _tenant(), request)

    async def ListSnapshots(
        self, request: pb.ListSnapshotsRequest, context: Context
    ) -> pb.ListSnapshotsResponse:
        """List snapshots, newest first."""
        return await run_blocking(snapshots.list_page, self._index.snapshots, _tenant(), request)

    async def DeleteSnapshot(
        self, request: pb.DeleteSnapshotRequest, context: Context
    ) -> pb.DeleteSnapshotResponse:
        """Delete a snapshot."""
        return await run_blocking(snapshots.delete, self._index.snapshots, _tenant(), request)

    async def RestoreSnapshot(
        self, request: pb.RestoreSnapshotRequest, context: Context
    ) -> pb.RestoreSnapshotResponse:
        """Restore a snapshot under a name."""
        return await run_blocking(snapshots.restore, self._index.snapshots, _tenant(), request)

    async def DownloadSnapshot(
        self, request: pb.DownloadSnapshotRequest, context: Context
    ) -> AsyncGenerator[pb.DownloadSnapshotResponse, None]:
        """Stream a snapshot out."""
        chunks = snapshots.download(self._index.snapshots, _tenant(), request)
        async with aclosing(chunks) as responses:
            async for response in responses:
                yield response

    async def UploadSnapshot(
        self, request_iterator: AsyncIterator[pb.UploadSnapshotRequest], context: Context
    ) -> pb.UploadSnapshotResponse:
        """Take a snapshot in."""
        return await snapshots.upload(self._index.snapshots, _tenant(), request_iterator)

    async def _ingest(
        self, requests: AsyncIterator[pb.IngestDocumentRequest]
    ) -> AsyncGenerator[IngestEvent, None]:
        header = await header_of(requests)
        request = ingest_request_of(header, _tenant())
        destination = await self._destination(header)
        async with (
            aclosing(data_of(requests)) as data,
            aclosing(self._documents.ingest(destination, request, data)) as events,
        ):
            async for event in events:
                yield event

    async def _destination(self, header: pb.IngestHeader) -> Destination:
        try:
            return await self._collection(header.collection)
        except NotFoundError:
            if not header.create_collection:
                raise
        embedder = self._embedder.fingerprint
        spec = spec_of(pb.CreateCollectionRequest(name=header.collection), embedder)
        return NewCollection(self._index, _tenant(), spec, embedder)

    async def _collection(self, name: str, field: str = "collection") -> CollectionBackend:
        _require_named(name, field)
        opened = self._index.opened(_tenant(), name)
        if opened is not None:
            return opened
        return await run_blocking(self._index.collection, _tenant(), name)

    async def _consistent(
        self, name: str, consistency: pb.Consistency, context: Context
    ) -> CollectionBackend:
        collection = await self._collection(name)
        await self._wait(collection, consistency, context)
        return collection

    async def _wait(
        self, collection: CollectionBackend, consistency: pb.Consistency, context: Context
    ) -> None:
        if consistency.HasField("at_least_sequence"):
            timeout_s = seconds_left(context, at_most=_MAX_WAIT_S)
            with within("consistency"):
                await run_blocking(collection.wait_for, consistency.at_least_sequence, timeout_s)


def _require_named(name: str, field: str) -> None:
    require(bool(name), field, "must name a collection")


def _tenant() -> str:
    return current_identity.get().tenant
