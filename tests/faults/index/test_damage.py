"""Files that changed behind the index's back: found, named, left out, never served wrong."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
from groundwire_index import Collection, CollectionSpec, CollectionState, Index, Metric, SearchMode
from groundwire_index.errors import DataLossError, FailedPreconditionError
from groundwire_index.records import SearchQuery

from tests.unit.index.samples import TENANT, WITH_VECTOR, Clock, record, vector

SPEC = CollectionSpec("c", Metric.COSINE, 3)
WIDTH = 12


def make(folder: Path) -> None:
    with Index.open(folder, segment_bytes=4 * WIDTH) as index:
        for name in ("c", "other"):
            index.create_collection(TENANT, CollectionSpec(name, Metric.COSINE, 3))
            collection = index.collection(TENANT, name)
            collection.upsert([record(f"r{n}", vector(1, n, n * n), f"word{n}") for n in range(10)])


def collection_folder(folder: Path) -> Path:
    with Index.open(folder) as index:
        return index.collection(TENANT, "c")._store.folder


def flip(path: Path, offset: int, bit: int) -> None:
    data = bytearray(path.read_bytes())
    data[offset] ^= 1 << bit
    path.write_bytes(data)


def cut(path: Path, size: int) -> None:
    path.write_bytes(path.read_bytes()[:size])


def check_damaged(collection: Collection, lost: set[str], name: str) -> None:
    found = collection.search(SearchQuery(vector(1, 2, 3), top_k=100))
    assert {hit.id for hit in found.hits} == {f"r{n}" for n in range(10)} - lost
    assert collection.info().state is CollectionState.DAMAGED
    for key in lost:
        with pytest.raises(DataLossError, match=name):
            collection.get([key], WITH_VECTOR)
    words = SearchQuery(text="word1 word5 word9", mode=SearchMode.LEXICAL)
    assert len(collection.search(words).hits) == 3
    assert collection.count().count == 10
    for write in (
        lambda: collection.upsert([record("new")]),
        lambda: collection.delete_ids(["r0"]),
    ):
        with pytest.raises(DataLossError, match="restore") as caught:
            write()
        assert caught.value.metadata["file"].endswith(name)


@pytest.mark.parametrize("seed", range(8))
def test_a_flipped_bit_is_found_and_the_rest_served(tmp_path: Path, seed: int) -> None:
    make(tmp_path)
    random = np.random.default_rng(seed)
    segment, offset = int(random.integers(1, 3)), int(random.integers(4 * WIDTH))
    file = collection_folder(tmp_path) / "segments" / f"{segment}.f32"
    flip(file, offset, int(random.integers(8)))
    with Index.open(tmp_path) as index:
        lost = {f"r{(segment - 1) * 4 + offset // WIDTH}"}
        check_damaged(index.collection(TENANT, "c"), lost, f"{segment}.f32")
        other = index.collection(TENANT, "other")
        assert other.info().state is CollectionState.READY
        other.upsert([record("new")])


def test_damage_is_remembered_until_the_file_is_mended(tmp_path: Path) -> None:
    make(tmp_path)
    file = collection_folder(tmp_path) / "segments" / "1.f32"
    flip(file, 5, 5)
    with Index.open(tmp_path) as index:
        index.collection(TENANT, "c").search(SearchQuery(vector(1, 2, 3)))
    with Index.open(tmp_path) as index:
        assert index.collection(TENANT, "c").info().state is CollectionState.DAMAGED
    flip(file, 5, 5)
    with Index.open(tmp_path) as index:
        collection = index.collection(TENANT, "c")
        assert len(collection.search(SearchQuery(vector(1, 2, 3), top_k=20)).hits) == 10
        assert collection.info().state is CollectionState.READY
        collection.upsert([record("new")])


@pytest.mark.parametrize(
    ("break_it", "lost"),
    [
        (lambda file: cut(file, 2 * WIDTH), {"r6", "r7"}),
        (lambda file: cut(file, 2 * WIDTH + 3), {"r6", "r7"}),
        (lambda file: cut(file, 0), {"r4", "r5", "r6", "r7"}),
        (lambda file: file.unlink(), {"r4", "r5", "r6", "r7"}),
    ],
)
def test_a_file_that_is_too_short_is_found(
    tmp_path: Path, break_it: Callable[[Path], object], lost: set[str]
) -> None:
    make(tmp_path)
    break_it(collection_folder(tmp_path) / "segments" / "2.f32")
    with Index.open(tmp_path) as index:
        check_damaged(index.collection(TENANT, "c"), lost, "2.f32")


def test_a_write_finds_damage_before_any_search_does(tmp_path: Path) -> None:
    make(tmp_path)
    flip(collection_folder(tmp_path) / "segments" / "1.f32", 0, 0)
    with Index.open(tmp_path) as index, pytest.raises(DataLossError, match=r"1\.f32"):
        index.collection(TENANT, "c").upsert([record("new")])


def test_a_vector_that_is_damaged_while_in_use_is_never_given_out(tmp_path: Path) -> None:
    make(tmp_path)
    with Index.open(tmp_path) as index:
        collection = index.collection(TENANT, "c")
        collection.search(SearchQuery(vector(1, 2, 3)))
        with (collection._store.folder / "segments" / "1.f32").open("r+b") as file:
            file.write(b"\xff")
        with pytest.raises(DataLossError, match=r"1\.f32"):
            collection.get(["r0"], WITH_VECTOR)


@pytest.mark.parametrize("content", [b"", b"not a database at all" * 100, None])
def test_a_database_that_cannot_be_read_is_named_and_can_be_deleted(
    tmp_path: Path, content: bytes | None
) -> None:
    make(tmp_path)
    database = collection_folder(tmp_path) / "collection.db"
    if content is None:
        database.unlink()
    else:
        database.write_bytes(content)
    with Index.open(tmp_path) as index:
        with pytest.raises(DataLossError, match=r"collection\.db"):
            index.collection(TENANT, "c").count()
        listed = {info.name: info.state for info in index.list_collections(TENANT)}
        assert listed == {"c": CollectionState.DAMAGED, "other": CollectionState.READY}
        index.delete_collection(TENANT, "c")
        assert [info.name for info in index.list_collections(TENANT)] == ["other"]
        assert not database.parent.exists()


@pytest.mark.parametrize(
    ("content", "bit"),
    # A text that is no UTF-8 any more, metadata that are no JSON, and others that mean the same
    # to SQLite.
    [(b"word5", 7), (b'{"shelf":5}', 1), (b"word5", 0), (b"5}", 1)],
)
def test_a_record_that_is_not_as_it_was_is_data_loss(
    tmp_path: Path, content: bytes, bit: int
) -> None:
    with Index.open(tmp_path) as index:
        index.create_collection(TENANT, SPEC)
        collection = index.collection(TENANT, "c")
        collection.upsert(
            [record(f"r{n}", vector(1, n, 0), f"word{n}", metadata={"shelf": n}) for n in range(9)]
        )
    database = collection_folder(tmp_path) / "collection.db"
    data = database.read_bytes()
    flip(database, data.index(content, data.index(b'{"shelf":5}')), bit)
    with Index.open(tmp_path) as index:
        collection = index.collection(TENANT, "c")
        with pytest.raises(DataLossError, match=r"collection\.db is damaged") as caught:
            collection.get(["r5"])
        assert caught.value.metadata["file"] == str(database)
        assert collection.info().state is CollectionState.DAMAGED
        with pytest.raises(DataLossError, match='record "r5"'):
            collection.upsert([record("new")])
        (sound,) = collection.get(["r3"])
        assert sound is not None
        assert (sound.text, sound.metadata) == ("word3", {"shelf": 3})


def test_a_record_that_is_damaged_while_in_use_is_never_given_out(tmp_path: Path) -> None:
    make(tmp_path)
    with Index.open(tmp_path) as index:
        collection = index.collection(TENANT, "c")
        with closing(sqlite3.connect(collection._store.database)) as other, other:
            other.execute("UPDATE rows SET text = 'word7' WHERE id = 'r5'")
        for read in (
            lambda: collection.get(["r5"]),
            collection.scroll,
            lambda: collection.search(SearchQuery(vector(1, 5, 25))),
        ):
            with pytest.raises(DataLossError, match=r'collection.db is damaged \(record "r5"'):
                read()
        assert collection.get(["r6"]) != [None]


def test_a_record_that_is_damaged_after_a_kill_costs_no_other_however_often_it_is_opened(
    tmp_path: Path,
) -> None:
    make(tmp_path)
    killed = tmp_path / "killed"
    with Index.open(tmp_path / "index") as index:
        index.create_collection(TENANT, SPEC)
        collection = index.collection(TENANT, "c")
        collection.upsert([record(f"r{n}", vector(1, n, 0), f"word{n} " * 99) for n in range(99)])
        collection.close(FailedPreconditionError("so that all is in its place"))
    with Index.open(tmp_path / "index") as index:
        collection = index.collection(TENANT, "c")
        collection.upsert([record("new", vector(1, 1, 1), "word")])
        shutil.copytree(tmp_path / "index", killed)
        database = killed / collection._store.database.relative_to(tmp_path / "index")
    flip(database, database.read_bytes().index(b"word50 word50"), 0)
    for _ in range(3):
        with Index.open(killed) as index:
            collection = index.collection(TENANT, "c")
            assert collection.get(["r1", "new"]) != [None, None]
            with pytest.raises(DataLossError, match='record "r50"'):
                collection.get(["r50"])


@pytest.mark.parametrize("content", [b"word5", b"CREATE TABLE rows"])
def test_restoring_mends_it(tmp_path: Path, content: bytes) -> None:
    make(tmp_path)
    with Index.open(tmp_path) as index:
        snapshot = index.snapshots.take(TENANT, "c")
        database = index.collection(TENANT, "c")._store.database
    flip(database, database.read_bytes().index(content) + len(content) - 1, 1)
    with Index.open(tmp_path) as index:
        (info, _) = index.list_collections(TENANT)
        assert info.state is CollectionState.DAMAGED
        with pytest.raises(DataLossError):
            index.snapshots.take(TENANT, "c")
        index.snapshots.restore(TENANT, snapshot.id, replacing=True)
        collection = index.collection(TENANT, "c")
        assert collection.info().state is CollectionState.READY
        collection.upsert([record("new")])
        assert len(collection.scroll().records) == 11


def test_what_is_derived_is_made_again(tmp_path: Path) -> None:
    make(tmp_path)
    with Index.open(tmp_path) as index:
        database = index.collection(TENANT, "c")._store.database
        sequence = index.collection(TENANT, "c").info().sequence
    with closing(sqlite3.connect(database)) as other, other:
        other.execute("UPDATE postings SET data = zeroblob(6)")
        other.execute("UPDATE segments SET slots = 1")
        other.execute("DELETE FROM blocks")
    with Index.open(tmp_path) as index:
        check_sound(index.collection(TENANT, "c"))
        assert index.collection(TENANT, "c").info().sequence == sequence
        index.collection(TENANT, "c").upsert([record("new")])
    with Index.open(tmp_path) as index:
        assert index.collection(TENANT, "c").count().count == 11


def check_sound(collection: Collection) -> None:
    assert collection.info().state is CollectionState.READY
    assert len(collection.search(SearchQuery(vector(1, 2, 3), top_k=100)).hits) == 10
    words = SearchQuery(text="word1 word5 word9", mode=SearchMode.LEXICAL)
    assert len(collection.search(words).hits) == 3


def test_a_damaged_catalog_loses_no_collection(tmp_path: Path) -> None:
    make(tmp_path)
    folder = collection_folder(tmp_path)
    catalog = tmp_path / "catalog.db"
    at = catalog.read_bytes().index(folder.name.encode())
    flip(catalog, at, 1)
    with Index.open(tmp_path) as index:
        for name in ("c", "no such"):
            with pytest.raises(DataLossError, match=r"catalog\.db is damaged"):
                index.collection(TENANT, name)
        check_sound(index.collection(TENANT, "other"))
    flip(catalog, at, 1)
    with Index.open(tmp_path) as index:
        check_sound(index.collection(TENANT, "c"))


def test_a_file_of_another_release_is_refused(tmp_path: Path) -> None:
    make(tmp_path)
    with closing(sqlite3.connect(tmp_path / "catalog.db")) as catalog:
        catalog.execute("PRAGMA user_version = 99")
    with pytest.raises(FailedPreconditionError, match="format 99"):
        Index.open(tmp_path)


def test_a_damaged_collection_keeps_no_other_from_being_purged(tmp_path: Path) -> None:
    make(tmp_path)
    flip(collection_folder(tmp_path) / "segments" / "1.f32", 0, 0)
    clock = Clock()
    with Index.open(tmp_path, now=clock) as index:
        _, other = index.collection(TENANT, "c"), index.collection(TENANT, "other")
        other.delete_ids(["r1"])
        clock.advance(3601)
        with pytest.raises(DataLossError, match=r"1\.f32"):
            index.purge()
        assert other.upkeep.purge() == 0
