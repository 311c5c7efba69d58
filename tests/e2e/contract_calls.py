"""One small request for every RPC of the contract, in an order in which they succeed.

A newcomer can read it as "what does a call look like"; bytes are in base64, as JSON has them.
"""

from __future__ import annotations

import base64
from dataclasses import dataclass
from typing import Any

COLLECTION = "contract"
SESSION = "contract"
GUIDE = base64.b64encode(b"The dome opens at dusk. The kitchen closes at nine.").decode()


@dataclass(frozen=True, slots=True)
class Call:
    """A method, its request messages as JSON objects, and something its answer must hold."""

    method: str
    messages: tuple[dict[str, Any], ...]
    answer: str


def call(method: str, *messages: dict[str, Any], answer: str = "") -> Call:
    return Call(f"groundwire.v1.{method}", messages or ({},), answer)


def retrieve(method: str, answer: str = "", **fields: Any) -> Call:
    return call(f"RetrieveService/{method}", fields, answer=answer)


def memory(method: str, answer: str = "", **fields: Any) -> Call:
    return call(f"MemoryService/{method}", fields, answer=answer)


GROUNDED = {"prompt": "When does the dome open?", "grounding": {"collection": COLLECTION}}

WORKING: tuple[Call, ...] = (
    call("AdminService/GetServerInfo", answer="all-MiniLM-L6-v2"),
    call("AdminService/ListModels", answer="extractive"),
    call("AdminService/GetLoad", answer="residentBytes"),
    call(
        "EmbedService/Embed",
        {"inputs": [{"text": "dusk"}], "kind": "EMBED_KIND_QUERY"},
        answer="f32le",
    ),
    call("EmbedService/EmbedStream", {"id": "dusk-1", "input": {"text": "dusk"}}, answer="dusk-1"),
    retrieve("CreateCollection", name=COLLECTION, answer="METRIC_COSINE"),
    retrieve("GetCollection", name=COLLECTION, answer="all-MiniLM-L6-v2"),
    retrieve("UpdateCollection", name=COLLECTION, description="A dome", answer="A dome"),
    retrieve("SetAlias", alias="current", collection=COLLECTION, answer="current"),
    retrieve("DeleteAlias", alias="current", answer=COLLECTION),
    retrieve("ListCollections", answer=COLLECTION),
    retrieve(
        "Upsert",
        collection=COLLECTION,
        records=[{"id": "a", "text": "The stars are out.", "metadata": {"year": 1999}}],
        answer="sequence",
    ),
    call(
        "RetrieveService/UpsertStream",
        {"collection": COLLECTION, "records": [{"id": "b", "text": "The moon is up."}]},
        {"records": [{"id": "c", "text": "The sun is down."}]},
        answer='"count": "2"',
    ),
    call(
        "RetrieveService/IngestDocument",
        {"header": {"collection": COLLECTION, "filename": "guide.txt"}},
        {"data": GUIDE},
        answer="INGEST_STAGE_READY",
    ),
    retrieve("Get", collection=COLLECTION, ids=["a"], answer="The stars are out."),
    retrieve("Scroll", collection=COLLECTION, answer="guide.txt#0"),
    retrieve(
        "Count",
        collection=COLLECTION,
        filter={"condition": {"field": "year", "gte": 1999}},
        answer='"count": "1"',
    ),
    retrieve("Search", collection=COLLECTION, text="When does the dome open?", answer="dusk"),
    retrieve(
        "SearchBatch",
        collection=COLLECTION,
        searches=[{"text": "dome"}, {"recordId": "a"}],
        answer="guide.txt#0",
    ),
    retrieve("CreateSnapshot", collection=COLLECTION, answer="sha256"),
    retrieve("ListSnapshots", answer=COLLECTION),
    retrieve("ListDocuments", collection=COLLECTION, answer="guide.txt"),
    call("GenerateService/CountTokens", {"text": "dusk"}, answer="tokenCount"),
    call("GenerateService/Generate", GROUNDED, answer="dusk"),
    call("GenerateService/Complete", {"request": GROUNDED}, answer="dusk"),
    call("AdminService/GetCacheStats", answer='"cache": "embedding"'),
    call("AdminService/ClearCache", answer="entries"),
    memory("CreateSession", sessionId=SESSION, answer=SESSION),
    memory("GetSession", sessionId=SESSION, answer=SESSION),
    memory(
        "AppendMessages",
        sessionId=SESSION,
        messages=[{"role": "ROLE_USER", "content": "Hello"}] * 2,
        answer='"head": "2"',
    ),
    memory("ListMessages", sessionId=SESSION, answer="Hello"),
    memory("BuildContext", sessionId=SESSION, budgetTokens=100, answer="Hello"),
    memory(
        "Remember", text="Works at the harbour", kind="MEMORY_KIND_FACT", answer="MEMORY_KIND_FACT"
    ),
    memory("Recall", query="Where does she work?", answer="harbour"),
    memory("ListMemories", answer="harbour"),
    memory("Forget", subject="default", answer="auditId"),
    memory("ListSessions", answer=SESSION),
    memory("ForkSession", sessionId=SESSION, atTurn=1, answer='"turn": "1"'),
    memory("ListForks", sessionId=SESSION, answer=SESSION),
    memory("GetThread", sessionId=SESSION, answer=SESSION),
    memory("GetSessionStats", sessionId=SESSION, answer='"turns": "2"'),
    memory("DeleteSession", sessionId=SESSION, answer='"turns": "1"'),
    retrieve("Delete", collection=COLLECTION, ids={"ids": ["a"]}, answer='"count": "1"'),
    retrieve(
        "DeleteDocument", collection=COLLECTION, documentId="guide.txt", answer='"chunks": "1"'
    ),
    retrieve("DeleteCollection", name=COLLECTION),
    call("AdminService/GetUsage", answer='"model": "extractive"'),
)

# Nothing runs, and nothing is kept, under this id.
NOT_FOUND: tuple[Call, ...] = (
    call("AdminService/Abort", {"requestId": "none"}),
    memory("UpdateMemory", memoryId="none", text="Works at sea"),
    retrieve("RestoreSnapshot", snapshotId="none"),
    retrieve("DownloadSnapshot", snapshotId="none"),
    retrieve("DeleteSnapshot", snapshotId="none"),
)

# A snapshot begins with its manifest.
INVALID: tuple[Call, ...] = (
    call("RetrieveService/UploadSnapshot", {"chunk": {"file": "collection.db"}}),
)

EVERY = (*WORKING, *NOT_FOUND, *INVALID)
