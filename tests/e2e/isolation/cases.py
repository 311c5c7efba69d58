"""For every RPC of the contract, the ways in which a tenant may try another's names."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from google.protobuf.message import Message
from groundwire.v1 import admin_service_pb2 as admin
from groundwire.v1 import embed_service_pb2 as embed
from groundwire.v1 import filter_pb2, memory_pb2, record_pb2
from groundwire.v1 import generate_service_pb2 as generate
from groundwire.v1 import generation_pb2 as generation
from groundwire.v1 import memory_service_pb2 as memory
from groundwire.v1 import retrieve_service_pb2 as retrieve

from tests.e2e.isolation.names import Names

Tries = Callable[[Names], Sequence[Sequence[Message]]]
"""The calls to be tried with some names: for each, its request, or those of its stream."""

OWN = "own"
"""A collection that the one who tries may have; and a session."""
TEXT = "The dome opens at dusk, and the kitchen closes at nine."
HELLO = memory.NewMessage(role=generation.ROLE_USER, content="Hello")


def unary(*requests: Callable[[Names], Message]) -> Tries:
    """One call for each."""
    return lambda names: [[request(names)] for request in requests]


def stream(*requests: Callable[[Names], Message]) -> Tries:
    """One call with all of them."""
    return lambda names: [[request(names) for request in requests]]


def _record(names: Names) -> record_pb2.Record:
    return record_pb2.Record(id=names.record, text=TEXT)


def _record_ids(names: Names) -> retrieve.RecordIds:
    return retrieve.RecordIds(ids=[names.record])


def _of_document(names: Names) -> filter_pb2.Filter:
    return filter_pb2.Filter(
        condition={"field": "document", "eq": {"string_value": names.document}}
    )


def _grounded(names: Names, **fields: object) -> generate.GenerateRequest:
    return generate.GenerateRequest(request_id=names.request, prompt=TEXT, **fields)


def _generations(names: Names) -> Sequence[generate.GenerateRequest]:
    return [
        _grounded(names, grounding=generation.Grounding(collection=names.collection)),
        _grounded(names, grounding=generation.Grounding(collection=names.alias)),
        _grounded(names, session_id=names.session),
        _grounded(names, subject=names.subject, grounding=generation.Grounding(collection=OWN)),
        _grounded(
            names,
            grounding=generation.Grounding(collection=OWN, filter=_of_document(names)),
        ),
    ]


def _named(kind: Callable[..., Message]) -> tuple[Callable[[Names], Message], ...]:
    """Of a collection by its name and by its alias, as ``collection``."""
    return (
        lambda names: kind(collection=names.collection),
        lambda names: kind(collection=names.alias),
    )


CASES: Mapping[str, Tries] = {
    # --- admin ---
    "AdminService/GetServerInfo": unary(lambda names: admin.GetServerInfoRequest()),
    "AdminService/ListModels": unary(lambda names: admin.ListModelsRequest()),
    "AdminService/GetLoad": unary(lambda names: admin.GetLoadRequest()),
    "AdminService/Abort": unary(lambda names: admin.AbortRequest(request_id=names.request)),
    "AdminService/GetUsage": unary(
        lambda names: admin.GetUsageRequest(subject=names.subject),
        lambda names: admin.GetUsageRequest(cursor=names.cursors["AdminService/GetUsage"]),
    ),
    "AdminService/GetCacheStats": unary(lambda names: admin.GetCacheStatsRequest()),
    "AdminService/ClearCache": unary(lambda names: admin.ClearCacheRequest()),
    # --- embed ---
    "EmbedService/Embed": unary(lambda names: embed.EmbedRequest(inputs=[{"text": TEXT}])),
    "EmbedService/EmbedStream": stream(
        lambda names: embed.EmbedStreamRequest(id=names.record, input={"text": TEXT})
    ),
    # --- generate ---
    "GenerateService/Generate": lambda names: [[request] for request in _generations(names)],
    "GenerateService/Complete": lambda names: [
        [generate.CompleteRequest(request=request)] for request in _generations(names)
    ],
    "GenerateService/CountTokens": unary(lambda names: generate.CountTokensRequest(text=TEXT)),
    # --- memory: sessions ---
    "MemoryService/CreateSession": unary(
        lambda names: memory.CreateSessionRequest(session_id=names.session),
        lambda names: memory.CreateSessionRequest(session_id=OWN, idempotency_key=names.key),
    ),
    "MemoryService/GetSession": unary(
        lambda names: memory.GetSessionRequest(session_id=names.session),
        lambda names: memory.GetSessionRequest(session_id=names.fork),
    ),
    "MemoryService/ListSessions": unary(
        lambda names: memory.ListSessionsRequest(subject=names.subject),
        lambda names: memory.ListSessionsRequest(
            subject=names.subject, cursor=names.cursors["MemoryService/ListSessions"]
        ),
    ),
    "MemoryService/DeleteSession": unary(
        lambda names: memory.DeleteSessionRequest(session_id=names.session),
        lambda names: memory.DeleteSessionRequest(session_id=names.fork),
    ),
    "MemoryService/AppendMessages": unary(
        lambda names: memory.AppendMessagesRequest(session_id=names.session, messages=[HELLO]),
        lambda names: memory.AppendMessagesRequest(
            session_id=OWN, messages=[HELLO], idempotency_key=names.key
        ),
    ),
    "MemoryService/ListMessages": unary(
        lambda names: memory.ListMessagesRequest(session_id=names.session),
        lambda names: memory.ListMessagesRequest(session_id=names.fork),
    ),
    "MemoryService/BuildContext": unary(
        lambda names: memory.BuildContextRequest(
            session_id=names.session, budget_tokens=100, query=TEXT
        ),
        lambda names: memory.BuildContextRequest(session_id=OWN, budget_tokens=100, query=TEXT),
    ),
    "MemoryService/ForkSession": unary(
        lambda names: memory.ForkSessionRequest(
            session_id=names.session, at_turn=1, new_session_id=f"{OWN}-1"
        ),
        lambda names: memory.ForkSessionRequest(
            session_id=OWN, at_turn=1, new_session_id=names.fork, idempotency_key=names.key
        ),
    ),
    "MemoryService/ListForks": unary(
        lambda names: memory.ListForksRequest(session_id=names.session)
    ),
    "MemoryService/GetThread": unary(
        lambda names: memory.GetThreadRequest(session_id=names.session),
        lambda names: memory.GetThreadRequest(session_id=names.fork),
    ),
    "MemoryService/GetSessionStats": unary(
        lambda names: memory.GetSessionStatsRequest(session_id=names.session)
    ),
    # --- memory: memories ---
    "MemoryService/Remember": unary(
        lambda names: memory.RememberRequest(
            subject=names.subject,
            text=TEXT,
            kind=memory_pb2.MEMORY_KIND_FACT,
            sources=[{"session_id": names.session, "turn": 1}],
            idempotency_key=names.key,
        )
    ),
    "MemoryService/Recall": unary(
        lambda names: memory.RecallRequest(subject=names.subject, query=TEXT),
        lambda names: memory.RecallRequest(query=TEXT),
    ),
    "MemoryService/UpdateMemory": unary(
        lambda names: memory.UpdateMemoryRequest(memory_id=names.memory, text=TEXT),
        lambda names: memory.UpdateMemoryRequest(
            memory_id=names.memory, importance=0.5, idempotency_key=names.key
        ),
    ),
    "MemoryService/ListMemories": unary(
        lambda names: memory.ListMemoriesRequest(subject=names.subject, include_superseded=True),
        lambda names: memory.ListMemoriesRequest(
            subject=names.subject, cursor=names.cursors["MemoryService/ListMemories"]
        ),
    ),
    "MemoryService/Forget": unary(
        lambda names: memory.ForgetRequest(memory_ids={"ids": [names.memory]}),
        lambda names: memory.ForgetRequest(subject=names.subject),
        lambda names: memory.ForgetRequest(session_id=names.session, idempotency_key=names.key),
        lambda names: memory.ForgetRequest(filter={"subject": names.subject}),
    ),
    # --- retrieve: collections ---
    "RetrieveService/CreateCollection": unary(
        lambda names: retrieve.CreateCollectionRequest(name=names.collection),
        lambda names: retrieve.CreateCollectionRequest(name=f"{OWN}-2", idempotency_key=names.key),
    ),
    "RetrieveService/GetCollection": unary(
        lambda names: retrieve.GetCollectionRequest(name=names.collection),
        lambda names: retrieve.GetCollectionRequest(name=names.alias),
    ),
    "RetrieveService/ListCollections": unary(
        lambda names: retrieve.ListCollectionsRequest(),
        lambda names: retrieve.ListCollectionsRequest(
            cursor=names.cursors["RetrieveService/ListCollections"]
        ),
    ),
    "RetrieveService/UpdateCollection": unary(
        lambda names: retrieve.UpdateCollectionRequest(
            name=names.collection, description="mine", idempotency_key=names.key
        )
    ),
    "RetrieveService/DeleteCollection": unary(
        lambda names: retrieve.DeleteCollectionRequest(name=names.collection)
    ),
    "RetrieveService/SetAlias": unary(
        lambda names: retrieve.SetAliasRequest(alias=names.alias, collection=OWN),
        lambda names: retrieve.SetAliasRequest(
            alias=f"{OWN}-3", collection=names.collection, idempotency_key=names.key
        ),
    ),
    "RetrieveService/DeleteAlias": unary(
        lambda names: retrieve.DeleteAliasRequest(alias=names.alias)
    ),
    # --- retrieve: records ---
    "RetrieveService/Upsert": unary(
        lambda names: retrieve.UpsertRequest(collection=names.collection, records=[_record(names)]),
        lambda names: retrieve.UpsertRequest(
            collection=OWN, records=[_record(names)], idempotency_key=names.key
        ),
    ),
    "RetrieveService/UpsertStream": stream(
        lambda names: retrieve.UpsertStreamRequest(
            collection=names.collection, records=[_record(names)], idempotency_key=names.key
        )
    ),
    "RetrieveService/Delete": unary(
        lambda names: retrieve.DeleteRequest(collection=names.collection, ids=_record_ids(names)),
        lambda names: retrieve.DeleteRequest(
            collection=OWN, ids=_record_ids(names), idempotency_key=names.key
        ),
        lambda names: retrieve.DeleteRequest(collection=OWN, filter=_of_document(names)),
    ),
    "RetrieveService/Get": unary(
        lambda names: retrieve.GetRequest(collection=names.collection, ids=[names.record]),
        lambda names: retrieve.GetRequest(collection=OWN, ids=[names.record]),
    ),
    "RetrieveService/Scroll": unary(
        *_named(retrieve.ScrollRequest),
        lambda names: retrieve.ScrollRequest(
            collection=OWN, cursor=names.cursors["RetrieveService/Scroll"]
        ),
    ),
    "RetrieveService/Count": unary(
        *_named(retrieve.CountRequest),
        lambda names: retrieve.CountRequest(collection=OWN, filter=_of_document(names)),
    ),
    "RetrieveService/Search": unary(
        lambda names: retrieve.SearchRequest(collection=names.collection, text=TEXT),
        lambda names: retrieve.SearchRequest(collection=names.alias, text=TEXT),
        lambda names: retrieve.SearchRequest(collection=OWN, text=TEXT),
        lambda names: retrieve.SearchRequest(collection=OWN, record_id=names.record),
    ),
    "RetrieveService/SearchBatch": unary(
        lambda names: retrieve.SearchBatchRequest(
            collection=names.collection, searches=[retrieve.SearchRequest(text=TEXT)]
        )
    ),
    # --- retrieve: documents ---
    "RetrieveService/IngestDocument": stream(
        lambda names: retrieve.IngestDocumentRequest(
            header={
                "collection": names.collection,
                "document_id": names.document,
                "filename": "guide.txt",
            }
        ),
        lambda names: retrieve.IngestDocumentRequest(data=TEXT.encode()),
    ),
    "RetrieveService/ListDocuments": unary(
        *_named(retrieve.ListDocumentsRequest),
        lambda names: retrieve.ListDocumentsRequest(
            collection=OWN, cursor=names.cursors["RetrieveService/ListDocuments"]
        ),
    ),
    "RetrieveService/DeleteDocument": unary(
        lambda names: retrieve.DeleteDocumentRequest(
            collection=names.collection, document_id=names.document
        ),
        lambda names: retrieve.DeleteDocumentRequest(
            collection=OWN, document_id=names.document, idempotency_key=names.key
        ),
    ),
    # --- retrieve: snapshots ---
    "RetrieveService/CreateSnapshot": unary(
        lambda names: retrieve.CreateSnapshotRequest(
            collection=names.collection, idempotency_key=names.key
        )
    ),
    "RetrieveService/ListSnapshots": unary(
        *_named(retrieve.ListSnapshotsRequest),
        lambda names: retrieve.ListSnapshotsRequest(
            cursor=names.cursors["RetrieveService/ListSnapshots"]
        ),
    ),
    "RetrieveService/DeleteSnapshot": unary(
        lambda names: retrieve.DeleteSnapshotRequest(snapshot_id=names.snapshot)
    ),
    "RetrieveService/RestoreSnapshot": unary(
        lambda names: retrieve.RestoreSnapshotRequest(snapshot_id=names.snapshot),
        lambda names: retrieve.RestoreSnapshotRequest(
            snapshot_id=names.snapshot, collection=f"{OWN}-4"
        ),
    ),
    "RetrieveService/DownloadSnapshot": unary(
        lambda names: retrieve.DownloadSnapshotRequest(snapshot_id=names.snapshot)
    ),
    "RetrieveService/UploadSnapshot": stream(
        lambda names: retrieve.UploadSnapshotRequest(chunk={"file": names.snapshot})
    ),
}

READS = (
    "MemoryService/GetSession",
    "MemoryService/ListSessions",
    "MemoryService/ListMessages",
    "MemoryService/ListForks",
    "MemoryService/GetThread",
    "MemoryService/GetSessionStats",
    "MemoryService/Recall",
    "MemoryService/ListMemories",
    "RetrieveService/GetCollection",
    "RetrieveService/ListCollections",
    "RetrieveService/Get",
    "RetrieveService/Scroll",
    "RetrieveService/Count",
    "RetrieveService/Search",
    "RetrieveService/ListDocuments",
    "RetrieveService/ListSnapshots",
    "RetrieveService/DownloadSnapshot",
)
"""RPCs of which the first way succeeds for whoever has the names, and changes nothing."""
