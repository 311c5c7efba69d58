"""What people send by mistake: the right status, a sentence that helps, and nothing lost."""

from __future__ import annotations

import io
import math
import threading
import zipfile
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import grpc
import pytest
from google.protobuf import json_format
from google.rpc import error_details_pb2, status_pb2
from groundwire.v1 import filter_pb2, record_pb2, vector_pb2
from groundwire.v1 import retrieve_service_pb2 as pb
from groundwire.v1.retrieve_service_pb2_grpc import RetrieveServiceStub
from reportlab.lib.pdfencrypt import StandardEncryption
from reportlab.pdfgen.canvas import Canvas

from tests.e2e.serving import ServerProcess

METADATA = (("groundwire-tenant", "bad-input"),)
TIMEOUT_S = 60.0
DIMENSION = 384
MEGABYTE = "word " * 200_000
TEN_MEGABYTES = MEGABYTE * 10
KEPT = "The dome opens at dusk."

Code = grpc.StatusCode


@dataclass(frozen=True)
class Client:
    """Calls one collection that holds one record and one document."""

    stub: RetrieveServiceStub

    def fill(self) -> None:
        self.send("CreateCollection", pb.CreateCollectionRequest(name="c"))
        self.upsert(record_pb2.Record(id="kept", text=KEPT))
        self.ingest(KEPT.encode(), filename="kept.txt")

    def send(self, method: str, request: Any) -> Any:
        return getattr(self.stub, method)(request, metadata=METADATA, timeout=TIMEOUT_S)

    def upsert(self, *records: record_pb2.Record) -> None:
        self.send("Upsert", pb.UpsertRequest(collection="c", records=records))

    def ingest(self, data: bytes, *, piece: int = 2**20, **header: Any) -> pb.IngestResult:
        named = {"collection": "c", "filename": "kept.txt", **header}
        requests = file_requests(data, piece=piece, **named)
        *_, last = self.stub.IngestDocument(requests, metadata=METADATA, timeout=TIMEOUT_S)
        return last.result

    def state(self) -> tuple[Any, ...]:
        """Everything that must not change when something is refused."""
        records = self.send("Scroll", pb.ScrollRequest(collection="c", include=ALL)).records
        documents = self.send("ListDocuments", pb.ListDocumentsRequest(collection="c")).documents
        found = self.send("Search", pb.SearchRequest(collection="c", text="dusk")).hits
        assert {hit.record.text for hit in found} == {KEPT}
        return list(records), list(documents)


ALL = pb.Include(vector=True)


def file_requests(
    data: bytes, *, piece: int = 2**20, **header: Any
) -> Iterator[pb.IngestDocumentRequest]:
    yield pb.IngestDocumentRequest(header=pb.IngestHeader(**header))
    for start in range(0, len(data), piece):
        yield pb.IngestDocumentRequest(data=data[start : start + piece])


@pytest.fixture(scope="module")
def client(server: ServerProcess) -> Iterator[Client]:
    with grpc.insecure_channel(server.address) as channel:
        client = Client(RetrieveServiceStub(channel))
        client.fill()
        yield client


@dataclass(frozen=True)
class Expected:
    """How a call must be refused."""

    code: grpc.StatusCode
    field: str = ""
    says: str = ""
    """Part of the sentence that says what is wrong and what to do."""


def check_refused(client: Client, call: Callable[[Client], Any], expected: Expected) -> None:
    before = client.state()
    with pytest.raises(grpc.RpcError) as raised:
        call(client)
    error = raised.value
    assert error.code() == expected.code, error.details()
    assert expected.says in error.details()
    trailers = dict(error.trailing_metadata())
    status = status_pb2.Status.FromString(trailers["grpc-status-details-bin"])
    assert "ErrorInfo" in status.details[0].type_url
    assert [*_violated(status.details)] == ([expected.field] if expected.field else [])
    assert client.state() == before


def _violated(details: Iterable[Any]) -> Iterator[str]:
    bad = error_details_pb2.BadRequest()
    for detail in details:
        if detail.Unpack(bad):
            yield from (violation.field for violation in bad.field_violations)


def vector(*values: float) -> vector_pb2.Vector:
    padded = [*values, *[0.0] * (DIMENSION - len(values))]
    return vector_pb2.Vector(values=vector_pb2.FloatList(values=padded))


def upsert(**fields: Any) -> Callable[[Client], Any]:
    """An upsert whose second record is bad: the first must not be written either."""
    good = record_pb2.Record(id="good", text="good")
    return lambda client: client.upsert(good, record_pb2.Record(**{"id": "bad", **fields}))


def search(**fields: Any) -> Callable[[Client], Any]:
    return lambda client: client.send("Search", pb.SearchRequest(collection="c", **fields))


def where(**condition: Any) -> filter_pb2.Filter:
    return json_format.ParseDict({"condition": condition}, filter_pb2.Filter())


INVALID = Code.INVALID_ARGUMENT

BAD_RECORDS_AND_QUERIES = {
    "empty text": (upsert(text=""), Expected(INVALID, "records[1].text", "white space")),
    "white space": (upsert(text=" \n\t"), Expected(INVALID, "records[1].text", "white space")),
    "neither": (upsert(), Expected(INVALID, "records[1]", "neither vector nor text")),
    "10 MB of text": (
        upsert(text=TEN_MEGABYTES),
        Expected(INVALID, "records[1].text", "1,048,576"),
    ),
    "wrong dimension": (
        upsert(vector=vector_pb2.Vector(values=vector_pb2.FloatList(values=[1, 2]))),
        Expected(INVALID, "records[1].vector", "384"),
    ),
    "NaN": (upsert(vector=vector(math.nan)), Expected(INVALID, "records[1].vector", "finite")),
    "infinity": (upsert(vector=vector(math.inf)), Expected(INVALID, "records[1].vector", "finite")),
    "zero vector": (upsert(vector=vector(0)), Expected(INVALID, "records[1].vector", "zero")),
    "query: empty text": (search(text=""), Expected(INVALID, "text")),
    "query: white space": (search(text=" \t"), Expected(INVALID, "text")),
    "query: 10 MB of text": (search(text=TEN_MEGABYTES), Expected(INVALID, "text", "1,048,576")),
    "query: wrong dimension": (
        search(vector=vector_pb2.Vector(f32le=bytes(8))),
        Expected(INVALID, "vector", "384"),
    ),
    "query: NaN": (search(vector=vector(math.nan)), Expected(INVALID, "vector", "finite")),
    "query: infinity": (search(vector=vector(-math.inf)), Expected(INVALID, "vector", "finite")),
    "query: zero vector": (search(vector=vector(0)), Expected(INVALID, "vector", "zero")),
    "query: none": (search(), Expected(INVALID, "query")),
    "top_k of 0": (search(text="x", top_k=0), Expected(INVALID, "top_k", "1 to 1,000")),
    "top_k of a million": (
        search(text="x", top_k=1_000_000),
        Expected(INVALID, "top_k", "1 to 1,000"),
    ),
    "filter with a wrong type": (
        search(text="x", filter=where(field="year", lt=True)),
        Expected(INVALID, "filter.condition.lt", "string or a number"),
    ),
    "filter without a clause": (
        search(text="x", filter=filter_pb2.Filter()),
        Expected(INVALID, "filter", "condition"),
    ),
    "unknown collection": (
        lambda client: client.send("Count", pb.CountRequest(collection="none")),
        Expected(Code.NOT_FOUND, says='"none"'),
    ),
    "a collection that exists": (
        lambda client: client.send("CreateCollection", pb.CreateCollectionRequest(name="c")),
        Expected(Code.ALREADY_EXISTS, says='"c"'),
    ),
    "a message over the size limit": (
        lambda client: client.upsert(
            *(record_pb2.Record(id=f"{number}", text=MEGABYTE) for number in range(40))
        ),
        Expected(Code.RESOURCE_EXHAUSTED, says="send fewer records or texts"),
    ),
    "a streamed message over the size limit": (
        lambda client: client.ingest(MEGABYTE.encode() * 150, piece=40 * 10**6),
        Expected(Code.RESOURCE_EXHAUSTED, says="smaller pieces through IngestDocument"),
    ),
    "delete by an empty filter": (
        lambda client: client.send(
            "Delete",
            pb.DeleteRequest(collection="c", filter=filter_pb2.Filter(all=filter_pb2.FilterList())),
        ),
        Expected(INVALID, "filter", "delete the collection"),
    ),
}


@pytest.mark.parametrize("name", BAD_RECORDS_AND_QUERIES)
def test_a_bad_record_or_query_is_refused(client: Client, name: str) -> None:
    call, expected = BAD_RECORDS_AND_QUERIES[name]
    check_refused(client, call, expected)


def test_a_filter_on_a_missing_field_matches_nothing(client: Client) -> None:
    request = pb.SearchRequest(collection="c", text="dusk", filter=where(field="none", eq=1))
    assert list(client.send("Search", request).hits) == []


# --- files ---


def pdf(encrypted: bool = False) -> bytes:
    out = io.BytesIO()
    lock = StandardEncryption("user", ownerPassword="owner") if encrypted else None
    canvas = Canvas(out, encrypt=lock)
    canvas.drawString(100, 700, "The dome opens at dusk.")
    canvas.save()
    return out.getvalue()


def zip_bomb() -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("[Content_Types].xml", "<Types/>")
        archive.writestr("word/document.xml", bytes(300 * 2**20))
    return out.getvalue()


BAD_FILES: dict[str, tuple[Callable[[], bytes], dict[str, str], str, str]] = {
    "empty": (lambda: b"", {}, "data", "empty"),
    "white space": (lambda: b" \n\t", {}, "data", "text"),
    "invalid UTF-8": (lambda: b"caf\xe9 au lait", {}, "data", "UTF-8"),
    "truncated PDF": (lambda: pdf()[:400], {"filename": "a.pdf"}, "data", ""),
    "encrypted PDF": (lambda: pdf(encrypted=True), {"filename": "a.pdf"}, "data", "password"),
    "zip bomb as DOCX": (zip_bomb, {"filename": "a.docx"}, "data", "unpack"),
    "wrong mime type": (
        lambda: KEPT.encode(),
        {"mime_type": "application/pdf"},
        "header.mime_type",
        "application/pdf",
    ),
    "unknown mime type": (
        lambda: KEPT.encode(),
        {"mime_type": "image/png"},
        "header.mime_type",
        "image/png",
    ),
    "folders in the name": (
        lambda: KEPT.encode(),
        {"filename": "../../etc/passwd"},
        "header.filename",
        "folders",
    ),
}


@pytest.mark.parametrize("name", BAD_FILES)
def test_a_bad_file_is_refused_and_the_old_version_stays(client: Client, name: str) -> None:
    make, header, field, says = BAD_FILES[name]
    data = make()
    check_refused(
        client,
        lambda client: client.ingest(data, **{"document_id": "kept.txt", **header}),
        Expected(INVALID, field, says),
    )


def test_a_client_that_disconnects_while_it_sends_changes_nothing(
    client: Client, server: ServerProcess
) -> None:
    before = client.state()
    for _ in range(5):
        sent, gone = threading.Event(), threading.Event()
        with grpc.insecure_channel(server.address) as channel:
            stub = RetrieveServiceStub(channel)
            call = stub.IngestDocument(_never_closed(sent, gone), metadata=METADATA)
            assert sent.wait(TIMEOUT_S)
            assert call.is_active()
        gone.set()
    assert client.ingest(KEPT.encode()).skipped
    assert client.state() == before


def _never_closed(
    sent: threading.Event, gone: threading.Event
) -> Iterator[pb.IngestDocumentRequest]:
    """All of a file, but not the end that says so."""
    yield from file_requests(b"Another text.", collection="c", filename="kept.txt")
    sent.set()
    gone.wait(TIMEOUT_S)
