"""The folders of collections: there with the collection, and gone with it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from groundwire_index import CollectionSpec, Index, Metric
from groundwire_index.errors import ResourceExhaustedError

from tests.unit.index.samples import TENANT, record

SPEC = CollectionSpec("books", Metric.COSINE, 3)


@pytest.fixture
def index(folder: Path) -> Iterator[Index]:
    with Index.open(folder) as opened:
        yield opened


def folders(folder: Path) -> list[Path]:
    return list((folder / "collections").iterdir())


def full(path: Path) -> None:
    path.mkdir()
    raise ResourceExhaustedError("the disk is full")


def test_deleting_leaves_no_files(index: Index, folder: Path) -> None:
    index.create_collection(TENANT, SPEC)
    index.collection(TENANT, "books").upsert([record("a")])
    assert len(folders(folder)) == 1
    index.delete_collection(TENANT, "books")
    assert folders(folder) == []


def test_what_could_not_be_made_leaves_no_files(index: Index, folder: Path) -> None:
    with pytest.raises(ResourceExhaustedError):
        index.adopt(TENANT, SPEC, full, replacing=False)
    assert folders(folder) == []
    assert index.list_collections(TENANT) == []


def test_folders_that_no_collection_owns_are_swept_when_opening(folder: Path) -> None:
    with Index.open(folder) as index:
        index.create_collection(TENANT, SPEC)
        (owned,) = folders(folder)
    orphan = folder / "collections" / "0123"
    orphan.mkdir()
    (orphan / "collection.db").write_bytes(b"half made")
    with Index.open(folder):
        assert folders(folder) == [owned]
