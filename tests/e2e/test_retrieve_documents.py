"""Files of every kind, through a whole server with the real embedder, and a crash between."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest
from groundwire.v1 import retrieve_service_pb2 as pb
from groundwire.v1.retrieve_service_pb2_grpc import RetrieveServiceStub

from tests.e2e.serving import ServerProcess

HANDBOOK = Path(__file__).parents[2] / "samples" / "handbook"
METADATA = (("groundwire-tenant", "documents"),)
TIMEOUT_S = 120.0
PDF = "application/pdf"
DOCX = "application/vnd.openxmlformats-officedocument.wordprocessingml.document"


def ingest(stub: RetrieveServiceStub, data: bytes, filename: str) -> Iterator[Any]:
    """The events of an ingest, as they come."""
    header = pb.IngestHeader(collection="handbook", filename=filename)
    requests = iter([pb.IngestDocumentRequest(header=header), pb.IngestDocumentRequest(data=data)])
    return stub.IngestDocument(requests, metadata=METADATA, timeout=TIMEOUT_S)


def send(stub: RetrieveServiceStub, method: str, **fields: Any) -> Any:
    request = getattr(pb, f"{method}Request")(**fields)
    return getattr(stub, method)(request, metadata=METADATA, timeout=TIMEOUT_S)


@pytest.fixture(scope="module")
def handbook(server: ServerProcess) -> Iterator[RetrieveServiceStub]:
    with grpc.insecure_channel(server.address) as channel:
        stub = RetrieveServiceStub(channel)
        send(stub, "CreateCollection", name="handbook")
        for path in sorted(HANDBOOK.iterdir()):
            *_, last = ingest(stub, path.read_bytes(), path.name)
            assert last.result.chunks > 0
        yield stub


def test_every_kind_of_file_is_read(handbook: RetrieveServiceStub) -> None:
    documents = send(handbook, "ListDocuments", collection="handbook").documents
    assert [document.id for document in documents] == sorted(
        path.name for path in HANDBOOK.iterdir()
    )
    assert {document.mime_type for document in documents} == {
        PDF,
        DOCX,
        "text/html",
        "text/markdown",
    }
    for document in documents:
        assert document.title
        assert document.title != document.filename
        assert (document.page_count > 0) == (document.mime_type == PDF)


def test_chunks_are_counted_and_know_their_page(handbook: RetrieveServiceStub) -> None:
    documents = send(handbook, "ListDocuments", collection="handbook").documents
    records = send(handbook, "Scroll", collection="handbook", page_size=1000).records
    kinds = {document.id: document for document in documents}
    assert len(records) == sum(document.chunk_count for document in documents)
    for record in records:
        position, document = record.position, kinds[record.document_id]
        assert position.end - position.start == len(record.text)
        assert position.end <= document.character_count
        assert 0 < position.token_count <= 192
        if document.mime_type == PDF:
            assert 1 <= position.page <= position.last_page <= document.page_count


@pytest.mark.parametrize("mode", ["DENSE", "LEXICAL", "HYBRID"])
def test_a_question_finds_the_passage_that_answers_it(
    handbook: RetrieveServiceStub, mode: str
) -> None:
    found = send(
        handbook,
        "Search",
        collection="handbook",
        text="How do I apply for observing time with a proposal?",
        mode=pb.SearchMode.Value(f"SEARCH_MODE_{mode}"),
        top_k=3,
    )
    assert "03-observing-time.docx" in {hit.record.document_id for hit in found.hits}


def test_the_same_folder_again_changes_nothing(handbook: RetrieveServiceStub) -> None:
    before = send(handbook, "GetCollection", name="handbook").collection.sequence
    for path in sorted(HANDBOOK.iterdir()):
        *_, last = ingest(handbook, path.read_bytes(), path.name)
        assert last.result.skipped
    assert send(handbook, "GetCollection", name="handbook").collection.sequence == before


def test_a_crash_in_the_middle_of_an_ingest_leaves_the_old_version(tmp_path: Path) -> None:
    old = b"The dome opens at dusk."
    new = b"\n\n".join(b"The dome opens at %d minutes past dusk." % n for n in range(400))
    server = ServerProcess(tmp_path / "data")
    with server, grpc.insecure_channel(server.address) as channel:
        stub = RetrieveServiceStub(channel)
        send(stub, "CreateCollection", name="handbook")
        list(ingest(stub, old, "dome.txt"))
        for event in ingest(stub, new, "dome.txt"):
            assert event.progress.stage < pb.INGEST_STAGE_STORED
            if event.progress.stage == pb.INGEST_STAGE_EMBEDDED:
                break
        server.kill()
    with server, grpc.insecure_channel(server.address) as channel:
        stub = RetrieveServiceStub(channel)
        (record,) = send(stub, "Scroll", collection="handbook").records
        assert record.text == old.decode()
        (document,) = send(stub, "ListDocuments", collection="handbook").documents
        assert document.version == 1
        assert list((tmp_path / "data" / "spool").iterdir()) == []
