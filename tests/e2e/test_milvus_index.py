"""A whole server with its index in Milvus: what is ingested is found, cited and kept."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest
from groundwire import Client, Grounding, Like, Record, where
from groundwire.errors import FailedPreconditionError, UnimplementedError
from groundwire.v1 import retrieve_service_pb2 as pb
from groundwire.v1.retrieve_service_pb2_grpc import RetrieveServiceStub

from tests.conformance.milvus import LiteServer
from tests.e2e.serving import SERVE, TIMEOUT_S, ServerProcess

HANDBOOK = Path(__file__).parents[2] / "samples" / "handbook"
QUESTION = "At what wind speed is the Maar dome closed?"


@pytest.fixture(scope="module")
def lite(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiteServer]:
    with LiteServer(tmp_path_factory.mktemp("milvus")) as server:
        yield server


@pytest.fixture(scope="module")
def server(lite: LiteServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    data_dir = tmp_path_factory.mktemp("server") / "data"
    with ServerProcess(data_dir, "--index", "milvus", "--milvus-uri", lite.uri) as process:
        yield process


@pytest.fixture(scope="module")
def client(server: ServerProcess) -> Iterator[Client]:
    with Client(server.address) as client:
        yield client


@pytest.fixture(scope="module")
def handbook(client: Client) -> Client:
    for path in sorted(HANDBOOK.iterdir()):
        assert client.retrieve.ingest("handbook", path, create_collection=True).chunks
    return client


def test_vectors_are_written_searched_and_deleted(client: Client) -> None:
    retrieve = client.retrieve
    retrieve.create_collection("points", dimension=2, embedder="none", metric="euclidean")
    records = [
        Record(f"p{n}", vector=[float(n), 1.0], metadata={"n": n, "even": n % 2 == 0})
        for n in range(100)
    ]
    assert retrieve.upsert("points", records).count == 100
    odd = where("even").eq(False)
    result = retrieve.search("points", [50.5, 1.0], top_k=3, filter=odd)
    scored = [(hit.id, hit.score) for hit in result.hits]
    assert scored == [("p51", -0.25), ("p49", -2.25), ("p53", -6.25)]
    assert result.plan.strategy == "filtered-ann"
    assert retrieve.delete("points", filter=where("n").gte(10)).count == 90
    kept = [record.id for record in retrieve.scroll("points", page_size=4)]
    assert kept == [f"p{n}" for n in range(10)]
    assert retrieve.count("points", at_least_sequence=2).count == 10


def test_streams_batches_and_records_that_lend_their_vector(client: Client) -> None:
    retrieve = client.retrieve
    retrieve.create_collection("stream", dimension=2, embedder="none")
    records = (Record(f"r{n}", vector=[1.0, n / 1000]) for n in range(2500))
    assert retrieve.upsert_stream("stream", records).count == 2500
    both = retrieve.search_batch("stream", [[1.0, 0.0], Like("r0")], top_k=2)
    assert [[hit.id for hit in result.hits] for result in both] == [["r0", "r1"], ["r1", "r2"]]


def test_a_question_is_answered_from_the_documents_with_citations(handbook: Client) -> None:
    for grounding in ("handbook", Grounding("handbook", mode="dense")):
        answer = handbook.complete(QUESTION, grounding=grounding)
        assert "18 metres per second" in answer.text
        assert answer.citations
    assert handbook.retrieve.search("handbook", QUESTION, top_k=1).plan.strategy == "ann"


def test_an_unchanged_document_is_skipped_and_a_changed_one_replaced(handbook: Client) -> None:
    path = sorted(HANDBOOK.iterdir())[0]
    assert handbook.retrieve.ingest("handbook", path).skipped
    retrieve = handbook.retrieve
    retrieve.ingest(
        "changing", b"The dome opens at dusk.", filename="d.txt", create_collection=True
    )
    assert retrieve.ingest("changing", b"The dome opens at dawn.", filename="d.txt").replaced
    (record,) = retrieve.scroll("changing")
    assert record.text == "The dome opens at dawn."
    assert [document.version for document in retrieve.list_documents("changing")] == [2]


def test_what_milvus_cannot_do_is_told(handbook: Client) -> None:
    retrieve = handbook.retrieve
    for call, reason in (
        (lambda: retrieve.search("handbook", QUESTION, mode="hybrid"), "SEARCH_MODE_UNSUPPORTED"),
        (lambda: retrieve.search("handbook", QUESTION, mode="lexical"), "SEARCH_MODE_UNSUPPORTED"),
        (lambda: retrieve.search("handbook", QUESTION, exact=True), "EXACT_UNSUPPORTED"),
        (lambda: retrieve.create_snapshot("handbook"), "SNAPSHOTS_UNSUPPORTED"),
        (lambda: list(retrieve.list_snapshots()), "SNAPSHOTS_UNSUPPORTED"),
        (lambda: retrieve.create_collection("q", index_kind="sq8"), "INDEX_KIND_UNSUPPORTED"),
        (
            lambda: handbook.complete(QUESTION, grounding=Grounding("handbook", mode="lexical")),
            "SEARCH_MODE_UNSUPPORTED",
        ),
    ):
        with pytest.raises(UnimplementedError) as raised:
            call()
        assert raised.value.reason == reason
        assert "Milvus" in raised.value.message


def test_a_scroll_that_writes_have_overtaken_is_told(handbook: Client) -> None:
    retrieve = handbook.retrieve
    retrieve.create_collection("moving", dimension=2, embedder="none")
    retrieve.upsert("moving", [Record(key, vector=[1.0, 1.0]) for key in "abc"])
    pages = iter(retrieve.scroll("moving", page_size=2))
    assert [next(pages).id, next(pages).id] == ["a", "b"]
    retrieve.delete("moving", ["c"])
    with pytest.raises(FailedPreconditionError) as raised:
        next(pages)
    assert raised.value.reason == "CURSOR_EXPIRED"


def test_everything_is_there_after_a_crash_and_on_another_machine(tmp_path: Path) -> None:
    """The file is opened by milvus-lite within the server, which is killed."""
    flags = ("--index", "milvus", "--milvus-uri", str(tmp_path / "index.db"))
    first = ServerProcess(tmp_path / "one", *flags)
    with first, Client(first.address) as client:
        client.retrieve.ingest(
            "c", b"The dome opens at dusk.", filename="d.txt", create_collection=True
        )
        client.retrieve.set_alias("current", "c")
        first.kill()
    with ServerProcess(tmp_path / "two", *flags) as other, Client(other.address) as client:
        (record,) = client.retrieve.scroll("current")
        assert record.text == "The dome opens at dusk."
        assert client.retrieve.ingest("c", b"The dome opens at dusk.", filename="d.txt").skipped
        assert other.stop() == 0
    with first, Client(first.address) as client:
        assert client.retrieve.count("c").count == 1


def test_a_filter_travels_unharmed(server: ServerProcess) -> None:
    """Through the plain stubs, with what could break out of an expression."""
    nasty = "a\"b\\' or state == 2 // %_ ж🦊"
    with grpc.insecure_channel(server.address) as channel:
        stub = RetrieveServiceStub(channel)
        stub.CreateCollection(
            pb.CreateCollectionRequest(name="nasty", embedder="none", dimension=2),
            timeout=TIMEOUT_S,
        )
    with Client(server.address) as client:
        records = [
            Record(nasty, vector=[1.0, 0.0], metadata={nasty.replace(".", ""): nasty}),
            Record("plain", vector=[1.0, 0.0], metadata={"x": "plain"}),
        ]
        client.retrieve.upsert("nasty", records)
        for chosen in (
            where(nasty).eq(nasty),
            where(nasty).prefix(nasty[:5]),
            where(nasty).contains(nasty[3:]),
            where("$id").eq(nasty),
        ):
            found = client.retrieve.search("nasty", [1.0, 0.0], filter=chosen)
            assert [hit.id for hit in found.hits] == [nasty]
        assert client.retrieve.delete("nasty", [nasty]).count == 1


@pytest.mark.parametrize(
    ("flags", "code", "said"),
    [
        (("--index", "milvus"), 2, "milvus_uri is needed"),
        (("--milvus-uri", "http://127.0.0.1:1"), 2, "only for index milvus"),
        (
            ("--index", "milvus", "--milvus-uri", "http://127.0.0.1:1", "--index-gpu", "0"),
            2,
            "index_gpu is only for index embedded",
        ),
        (("--index", "milvus", "--milvus-uri", "milvus:19530"), 2, "must start with http://"),
        (("--index", "milvus", "--milvus-uri", "http://127.0.0.1:1"), 1, "Milvus does not answer"),
    ],
)
def test_a_server_that_cannot_use_milvus_says_why(
    tmp_path: Path, flags: tuple[str, ...], code: int, said: str
) -> None:
    done = started(tmp_path, flags)
    assert (done.returncode, said in done.stderr) == (code, True), done.stderr


def test_a_server_without_pymilvus_says_what_to_install(tmp_path: Path) -> None:
    (tmp_path / "pymilvus.py").write_text("raise ImportError('not here')")
    path = os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")])
    flags = ("--index", "milvus", "--milvus-uri", "http://127.0.0.1:1")
    done = started(tmp_path, flags, PYTHONPATH=path)
    assert done.returncode == 1
    assert "pip install 'groundwire[milvus]'" in done.stderr


def started(tmp_path: Path, flags: tuple[str, ...], **env: str) -> subprocess.CompletedProcess[str]:
    ports = ("--listen", "127.0.0.1:0", "--metrics-listen", "off")
    return subprocess.run(
        [*SERVE, *ports, "--data-dir", str(tmp_path / "data"), *flags],
        env={**os.environ, **env},
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        check=False,
    )
