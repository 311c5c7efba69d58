from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import grpc
import pytest
from groundwire.v1 import retrieve_service_pb2 as pb
from groundwire_server.embedders.embedder import Embeddings, EmbedKind
from groundwire_server.services import documents

from tests.patience import PATIENCE_S, longer_each_time
from tests.unit.retrieve.letters import LettersEmbedder
from tests.unit.retrieve.serving import (
    MAX_DOCUMENT_BYTES,
    Served,
    ids_of,
    ingest_requests,
    messages,
    record,
    refusal,
    serving,
)

INVALID = grpc.StatusCode.INVALID_ARGUMENT

GUIDE = "\n\n".join(
    f"Paragraph {number} says that item {number} is kept in drawer {number * 7}."
    for number in range(30)
).encode()
SHORT = b"A short text about the telescope."
OTHER = b"Another text, about the kitchen."


@pytest.fixture
async def served(tmp_path: Path, embedder: LettersEmbedder):
    async with serving(tmp_path, embedder) as served:
        await served.create()
        yield served


def stages(events: Sequence[pb.IngestDocumentResponse]) -> list[str]:
    return [pb.IngestStage.Name(event.progress.stage)[13:] for event in events[:-1]]


async def chunks_of(served: Served, document_id: str) -> list:
    request = pb.ScrollRequest(collection="c", page_size=1000)
    records = (await served.stub.Scroll(request)).records
    mine = [found for found in records if found.document_id == document_id]
    return sorted(mine, key=lambda found: found.position.ordinal)


async def test_an_ingest_reports_every_stage_and_then_the_result(served: Served) -> None:
    events = await served.ingest(GUIDE, metadata={"shelf": "A"})
    assert stages(events) == ["RECEIVED", "PARSED", "CHUNKED", "EMBEDDED", "STORED", "READY"]
    received, parsed, chunked = (event.progress for event in events[:3])
    assert (received.done, received.total) == (len(GUIDE), len(GUIDE))
    assert (parsed.done, parsed.total) == (1, 1)
    result = events[-1].result
    assert (
        chunked.done == chunked.total == result.chunks == len(await chunks_of(served, "guide.txt"))
    )
    assert (result.document_id, result.version) == ("guide.txt", 1)
    assert (result.replaced, result.skipped) == (False, False)
    document = result.document
    assert document.filename == "guide.txt"
    assert document.mime_type == "text/plain"
    assert document.title
    assert document.content_sha256 == hashlib.sha256(GUIDE).hexdigest()
    assert document.chunk_count == result.chunks
    assert document.metadata["shelf"] == "A"
    assert document.update_time.seconds > 0


async def test_embedding_is_reported_as_it_goes(served: Served) -> None:
    long = b"\n\n".join(b"Word " * 30 + b"%d." % number for number in range(200))
    events = await served.ingest(long)
    done = [
        event.progress.done for event in events if event.progress.stage == pb.INGEST_STAGE_EMBEDDED
    ]
    assert len(done) > 2
    assert done == sorted(done)
    assert done[-1] == events[-1].result.chunks


async def test_chunks_say_where_they_stand_and_carry_the_metadata(served: Served) -> None:
    await served.ingest(GUIDE, document_id="d", metadata={"shelf": "A"})
    chunks = await chunks_of(served, "d")
    assert [chunk.id for chunk in chunks] == [f"d#{number}" for number in range(len(chunks))]
    text = GUIDE.decode()
    for number, chunk in enumerate(chunks):
        assert chunk.position.ordinal == number
        assert text[chunk.position.start : chunk.position.end] == chunk.text
        assert 0 < chunk.position.token_count <= 32
        assert not chunk.position.HasField("page")
        assert dict(chunk.metadata) == {"shelf": "A"}


async def test_what_was_ingested_is_found(served: Served) -> None:
    result = await served.result(GUIDE)
    seen = pb.Consistency(at_least_sequence=result.sequence)
    request = pb.SearchRequest(collection="c", text="drawer 203", consistency=seen)
    found = await served.stub.Search(request)
    assert "drawer 203" in found.hits[0].record.text


async def test_markdown_headings_stand_above_their_chunks(served: Served) -> None:
    text = b"# Guide\n\nIntro text.\n\n## Dome\n\nThe dome opens at dusk.\n"
    result = await served.result(text, filename="guide.md")
    assert result.document.title == "Guide"
    (dome,) = [c for c in await chunks_of(served, "guide.md") if "dusk" in c.text]
    assert list(dome.position.headings) == ["Guide", "Dome"]


async def test_a_new_version_replaces_the_old_one(served: Served) -> None:
    first = await served.result(GUIDE, document_id="d")
    second = await served.result(SHORT, document_id="d")
    assert (second.version, second.replaced) == (2, True)
    assert second.sequence > first.sequence
    (chunk,) = await chunks_of(served, "d")
    assert chunk.text == SHORT.decode()
    assert await served.count() == 1


async def test_the_same_content_is_skipped(served: Served, embedder: LettersEmbedder) -> None:
    first = await served.result(GUIDE)
    embedder.calls.clear()
    events = await served.ingest(GUIDE)
    assert stages(events) == ["RECEIVED"]
    again = events[-1].result
    assert (again.skipped, again.replaced, again.version) == (True, False, 1)
    assert (again.chunks, again.sequence) == (first.chunks, first.sequence)
    assert again.document == first.document
    assert embedder.calls == []


@pytest.mark.parametrize(
    "change",
    [
        {"force": True},
        {"chunking": pb.Chunking(max_tokens=16)},
        {"chunking": pb.Chunking(overlap_tokens=0)},
        {"metadata": {"shelf": "B"}},
        {"filename": "renamed.txt", "document_id": "guide.txt"},
    ],
)
async def test_the_same_content_to_be_stored_differently_is_not_skipped(
    served: Served, change: dict
) -> None:
    await served.ingest(GUIDE)
    again = await served.result(GUIDE, **change)
    assert (again.skipped, again.replaced, again.version) == (False, True, 2)


async def test_a_document_that_lost_a_chunk_is_not_skipped(served: Served) -> None:
    first = await served.result(GUIDE)
    ids = pb.RecordIds(ids=["guide.txt#0"])
    await served.stub.Delete(pb.DeleteRequest(collection="c", ids=ids))
    again = await served.result(GUIDE)
    assert not again.skipped
    assert await served.count() == first.chunks


# --- what is refused ---

HEADER = pb.IngestDocumentRequest(header=pb.IngestHeader(collection="c", filename="a.txt"))
DATA = pb.IngestDocumentRequest(data=b"text")


@pytest.mark.parametrize(
    ("requests", "field"),
    [
        ([], "header"),
        ([DATA], "header"),
        ([pb.IngestDocumentRequest()], "header"),
        ([HEADER, DATA, HEADER], "data"),
        ([HEADER, pb.IngestDocumentRequest()], "data"),
    ],
)
async def test_messages_out_of_order_are_refused(
    served: Served, requests: list[pb.IngestDocumentRequest], field: str
) -> None:
    refused = await refusal(served.stub.IngestDocument(messages(*requests)))
    assert (refused.code, refused.fields) == (INVALID, (field,))


@pytest.mark.parametrize(
    ("header", "field"),
    [
        ({"filename": ""}, "header.filename"),
        ({"filename": "a/b.txt"}, "header.filename"),
        ({"filename": "a\\b.txt"}, "header.filename"),
        ({"filename": "../b.txt"}, "header.filename"),
        ({"filename": ".."}, "header.filename"),
        ({"filename": "a\0b"}, "header.filename"),
        ({"document_id": "x" * 513}, "header.document_id"),
        ({"document_id": "a\nb"}, "header.document_id"),
        ({"mime_type": "image/png"}, "header.mime_type"),
        ({"metadata": {"n": float("nan")}}, "header.metadata.n"),
        ({"chunking": pb.Chunking(max_tokens=15)}, "header.chunking.max_tokens"),
        ({"chunking": pb.Chunking(max_tokens=255)}, "header.chunking.max_tokens"),
        (
            {"chunking": pb.Chunking(max_tokens=16, overlap_tokens=8)},
            "header.chunking.overlap_tokens",
        ),
    ],
)
async def test_a_wrong_header_is_refused_before_any_data(
    served: Served, header: dict, field: str
) -> None:
    refused = await refusal(served.ingest(SHORT, **header))
    assert (refused.code, refused.fields) == (INVALID, (field,))
    assert await served.count() == 0


async def test_a_client_that_is_still_sending_is_told_why_it_was_refused(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    # However long it stands still, it is still sending.
    monkeypatch.setattr(documents, "PAUSE_S", PATIENCE_S)
    for _ in range(20):
        requests = ingest_requests(bytes(2**20), piece=2**14, collection="c", filename="a/b")
        refused = await refusal(served.stub.IngestDocument(requests))
        assert (refused.code, refused.fields) == (INVALID, ("header.filename",))


async def test_a_client_that_sends_no_more_is_told_at_once(served: Served) -> None:
    async def header_alone():
        yield pb.IngestDocumentRequest(header=pb.IngestHeader(collection="c", filename="a/b"))
        await asyncio.Event().wait()

    refused = await asyncio.wait_for(
        refusal(served.stub.IngestDocument(header_alone())), PATIENCE_S
    )
    assert (refused.code, refused.fields) == (INVALID, ("header.filename",))


@pytest.mark.parametrize(
    ("data", "header"),
    [
        (b"", {}),
        (b" \n\t ", {}),
        (b"%PDF-1.7 no more", {"filename": "a.pdf"}),
        (SHORT, {"mime_type": "application/pdf"}),
        (SHORT + b"\xff\xfe\x80", {}),
        (b"x" * (MAX_DOCUMENT_BYTES + 1), {}),
    ],
    ids=["empty", "white space", "truncated PDF", "wrong type", "not UTF-8", "too large"],
)
async def test_a_file_that_cannot_be_read_leaves_the_old_version(
    served: Served, data: bytes, header: dict
) -> None:
    await served.ingest(SHORT, document_id="d")
    refused = await refusal(served.ingest(data, document_id="d", **header))
    assert refused.code == INVALID
    (chunk,) = await chunks_of(served, "d")
    assert chunk.text == SHORT.decode()


async def test_an_unknown_collection_is_not_found(served: Served) -> None:
    refused = await refusal(served.ingest(SHORT, collection="no"))
    assert refused.code == grpc.StatusCode.NOT_FOUND


async def test_a_collection_without_embedder_takes_no_files(served: Served) -> None:
    await served.create_plain("plain")
    refused = await refusal(served.ingest(SHORT, collection="plain"))
    assert (refused.code, refused.reason) == (grpc.StatusCode.FAILED_PRECONDITION, "NO_EMBEDDER")


# --- a collection that is created with its first document ---


async def names(served: Served) -> list[str]:
    listed = await served.stub.ListCollections(pb.ListCollectionsRequest())
    return [collection.name for collection in listed.collections]


async def test_a_collection_is_created_with_its_first_document(served: Served) -> None:
    for filename in ("a.txt", "b.txt"):
        await served.ingest(SHORT, collection="new", create_collection=True, filename=filename)
    assert await served.count("new") == 2


@pytest.mark.parametrize(
    ("data", "collection", "field"),
    [(b"%PDF-1.7 no more", "new", "data"), (SHORT, "n/w", "header.collection")],
    ids=["a file that cannot be read", "a name that none may have"],
)
async def test_an_ingest_that_is_refused_creates_no_collection(
    served: Served, data: bytes, collection: str, field: str
) -> None:
    refused = await refusal(
        served.ingest(data, collection=collection, create_collection=True, filename="a.pdf")
    )
    assert (refused.code, refused.fields) == (INVALID, (field,))
    assert await names(served) == ["c"]


async def test_a_collection_that_is_created_meanwhile_gets_the_document(stalling) -> None:
    served, embedder = stalling
    ingest = asyncio.create_task(served.result(OTHER, collection="new", create_collection=True))
    await asyncio.wait_for(embedder.stalled.wait(), PATIENCE_S)
    assert await names(served) == ["c"]
    await served.create("new")
    embedder.go_on.set()
    assert (await ingest).version == 1
    assert await served.count("new") == 1


async def test_a_collection_of_another_kind_that_is_created_meanwhile_gets_nothing(
    stalling,
) -> None:
    served, embedder = stalling
    ingest = served.ingest(OTHER, collection="new", create_collection=True)
    refused = asyncio.create_task(refusal(ingest))
    await asyncio.wait_for(embedder.stalled.wait(), PATIENCE_S)
    await served.create_plain("new")
    embedder.go_on.set()
    assert (await refused).reason == "NO_EMBEDDER"
    assert await served.count("new") == 0


# --- disconnects and concurrency ---


class Stalling(LettersEmbedder):
    """Waits, while it is told to, and says when it does."""

    def __init__(self) -> None:
        super().__init__()
        self.stall = False
        self.stalled = asyncio.Event()
        self.left = asyncio.Event()
        self.go_on = asyncio.Event()

    async def embed(self, texts: Sequence[str], kind: EmbedKind, **options: Any) -> Embeddings:
        if self.stall:
            self.stalled.set()
            try:
                await self.go_on.wait()
            finally:
                self.left.set()
        return await super().embed(texts, kind, **options)


@pytest.fixture
async def stalling(tmp_path: Path):
    embedder = Stalling()
    async with serving(tmp_path, embedder) as served:
        await served.create()
        await served.ingest(SHORT, document_id="d")
        embedder.stall = True
        yield served, embedder


async def test_a_client_that_leaves_before_it_has_sent_all_changes_nothing(
    served: Served,
) -> None:
    await served.ingest(SHORT, document_id="d")
    for _ in range(20):
        sent = asyncio.Event()
        call = served.stub.IngestDocument(_never_closed(sent))
        await asyncio.wait_for(sent.wait(), PATIENCE_S)
        call.cancel()
    # Returns when every call has ended, one way or another.
    await served.server.stop(PATIENCE_S)
    document = served.index.collection("default", "c").document("d")
    assert document is not None
    assert document.version == 1


async def _never_closed(sent: asyncio.Event):
    """All of a file, but not the end that says so."""
    async for request in ingest_requests(OTHER, collection="c", document_id="d", filename="a"):
        yield request
    sent.set()
    await asyncio.Event().wait()


async def test_a_client_that_leaves_while_texts_are_embedded_changes_nothing(stalling) -> None:
    served, embedder = stalling
    requests = ingest_requests(OTHER, collection="c", document_id="d", filename="a.txt")
    call = served.stub.IngestDocument(requests)
    await asyncio.wait_for(embedder.stalled.wait(), PATIENCE_S)
    call.cancel()
    await asyncio.wait_for(embedder.left.wait(), PATIENCE_S)
    embedder.stall = False
    (chunk,) = await chunks_of(served, "d")
    assert chunk.text == SHORT.decode()
    assert (await served.result(OTHER, document_id="d")).version == 2


async def test_ingests_of_one_document_take_turns_and_others_do_not_wait(stalling) -> None:
    served, embedder = stalling
    first = asyncio.create_task(served.result(OTHER, document_id="d"))
    await asyncio.wait_for(embedder.stalled.wait(), PATIENCE_S)
    embedder.stall = False
    second = asyncio.create_task(served.result(OTHER, document_id="d"))
    other = await served.result(OTHER, document_id="e")
    assert (other.version, second.done()) == (1, False)
    embedder.go_on.set()
    assert [(await first).version, (await second).skipped] == [2, True]


async def test_the_deadline_ends_an_ingest_and_the_old_version_stays(stalling) -> None:
    served, embedder = stalling
    for deadline_s in longer_each_time(0.3):
        requests = ingest_requests(OTHER, collection="c", document_id="d", filename="a.txt")
        refused = None
        try:
            async for _ in served.stub.IngestDocument(requests, timeout=deadline_s):
                pass
        except grpc.aio.AioRpcError as error:
            refused = error.code()
        assert refused == grpc.StatusCode.DEADLINE_EXCEEDED
        if embedder.stalled.is_set():  # Else it was over before it came as far as that.
            break
    await asyncio.wait_for(embedder.left.wait(), PATIENCE_S)
    assert (await chunks_of(served, "d"))[0].text == SHORT.decode()


async def test_a_search_sees_one_version_or_the_other_never_both_or_neither(
    served: Served,
) -> None:
    await served.ingest(b"The telescope is old.", document_id="d")
    done = asyncio.Event()
    seen: set[tuple[str, ...]] = set()

    async def search() -> None:
        while not done.is_set():
            request = pb.SearchRequest(
                collection="c", text="telescope", mode=pb.SEARCH_MODE_LEXICAL
            )
            hits = (await served.stub.Search(request)).hits
            seen.add(tuple(hit.record.text for hit in hits))

    searching = asyncio.create_task(search())
    for number in range(10):
        age = "new" if number % 2 else "old"
        await served.ingest(f"The telescope is {age}.".encode(), document_id="d", force=True)
    done.set()
    await searching
    assert seen <= {("The telescope is old.",), ("The telescope is new.",)}


# --- documents ---


async def test_documents_are_listed_by_id_page_by_page(served: Served) -> None:
    for document_id in ("b", "c", "a"):
        await served.ingest(SHORT, document_id=document_id)
    first = await served.stub.ListDocuments(pb.ListDocumentsRequest(collection="c", page_size=2))
    assert [document.id for document in first.documents] == ["a", "b"]
    rest = await served.stub.ListDocuments(
        pb.ListDocumentsRequest(collection="c", page_size=2, cursor=first.next_cursor)
    )
    assert [document.id for document in rest.documents] == ["c"]
    assert rest.next_cursor == ""


async def test_a_document_is_deleted_with_its_chunks_and_no_others(served: Served) -> None:
    result = await served.result(GUIDE, document_id="d")
    await served.ingest(SHORT, document_id="e")
    await served.upsert(record("mine", "my own"))
    deleted = await served.stub.DeleteDocument(
        pb.DeleteDocumentRequest(collection="c", document_id="d")
    )
    assert deleted.chunks == result.chunks
    assert await served.count() == 2
    gone = pb.DeleteDocumentRequest(collection="c", document_id="d")
    assert (await refusal(served.stub.DeleteDocument(gone))).code == grpc.StatusCode.NOT_FOUND


@pytest.mark.parametrize(
    ("fields", "field"),
    [({"document_id": ""}, "document_id"), ({"document_id": "x" * 513}, "document_id")],
)
async def test_a_wrong_document_id_is_refused(served: Served, fields: dict, field: str) -> None:
    request = pb.DeleteDocumentRequest(collection="c", **fields)
    refused = await refusal(served.stub.DeleteDocument(request))
    assert (refused.code, refused.fields) == (INVALID, (field,))


async def test_the_title_of_a_passage_is_that_of_its_document(served: Served) -> None:
    await served.ingest(b"# The Dome\n\nIt opens at dusk.", filename="dome.md")
    found = await served.stub.Search(pb.SearchRequest(collection="c", text="dusk"))
    assert ids_of(found.hits)[0] == "dome.md#0"
    documents = await served.stub.ListDocuments(pb.ListDocumentsRequest(collection="c"))
    assert documents.documents[0].title == "The Dome"
