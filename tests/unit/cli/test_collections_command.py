"""`groundwire collections`."""

from __future__ import annotations

import io

import pytest

from tests.unit.cli.conftest import Command, Platform


def test_they_are_listed(command: Command) -> None:
    done = command("collections")
    assert done.code == 0
    assert "documents" in done.out
    assert "384" in done.out


def test_they_are_listed_for_programs_one_to_a_line(command: Command, platform: Platform) -> None:
    platform.library.collections["another"] = 3
    lines = command("collections", "--json").lines
    assert [(line["name"], line["records"]) for line in lines] == [("another", 3), ("documents", 7)]


def test_a_long_name_is_never_cut(command: Command, platform: Platform) -> None:
    name = "x" * 128
    platform.library.collections[name] = 3
    assert name in command("collections").out


def test_an_empty_list_says_how_to_begin(command: Command, platform: Platform) -> None:
    platform.library.collections.clear()
    assert "groundwire ingest" in command("collections").out


def test_one_is_created(command: Command, platform: Platform) -> None:
    done = command("collections", "create", "papers")
    assert (done.code, done.out) == (0, "Created papers.\n")
    assert "papers" in platform.library.collections


def test_one_is_created_with_vectors_of_half_the_size(command: Command, platform: Platform) -> None:
    done = command("collections", "create", "papers", "--vector-type", "float16", "--json")
    assert [line["vector_type"] for line in done.lines] == ["float16"]
    command("collections", "create", "books")
    listed = command("collections", "--json").lines
    assert {line["name"]: line["vector_type"] for line in listed} == {
        "books": "float32",
        "documents": "float32",
        "papers": "float16",
    }
    assert "float16" in command("collections").out


def test_one_is_deleted_when_told_twice(command: Command, platform: Platform) -> None:
    done = command("collections", "delete", "documents", "--yes")
    assert (done.code, done.out) == (0, "Deleted documents with 7 records.\n")
    assert platform.library.collections == {}


def test_one_is_not_deleted_unasked(
    command: Command, platform: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("y\n"))
    done = command("collections", "delete", "documents")
    assert done.code == 1
    assert "--yes" in done.err
    assert "documents" in platform.library.collections


def test_one_that_is_not_there_cannot_be_deleted(command: Command) -> None:
    done = command("collections", "delete", "missing", "--yes")
    assert (done.code, done.err) == (1, 'groundwire: there is no collection "missing"\n')
