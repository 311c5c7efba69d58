"""`groundwire export` and `import` of JSON Lines and Parquet, against a whole server."""

from __future__ import annotations

import json
from array import array
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import groundwire
import pytest
from groundwire import ChunkPosition, Record

from tests.e2e.serving import ServerProcess
from tests.e2e.test_cli_and_client import groundwire_command, lines

ALL = ("text", "metadata", "vector")
kinds = pytest.mark.parametrize("kind", ["jsonl", "parquet"])
RECORDS = [
    Record("plain", "a text", {"a": 1, "b": [True, None, {"c": 0.1}]}, array("f", [1, 0.1])),
    Record("no text", vector=array("f", [-0.0, 3e-39])),
    Record(
        "望遠鏡 🔭 \u2028", "tab\tline\nÅ\u0301", {"": {"ключ": "значение"}}, array("f", [2, 3])
    ),
    Record(
        "chunk",
        "of a document",
        vector=array("f", [5, 6]),
        document_id="guide.pdf",
        position=ChunkPosition(1, 10, 23, page=2, headings=("One", "Two"), token_count=3),
    ),
]


@pytest.fixture
def tenant(request: pytest.FixtureRequest) -> str:
    return request.node.name.replace("[", "-").replace("]", "")[:64]


@pytest.fixture
def client(server: ServerProcess, tenant: str) -> Iterator[groundwire.Client]:
    with groundwire.Client(server.address, tenant=tenant) as made:
        yield made


@kinds
def test_what_is_exported_and_imported_is_equal(
    kind: str, server: ServerProcess, client: groundwire.Client, tenant: str, tmp_path: Path
) -> None:
    client.retrieve.create_collection("one", metric="dot", dimension=2, embedder="none")
    many = [Record(f"n{n}", f"text {n}", vector=array("f", [n, 1])) for n in range(2100)]
    client.retrieve.upsert("one", RECORDS + many)
    path = tmp_path / f"one.{kind}"
    whom = ("--tenant", tenant, "--json")
    (written,) = lines(groundwire_command(server, "export", kind, "-c", "one", "-o", path, *whom))
    assert written["records"] == 2104
    (read,) = lines(
        groundwire_command(server, "import", kind, path, "-c", "two", "--metric", "dot", *whom)
    )
    assert (read["added"], read["status"], read["refused"]) == (2104, "copied", [])
    one, two = (list(client.retrieve.scroll(name, include=ALL)) for name in ("one", "two"))
    assert one == two
    assert client.retrieve.get_collection("two").metric == "dot"


@kinds
def test_vectors_of_float16_are_copied_as_they_are_stored(
    kind: str, server: ServerProcess, client: groundwire.Client, tenant: str, tmp_path: Path
) -> None:
    def run(*arguments: object) -> dict[str, Any]:
        done = groundwire_command(server, *arguments, "--tenant", tenant, "--json")
        return json.loads(done.stdout)

    client.retrieve.create_collection("one", dimension=2, embedder="none")
    many = [Record(f"n{n}", f"text {n}", vector=array("f", [n / 3, 1])) for n in range(300)]
    client.retrieve.upsert("one", [*many, Record("large", vector=array("f", [70_000, 1]))])
    path = tmp_path / f"one.{kind}"
    run("export", kind, "-c", "one", "-o", path)
    read = run("import", kind, path, "-c", "half", "--vector-type", "float16")
    assert (read["added"], read["status"]) == (300, "incomplete")
    assert "70000 at [0]" in read["refused"][0]["why"]
    assert client.retrieve.get_collection("half").vector_type == "float16"
    again = run("import", kind, path, "-c", "half")
    assert (again["added"], again["replaced"], again["unchanged"]) == (0, 0, 300)
    other = run("import", kind, path, "-c", "half", "--vector-type", "float32")
    assert "vectors of float16, not of float32" in other["error"]
    run("export", kind, "-c", "half", "-o", path)
    back = run("import", kind, path, "-c", "copy")
    assert (back["added"], back["status"]) == (300, "copied")
    half, copy = (list(client.retrieve.scroll(name, include=ALL)) for name in ("half", "copy"))
    assert half == copy


@kinds
def test_large_records_are_exported_in_smaller_pages(
    kind: str, server: ServerProcess, client: groundwire.Client, tenant: str, tmp_path: Path
) -> None:
    client.retrieve.create_collection("large", dimension=1, embedder="none")
    text = "word " * 200_000
    for start in range(0, 80, 20):
        client.retrieve.upsert(
            "large",
            [Record(str(n), text, vector=array("f", [1])) for n in range(start, start + 20)],
        )
    path = tmp_path / "large"
    done = groundwire_command(
        server, "export", kind, "-c", "large", "-o", path, "--tenant", tenant, "--json"
    )
    assert lines(done)[0]["records"] == 80


def test_texts_without_vectors_are_embedded_by_the_server(
    server: ServerProcess, client: groundwire.Client, tenant: str, tmp_path: Path
) -> None:
    path = tmp_path / "texts.jsonl"
    texts = ["The dome opens at dusk.", "Bread is baked at dawn."] * 40
    rows = ({"id": str(n), "text": text} for n, text in enumerate(texts))
    path.write_text("\n".join(map(json.dumps, rows)))
    arguments = ("import", "jsonl", path, "-c", "texts", "--tenant", tenant, "--json")
    (read,) = lines(groundwire_command(server, *arguments))
    assert (read["added"], read["status"]) == (80, "copied")
    assert client.retrieve.get_collection("texts").vectors == 80
    (again,) = lines(groundwire_command(server, *arguments))
    assert (again["added"], again["unchanged"]) == (0, 80)


def test_lines_that_cannot_be_stored_are_named_and_the_others_stored(
    server: ServerProcess, client: groundwire.Client, tenant: str, tmp_path: Path
) -> None:
    path = tmp_path / "mixed.jsonl"
    path.write_text(
        '{"id": "a", "vector": [1, 2]}\n'
        "oops\n"
        '{"id": "b", "vector": [1, 2, 3]}\n'
        '{"id": "\\ud800", "vector": [1, 2]}\n'
        '{"id": "c", "vector": [NaN, 2]}\n'
        '{"id": "a", "vector": [3, 4]}\n'
        '{"id": "d", "vector": [5, 6], "metadata": {"x": NaN}}\n'
    )
    done = groundwire_command(
        server, "import", "jsonl", path, "-c", "mixed", "--tenant", tenant, "--json"
    )
    assert done.returncode == 1, done.stderr
    (read,) = map(json.loads, done.stdout.splitlines())
    assert (read["status"], read["read"]) == ("incomplete", 7)
    assert (read["added"], read["repeated"]) == (1, 1)
    assert read["verified"]["problems"] == []
    refused = {one["place"].split(" of ")[0]: one["why"] for one in read["refused"]}
    assert set(refused) == {"line 2", "line 3", "line 4", "line 5", "line 7"}
    assert "has 3 dimensions; the collection has vectors of 2" in refused["line 3"]
    assert "lone surrogate" in refused["line 4"]
    assert refused["line 5"].startswith("vector")
    assert refused["line 7"].startswith("metadata.x nan is not allowed")
    (record,) = client.retrieve.scroll("mixed", include=ALL)
    assert record.vector == array("f", [3, 4])


def test_an_export_that_cannot_be_written_is_told(
    server: ServerProcess, client: groundwire.Client, tenant: str, tmp_path: Path
) -> None:
    client.retrieve.create_collection("one", dimension=1, embedder="none")
    path = tmp_path / "missing" / "one.jsonl"
    done = groundwire_command(
        server, "export", "jsonl", "-c", "one", "-o", path, "--tenant", tenant
    )
    assert done.returncode == 1
    assert done.stderr == f"groundwire: {path} cannot be written: No such file or directory\n"


def test_an_export_of_nothing_leaves_the_old_file(server: ServerProcess, tmp_path: Path) -> None:
    path = tmp_path / "one.jsonl"
    path.write_text("before")
    done = groundwire_command(server, "export", "jsonl", "-c", "not-there", "-o", path)
    assert done.returncode == 1
    assert "not-there" in done.stderr
    assert path.read_text() == "before"
