"""`groundwire ingest`: which files, under which names, and what is said about them."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from groundwire_index.ingest import media_type
from groundwire_server.cli.files import EXTENSIONS, find

from tests.unit.cli.conftest import Command, Platform


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    root = tmp_path / "handbook"
    for name in (
        "intro.md",
        "night/intro.md",
        "night/wind.PDF",
        "photo.png",
        ".git/readme.md",
        "night/.hidden.txt",
    ):
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(name.encode())
    return root


def test_a_folder_is_walked_for_what_can_be_read(folder: Path) -> None:
    assert [file.document_id for file in find([folder])] == [
        "handbook/intro.md",
        "handbook/night/intro.md",
        "handbook/night/wind.PDF",
    ]


def test_a_folder_is_called_by_its_own_name_however_it_is_reached(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder / "night")
    assert [file.document_id for file in find([Path()])] == ["night/intro.md", "night/wind.PDF"]


def test_a_file_that_is_named_is_taken_whatever_it_is(folder: Path) -> None:
    assert [file.document_id for file in find([folder / "photo.png"])] == ["photo.png"]


def test_a_file_that_is_named_twice_is_taken_once(folder: Path) -> None:
    assert len(find([folder, folder, folder / "intro.md"])) == 3


def test_folders_are_walked_for_everything_that_is_parsed() -> None:
    assert frozenset(media_type.BY_EXTENSION) == EXTENSIONS


def test_everything_is_sent_into_a_new_collection(
    command: Command, platform: Platform, folder: Path
) -> None:
    done = command("ingest", folder, "-c", "new")
    assert done.code == 0
    assert "new" in platform.library.collections
    assert platform.library.documents["handbook/night/intro.md"] == b"night/intro.md"
    assert done.out.splitlines()[0] == "ingested  handbook/intro.md, 2 chunks"
    assert "3 documents in “new”, 6 chunks" in done.out.splitlines()[-1]


def test_a_collection_that_is_there_is_kept(
    command: Command, platform: Platform, folder: Path
) -> None:
    assert command("ingest", folder).code == 0
    assert platform.library.collections == {"documents": 7}


def test_what_cannot_be_ingested_is_told_and_the_rest_is_done(
    command: Command, platform: Platform, tmp_path: Path
) -> None:
    (tmp_path / "bad.pdf").write_bytes(b"damaged")
    (tmp_path / "good.md").write_bytes(b"good")
    done = command("ingest", tmp_path / "none.md", tmp_path / "bad.pdf", tmp_path / "good.md")
    assert done.code == 1
    none, bad, good, summary = done.out.splitlines()
    assert none == "failed    none.md: cannot be read: No such file or directory"
    assert bad == "failed    bad.pdf: data: the file is damaged"
    assert good == "ingested  good.md, 2 chunks"
    assert summary.endswith("; 2 failed")
    assert list(platform.library.documents) == ["good.md"]


@pytest.mark.parametrize("json", [(), ("--json",)])
def test_a_name_that_is_no_text_fails_alone(
    command: Command, platform: Platform, tmp_path: Path, json: tuple[str, ...]
) -> None:
    (tmp_path / os.fsdecode(b"a\xff.txt")).write_bytes(b"good")
    (tmp_path / "b.txt").write_bytes(b"good")
    done = command("ingest", tmp_path, *json)
    assert done.code == 1
    assert "a\ufffd.txt" in done.out
    assert "not valid UTF-8" in done.out
    assert list(platform.library.documents) == [f"{tmp_path.name}/b.txt"]


def test_when_every_file_is_refused_no_collection_is_left_behind(
    command: Command, platform: Platform, tmp_path: Path
) -> None:
    (tmp_path / "bad.pdf").write_bytes(b"damaged")
    assert command("ingest", tmp_path, "-c", "new").code == 1
    assert "new" not in platform.library.collections


def test_programs_get_one_line_of_json_for_each_file(command: Command, tmp_path: Path) -> None:
    (tmp_path / "bad.pdf").write_bytes(b"damaged")
    (tmp_path / "good.md").write_bytes(b"good")
    done = command("ingest", tmp_path / "bad.pdf", tmp_path / "good.md", "--json")
    assert done.code == 1
    bad, good = done.lines
    assert (bad["status"], bad["error"]) == ("failed", "data: the file is damaged")
    assert good == {
        "path": str(tmp_path / "good.md"),
        "document_id": "good.md",
        "status": "ingested",
        "chunks": 2,
        "error": "",
    }


def test_a_second_time_is_told_apart_from_the_first(command: Command, tmp_path: Path) -> None:
    path = tmp_path / "good.md"
    statuses = []
    for content, flags in ((b"1", ()), (b"1", ()), (b"2", ()), (b"2", ("--force",))):
        path.write_bytes(content)
        statuses.append(command("ingest", path, "--json", *flags).lines[0]["status"])
    assert statuses == ["ingested", "unchanged", "replaced", "ingested"]


def test_a_folder_with_nothing_to_read_is_a_failure(command: Command, tmp_path: Path) -> None:
    done = command("ingest", tmp_path)
    assert done.code == 1
    assert "Nothing to ingest" in done.out


def test_without_a_server_it_stops_at_once(
    command: Command, folder: Path, closed_port: int
) -> None:
    done = command("ingest", folder, "--server", f"127.0.0.1:{closed_port}")
    assert done.code == 1
    assert "groundwire serve" in done.err
