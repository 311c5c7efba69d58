"""Tenants with something to hide."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from uuid import uuid4

import grpc
from google.protobuf.message import Message
from groundwire.v1 import admin_service_pb2 as admin
from groundwire.v1 import generate_service_pb2 as generate
from groundwire.v1 import generation_pb2 as generation
from groundwire.v1 import memory_pb2
from groundwire.v1 import memory_service_pb2 as memory
from groundwire.v1 import retrieve_service_pb2 as retrieve

from tests.e2e.isolation.calling import Caller
from tests.e2e.isolation.cases import HELLO, OWN, TEXT
from tests.e2e.isolation.names import Names


@dataclass(frozen=True)
class Shape:
    """How much a tenant has."""

    turns: int
    records: int
    is_answered: bool
    """A question was answered in the session."""
    is_superseded: bool
    """A memory has a new version."""


async def settle(caller: Caller, shape: Shape, secret: str, suffix: str = "") -> Names:
    """Store two of everything, with a secret in each text; what it is called."""
    suffix = suffix or uuid4().hex[:12]
    collection, session, key = f"handbook-{suffix}", f"chat-{suffix}", f"key-{suffix}"
    fork, document, alias = f"fork-{suffix}", f"guide-{suffix}", f"alias-{suffix}"
    text = f"{TEXT} {secret}"

    async def done(name: str, *requests: Message) -> Message:
        outcome = await caller.call(name, *requests)
        assert outcome.code is grpc.StatusCode.OK, f"{name}: {outcome.message}"
        return outcome.responses[-1]

    for name in (collection, f"{collection}-more"):
        request = retrieve.CreateCollectionRequest(
            name=name, description=secret, idempotency_key=key if name == collection else ""
        )
        await done("RetrieveService/CreateCollection", request)
    await done(
        "RetrieveService/SetAlias", retrieve.SetAliasRequest(alias=alias, collection=collection)
    )
    records = [
        {"id": f"record-{number}-{suffix}", "text": text, "metadata": {"document": document}}
        for number in range(shape.records + 1)
    ]
    await done(
        "RetrieveService/Upsert",
        retrieve.UpsertRequest(collection=collection, records=records, idempotency_key=key),
    )
    for name in (document, f"{document}-more"):
        header = {"collection": collection, "document_id": name, "filename": "guide.txt"}
        await done(
            "RetrieveService/IngestDocument",
            retrieve.IngestDocumentRequest(header=header),
            retrieve.IngestDocumentRequest(data=f"{name}. {text}".encode()),
        )
    snapshots = [
        await done(
            "RetrieveService/CreateSnapshot",
            retrieve.CreateSnapshotRequest(collection=name, idempotency_key=key_),
        )
        for name, key_ in ((collection, key), (f"{collection}-more", ""))
    ]
    for name in (session, f"{session}-more"):
        await done(
            "MemoryService/CreateSession",
            memory.CreateSessionRequest(
                session_id=name, title=secret, idempotency_key=key if name == session else ""
            ),
        )
    said = memory.NewMessage(role=generation.ROLE_USER, content=text)
    await done(
        "MemoryService/AppendMessages",
        memory.AppendMessagesRequest(
            session_id=session, messages=[said] * shape.turns, idempotency_key=key
        ),
    )
    if shape.is_answered:
        asked = generate.GenerateRequest(
            prompt=text, session_id=session, grounding={"collection": collection}
        )
        await done("GenerateService/Complete", generate.CompleteRequest(request=asked))
    await done(
        "MemoryService/ForkSession",
        memory.ForkSessionRequest(session_id=session, at_turn=1, new_session_id=fork),
    )
    remembered = [
        await done(
            "MemoryService/Remember",
            memory.RememberRequest(
                text=text, kind=memory_pb2.MEMORY_KIND_FACT, idempotency_key=key_
            ),
        )
        for key_ in (key, "")
    ]
    memory_id = remembered[0].memory.id
    if shape.is_superseded:
        await done(
            "MemoryService/UpdateMemory",
            memory.UpdateMemoryRequest(memory_id=memory_id, text=f"{text} Still."),
        )
    return Names(
        collection=collection,
        alias=alias,
        record=f"record-0-{suffix}",
        document=document,
        snapshot=snapshots[0].snapshot.id,
        session=session,
        fork=fork,
        memory=memory_id,
        subject=caller.subject,
        request=f"request-{suffix}",
        key=key,
        cursors=await _cursors(done, collection),
    )


async def _cursors(done: Callable[..., object], collection: str) -> dict[str, str]:
    first_pages: Mapping[str, Message] = {
        "AdminService/GetUsage": admin.GetUsageRequest(page_size=1),
        "MemoryService/ListSessions": memory.ListSessionsRequest(page_size=1),
        "MemoryService/ListMemories": memory.ListMemoriesRequest(page_size=1),
        "RetrieveService/ListCollections": retrieve.ListCollectionsRequest(page_size=1),
        "RetrieveService/Scroll": retrieve.ScrollRequest(collection=collection, page_size=1),
        "RetrieveService/ListDocuments": retrieve.ListDocumentsRequest(
            collection=collection, page_size=1
        ),
        "RetrieveService/ListSnapshots": retrieve.ListSnapshotsRequest(page_size=1),
    }
    found = {name: (await done(name, request)).next_cursor for name, request in first_pages.items()}
    assert all(found.values()), found
    return found


async def take_some(caller: Caller) -> None:
    """What one who tries may have of its own."""
    for name, request in (
        ("RetrieveService/CreateCollection", retrieve.CreateCollectionRequest(name=OWN)),
        (
            "RetrieveService/Upsert",
            retrieve.UpsertRequest(collection=OWN, records=[{"id": "own", "text": TEXT}]),
        ),
        ("MemoryService/CreateSession", memory.CreateSessionRequest(session_id=OWN)),
        (
            "MemoryService/AppendMessages",
            memory.AppendMessagesRequest(session_id=OWN, messages=[HELLO]),
        ),
    ):
        outcome = await caller.call(name, request)
        assert outcome.code is grpc.StatusCode.OK, f"{name}: {outcome.message}"
