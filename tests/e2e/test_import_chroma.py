"""`groundwire import chroma`: a whole server, and databases made with Chroma itself."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import groundwire
import numpy as np
import pytest
from chromadb.api import ClientAPI
from groundwire_server.__main__ import main
from groundwire_server.cli.transfer.chroma_collection import ChromaCollection
from groundwire_server.cli.transfer.copying import copy
from groundwire_server.cli.transfer.source import Page
from groundwire_server.cli.transfer.target import Target

from tests.e2e.chroma import chroma_server, database, fill, state
from tests.e2e.serving import TIMEOUT_S, ServerProcess
from tests.e2e.stalling import stalling
from tests.e2e.test_cli_and_client import RESEND_S, groundwire_command
from tests.patience import until_seen

SIZES = {"by-l2": 2500, "by-cosine": 400, "by-ip": 400}
METRICS = {"by-l2": "euclidean", "by-cosine": "cosine", "by-ip": "dot"}
ALL = ("text", "metadata", "vector")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database with a collection for each metric, and an empty one."""
    path = tmp_path_factory.mktemp("chroma") / "db"
    with database(path) as client:
        for seed, (name, count) in enumerate(SIZES.items()):
            fill(client, name, count, space=name.removeprefix("by-"), seed=seed)
        client.create_collection("nothing", embedding_function=None)
    return path


@pytest.fixture
def chroma(tmp_path: Path) -> Iterator[ClientAPI]:
    """A database of one's own."""
    with database(tmp_path / "db") as client:
        yield client


@pytest.fixture
def client(server: ServerProcess, request: pytest.FixtureRequest) -> Iterator[groundwire.Client]:
    """A client with a tenant of its own, so that names of collections are free."""
    with groundwire.Client(server.address, tenant=tenant_of(request)) as made:
        yield made


@pytest.fixture
def tenant(request: pytest.FixtureRequest) -> str:
    return tenant_of(request)


def tenant_of(request: pytest.FixtureRequest) -> str:
    return request.node.name.replace("[", "-").replace("]", "")[:64]


def imported(server: ServerProcess, *arguments: object) -> tuple[int, dict[str, Any]]:
    """The exit code, and what came of each collection by name."""
    done = groundwire_command(server, "import", "chroma", *arguments, "--json")
    found = [json.loads(line) for line in done.stdout.splitlines()]
    assert found, done.stderr
    return done.returncode, {one["source"]: one for one in found}


def assert_equal(folder: Path, name: str, client: groundwire.Client) -> None:
    """Every record that Chroma gives is stored, bit by bit; and no other."""
    with database(folder) as source:
        given: Any = source.get_collection(name, embedding_function=None).get(
            include=["embeddings", "documents", "metadatas"]
        )
    stored = list(client.retrieve.scroll(name, include=ALL, page_size=1000))
    assert [record.id for record in stored] == given["ids"]
    for at, record in enumerate(stored):
        expected = np.asarray(given["embeddings"][at], np.float32)
        assert record.vector.tobytes() == expected.tobytes()
        assert record.text == given["documents"][at]
        assert record.metadata == (given["metadatas"][at] or {})


def test_a_database_is_copied_whole_and_left_as_it_was(
    server: ServerProcess, client: groundwire.Client, folder: Path, tenant: str, tmp_path: Path
) -> None:
    copied = shutil.copytree(folder, tmp_path / "db")
    before = state(copied)
    code, found = imported(server, copied, "--tenant", tenant)
    assert state(copied) == before
    assert code == 0
    assert found.pop("nothing")["status"] == "empty"
    assert set(found) == set(SIZES)
    for name, count in SIZES.items():
        assert (found[name]["status"], found[name]["added"]) == ("copied", count)
        assert found[name]["verified"] == {"records": count, "compared": 200, "problems": []}
        assert client.retrieve.get_collection(name).metric == METRICS[name]
        assert_equal(folder, name, client)


def test_a_second_run_writes_nothing(
    server: ServerProcess, client: groundwire.Client, folder: Path, tenant: str
) -> None:
    arguments = (folder, "--collection", "by-ip", "--as", "renamed", "--tenant", tenant)
    assert imported(server, *arguments)[1]["by-ip"]["added"] == 400
    sequence = client.retrieve.get_collection("renamed").sequence
    code, found = imported(server, *arguments)
    assert (code, found["by-ip"]["unchanged"], found["by-ip"]["added"]) == (0, 400, 0)
    assert client.retrieve.get_collection("renamed").sequence == sequence


def test_what_changed_in_the_source_is_copied_again_and_no_more(
    server: ServerProcess, client: groundwire.Client, folder: Path, tenant: str, tmp_path: Path
) -> None:
    copied = shutil.copytree(folder, tmp_path / "db")
    arguments = (copied, "--collection", "by-ip", "--tenant", tenant)
    imported(server, *arguments)
    with database(copied) as source:
        collection = source.get_collection("by-ip", embedding_function=None)
        vectors = collection.get(ids=["by-ip/7"], include=["embeddings"])["embeddings"]
        collection.update(ids=["by-ip/7"], documents=["changed"], embeddings=vectors)
    _, found = imported(server, *arguments)
    assert (found["by-ip"]["replaced"], found["by-ip"]["unchanged"]) == (1, 399)
    (record,) = client.retrieve.get("by-ip", ["by-ip/7"])
    assert record is not None
    assert record.text == "changed"


class Stopped(ChromaCollection):
    """The power goes after one page."""

    def pages(self) -> Iterator[Page]:
        pages = super().pages()
        yield next(pages)
        raise KeyboardInterrupt


def test_an_interrupted_copy_goes_on_where_it_was(
    client: groundwire.Client, folder: Path, tmp_path: Path
) -> None:
    target = Target(client, "by-l2")
    with database(shutil.copytree(folder, tmp_path / "db")) as source:
        with pytest.raises(KeyboardInterrupt):
            copy(Stopped(source, "by-l2"), target, lambda _: None)
        assert client.retrieve.count("by-l2").count == 1000
        outcome = copy(ChromaCollection(source, "by-l2"), target, lambda _: None)
    assert (outcome.unchanged, outcome.added, outcome.status) == (1000, 1500, "copied")
    assert_equal(folder, "by-l2", client)


@contextmanager
def killed(process: subprocess.Popen[str]) -> Iterator[None]:
    """At the end of the block, if it still runs."""
    try:
        yield
    finally:
        process.kill()
        process.wait()


def interrupted(process: subprocess.Popen[str]) -> str:
    """What it says when it ends. A signal just before it waits for the server wakes nobody."""
    for _ in range(round(TIMEOUT_S / RESEND_S)):
        process.send_signal(signal.SIGINT)
        with suppress(subprocess.TimeoutExpired):
            return process.communicate(timeout=RESEND_S)[1]
    raise AssertionError("it goes on though it is interrupted")


def has_copy(folder: Path) -> bool:
    return any(folder.glob("groundwire-chroma-*/*"))


def has_collection(client: groundwire.Client) -> bool:
    return any(client.retrieve.list_collections())


def test_an_interrupted_command_says_how_to_go_on_and_leaves_no_copy(
    server: ServerProcess, client: groundwire.Client, folder: Path, tenant: str, tmp_path: Path
) -> None:
    arguments = ["import", "chroma", str(folder), "--collection", "by-l2", "--tenant", tenant]
    # So that it does not end before it is interrupted, however busy the machine is.
    with stalling(server.address, after_bytes=2**14) as address:
        process = subprocess.Popen(
            [sys.executable, "-m", "groundwire_server", *arguments, "--server", address],
            env={**os.environ, "TMPDIR": str(tmp_path)},
            stderr=subprocess.PIPE,
            text=True,
        )
        with killed(process):
            until_seen(lambda: process.poll() is not None or has_copy(tmp_path))
            said = interrupted(process)
    assert process.returncode == 130
    assert "the same command again goes on from here" in said
    assert list(tmp_path.iterdir()) == []


def test_a_killed_import_is_finished_by_another(
    server: ServerProcess, client: groundwire.Client, folder: Path, tenant: str, tmp_path: Path
) -> None:
    arguments = ["import", "chroma", str(folder), "--collection", "by-l2"]
    whom = ["--server", server.address, "--tenant", tenant]
    process = subprocess.Popen(
        [sys.executable, "-m", "groundwire_server", *arguments, *whom],
        # Killed, it leaves its copy of the database there.
        env={**os.environ, "TMPDIR": str(tmp_path)},
        text=True,
    )
    with killed(process):
        until_seen(lambda: process.poll() is not None or has_collection(client))
    code, found = imported(server, folder, "--collection", "by-l2", "--tenant", tenant)
    assert (code, found["by-l2"]["read"]) == (0, 2500)
    assert_equal(folder, "by-l2", client)


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (lambda client: client.retrieve.delete("by-ip", ["by-ip/1"]), "should have 400"),
        (
            lambda client: client.retrieve.upsert(
                "by-ip",
                [
                    groundwire.Record(record.id, "another", record.metadata, record.vector)
                    for record in client.retrieve.scroll("by-ip", include=ALL)
                ],
            ),
            "differs in text from what was read",
        ),
    ],
    ids=["deleted", "changed"],
)
def test_what_somebody_changes_meanwhile_is_found(
    change: Any, problem: str, client: groundwire.Client, folder: Path, tmp_path: Path
) -> None:
    with database(shutil.copytree(folder, tmp_path / "db")) as source:
        collection = ChromaCollection(source, "by-ip")
        outcome = copy(collection, Target(client, "by-ip"), lambda _: change(client))
    assert outcome.status == "incomplete"
    assert outcome.verified is not None
    assert problem in outcome.verified.problems[0]


def test_a_source_that_grows_meanwhile_is_found(
    client: groundwire.Client, chroma: ClientAPI
) -> None:
    fill(chroma, "growing", 10, space="l2")
    collection = chroma.get_collection("growing", embedding_function=None)
    outcome = copy(
        ChromaCollection(chroma, "growing"),
        Target(client, "growing"),
        lambda _: collection.add(ids=["new"], embeddings=[[0.0] * 24]),
    )
    assert outcome.verified is not None
    assert "11 records now, and 10 were read" in outcome.verified.problems[0]


def test_records_that_cannot_be_stored_are_named_and_the_others_stored(
    server: ServerProcess, client: groundwire.Client, tenant: str, tmp_path: Path
) -> None:
    awkward: dict[str, dict[str, Any]] = {
        "x" * 600: {},
        "two\nlines": {},
        "zero": {"embedding": [0.0, 0.0]},
        "large": {"metadata": {"serial": 2**60}},
        "plain": {"metadata": {"page": 3.0, "tags": [1, 2]}},
        "empty text": {"document": ""},
        "image": {"uri": "s3://bucket/image.png"},
    }
    with database(tmp_path / "db") as source:
        collection = source.create_collection(
            "awkward",
            embedding_function=None,
            metadata={"hnsw:space": "cosine", "owner": "me", "description": "Odd ones."},
        )
        for record_id, parts in awkward.items():
            collection.add(
                ids=[record_id],
                embeddings=[parts.get("embedding", [1.0, 2.0])],
                **{f"{name}s": [value] for name, value in parts.items() if name != "embedding"},
            )
    arguments = (tmp_path / "db", "--tenant", tenant)
    code, found = imported(server, *arguments)
    result = found["awkward"]
    assert (code, result["status"], result["added"]) == (1, "incomplete", 3)
    refused = {one["place"]: one["why"] for one in result["refused"]}
    assert refused == {
        f"record {'x' * 600!r}": "id is 600 bytes long; at most 512 are allowed",
        r"record 'two\nlines'": "id must not hold control characters",
        "record 'zero'": "vector is zero, or nearly: it has no direction that cosine similarity "
        "could compare",
        "record 'large'": f'"serial": {2**60} does not fit a JSON number exactly: send it as text.',
    }
    assert any("not copied: owner" in note for note in result["notes"])
    assert client.retrieve.get_collection("awkward").description == "Odd ones."
    plain, empty, image = client.retrieve.get("awkward", ["plain", "empty text", "image"])
    assert plain is not None
    assert plain.metadata == {"page": 3, "tags": [1, 2]}
    assert empty is not None
    assert empty.text == ""
    assert image is not None
    assert image.metadata == {"chroma:uri": "s3://bucket/image.png"}
    _, found = imported(server, *arguments, "--large-numbers-as-text")
    assert (found["awkward"]["added"], found["awkward"]["unchanged"]) == (1, 3)
    (large,) = client.retrieve.get("awkward", ["large"])
    assert large is not None
    assert large.metadata == {"serial": str(2**60)}


def test_a_name_that_cannot_be_is_refused_with_the_way_out(
    server: ServerProcess, client: groundwire.Client, tenant: str, tmp_path: Path
) -> None:
    long = "n" * 200
    with database(tmp_path / "db") as source:
        fill(source, long, 5, space="l2")
        fill(source, "short", 5, space="l2")
    code, found = imported(server, tmp_path / "db", "--tenant", tenant)
    assert (code, found["short"]["status"], found[long]["status"]) == (1, "copied", "failed")
    assert "1 to 128 characters" in found[long]["error"]
    assert found[long]["error"].endswith("--as NAME")
    code, _ = imported(
        server, tmp_path / "db", "--collection", long, "--as", "n", "--tenant", tenant
    )
    assert (code, client.retrieve.count("n").count) == (0, 5)


def test_a_collection_of_another_kind_is_not_written_to(
    server: ServerProcess, client: groundwire.Client, folder: Path, tenant: str
) -> None:
    client.retrieve.create_collection("a", metric="dot", dimension=24, embedder="none")
    client.retrieve.create_collection("b", metric="cosine", dimension=25, embedder="none")
    for name, says in (("a", "compares vectors by dot"), ("b", "vectors of 25 dimensions")):
        code, found = imported(
            server, folder, "--collection", "by-cosine", "--as", name, "--tenant", tenant
        )
        assert (code, found["by-cosine"]["status"]) == (1, "failed")
        assert says in found["by-cosine"]["error"]
        assert client.retrieve.count(name).count == 0


def test_texts_can_be_searched_when_the_embedder_is_the_same(
    server: ServerProcess, client: groundwire.Client, tenant: str, tmp_path: Path
) -> None:
    texts = ["The dome opens at dusk.", "Bread is baked at dawn.", "Rain falls on the hills."]
    vectors = client.embed(texts).vectors
    with database(tmp_path / "db") as source:
        collection = source.create_collection("texts", embedding_function=None)
        collection.add(ids=["a", "b", "c"], embeddings=list(map(list, vectors)), documents=texts)
    code, _ = imported(server, tmp_path / "db", "--tenant", tenant)
    assert code == 0
    hits = client.retrieve.search("texts", "When is the observatory opened?", mode="dense").hits
    assert hits[0].id == "a"


def test_a_chroma_server_is_read_by_its_url(
    server: ServerProcess, client: groundwire.Client, folder: Path, tenant: str, tmp_path: Path
) -> None:
    with chroma_server(shutil.copytree(folder, tmp_path / "db")) as url:
        code, found = imported(server, url, "--tenant", tenant)
    assert (code, found["by-l2"]["added"]) == (0, 2500)
    for name in SIZES:
        assert_equal(folder, name, client)


def test_a_server_of_ones_own_keeps_what_was_imported(folder: Path, tmp_path: Path) -> None:
    into = ["--data-dir", str(tmp_path / "data")]
    arguments = ["import", "chroma", str(folder), "--collection", "by-ip", "--json", *into]
    done = subprocess.run(
        [sys.executable, "-m", "groundwire_server", *arguments], capture_output=True, text=True
    )
    assert json.loads(done.stdout)["status"] == "copied", done.stderr
    with ServerProcess(tmp_path / "data") as server, groundwire.Client(server.address) as client:
        assert_equal(folder, "by-ip", client)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["missing"], "is no folder, and no URL"),
        (["."], "there is no chroma.sqlite3 in it"),
        (["http://127.0.0.1:1"], "cannot be read as a Chroma database"),
        (["DB", "--collection", "other"], "there is no collection 'other' in"),
        (["DB", "--as", "one"], "say which with --collection"),
        (["DB", "--chroma-database", "other"], "cannot be read as a Chroma database"),
    ],
)
def test_what_cannot_be_imported_is_told(
    server: ServerProcess, folder: Path, arguments: list[str], says: str, tmp_path: Path
) -> None:
    named = [str(folder) if one == "DB" else one for one in arguments]
    named = [str(tmp_path) if one == "." else one for one in named]
    done = groundwire_command(server, "import", "chroma", *named)
    assert (done.returncode, done.stdout) == (1, "")
    assert says in done.stderr
    assert done.stderr.count("\n") == 1


def test_a_file_that_is_no_database_is_told(server: ServerProcess, tmp_path: Path) -> None:
    (tmp_path / "chroma.sqlite3").write_bytes(b"SQLite is not what this is. " * 100)
    done = groundwire_command(server, "import", "chroma", tmp_path)
    assert done.returncode == 1
    assert f"{tmp_path} cannot be read as a Chroma database" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_missing_package_is_named(
    server: ServerProcess,
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr("groundwire_server.cli.transfer.chroma_database.find_spec", lambda _: None)
    monkeypatch.setattr("signal.signal", lambda *_: None)
    code = main(["import", "chroma", str(folder), "--server", server.address])
    assert code == 1
    assert 'pip install "groundwire[chroma]"' in capsys.readouterr().err
