"""Copies of a whole index that is in use: each collection as of one write, the catalog of them."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from groundwire_index import Collection, CollectionSpec, Index, Metric
from groundwire_index.backup import unshared
from groundwire_index.backup.arriving import settle
from groundwire_index.backup.whole import CopiedCollection, IndexCopy
from groundwire_index.errors import (
    DataLossError,
    InvalidArgumentError,
    NotFoundError,
    UnavailableError,
)
from groundwire_index.storage.page_sums import PageSums

from tests.unit.index.copied import all_of, flip, many, writes_to
from tests.unit.index.samples import TENANT, ids, vector

Make = Callable[..., Collection]


def copied(
    folder: Path, begin: Callable[[str, str], None] = lambda *_: None
) -> list[CopiedCollection]:
    target = folder / "copy"
    target.mkdir()
    return list(IndexCopy(folder / "index", target, begin=begin).collections())


@contextmanager
def opened(folder: Path) -> Iterator[Index]:
    """The index that is made of the copy."""
    settle(folder / "copy")
    with Index.open(folder / "copy", segment_bytes=256, background=False) as index:
        yield index


def contents(folder: Path) -> dict[str, bytes]:
    """Of all files but the memory that SQLite's connections share."""
    return {
        str(path): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and not path.name.endswith("-shm")
    }


def names(index: Index, tenant: str = TENANT) -> list[str]:
    return [one.spec.name for one in index.list_collections(tenant)]


def test_it_holds_all_collections_of_all_tenants(index: Index, make: Make, folder: Path) -> None:
    make("a").upsert(many(0, 200))
    make("empty")
    index.create_collection("other", CollectionSpec("a", Metric.DOT, 2, description="of others"))
    index.set_alias(TENANT, "current", "a")
    before = all_of(index.collection(TENANT, "a"))
    found = copied(folder)
    assert [(one.tenant, one.info.spec.name, one.info.records) for one in found] == [
        (TENANT, "a", 200),
        (TENANT, "empty", 0),
        ("other", "a", 0),
    ]
    with opened(folder) as copy:
        assert names(copy) == ["a", "empty"]
        assert all_of(copy.collection(TENANT, "current")) == before
        assert copy.list_collections("other")[0].spec.description == "of others"
        created = [one.create_time for one in index.list_collections(TENANT)]
        assert [one.create_time for one in copy.list_collections(TENANT)] == created
        copy.collection(TENANT, "empty").upsert(many(0, 50))


def test_neither_changes_with_the_other(index: Index, make: Make, folder: Path) -> None:
    make("a").upsert(many(0, 200))
    copied(folder)
    originals = {path.stat().st_ino for path in folder.glob("index/collections/*/*/*")}
    assert originals.isdisjoint(
        path.stat().st_ino for path in folder.glob("copy/collections/*/*/*")
    )
    with opened(folder) as copy:
        copy.collection(TENANT, "a").delete_ids(["r1"])
        index.collection(TENANT, "a").delete_ids(["r2"])
        assert [one and one.id for one in copy.collection(TENANT, "a").get(["r1", "r2"])] == [
            None,
            "r2",
        ]


def test_under_writes_it_holds_exactly_the_first_so_many(
    index: Index, make: Make, folder: Path
) -> None:
    collection = make("a")
    collection.upsert(many(0, 3))
    with writes_to(collection, first=3):
        (found,) = copied(folder)
    with opened(folder) as copy:
        records = copy.collection(TENANT, "a").scroll(limit=1000).records
        assert ids(records) == [f"r{n}" for n in range(min(1000, 3 * found.info.sequence))]


def test_one_that_is_deleted_before_its_turn_is_left_out(
    index: Index, make: Make, folder: Path
) -> None:
    make("a")
    make("b")

    def begin(tenant: str, name: str) -> None:
        if name == "b":
            index.delete_collection(tenant, "b")

    assert len(copied(folder, begin)) == 1
    with opened(folder) as copy:
        assert names(copy) == ["a"]


def test_one_that_is_deleted_after_its_turn_is_not_listed(
    index: Index, make: Make, folder: Path
) -> None:
    make("a").upsert(many(0, 5))
    make("b")

    def begin(tenant: str, name: str) -> None:
        if name == "b":
            index.delete_collection(tenant, "a")

    copied(folder, begin)
    with opened(folder) as copy:
        assert names(copy) == ["b"]


def test_one_that_is_created_meanwhile_is_in_it(index: Index, make: Make, folder: Path) -> None:
    make("b").upsert(many(0, 5))

    def begin(tenant: str, name: str) -> None:
        if name == "b":
            make("a").upsert(many(0, 7))

    copied(folder, begin)
    with opened(folder) as copy:
        assert [(one.spec.name, one.records) for one in copy.list_collections(TENANT)] == [
            ("a", 7),
            ("b", 5),
        ]


@pytest.mark.parametrize("turn", ["a", "b"])
def test_one_that_is_replaced_meanwhile_is_the_former_or_the_restored_one(
    index: Index, make: Make, folder: Path, turn: str
) -> None:
    make("a").upsert(many(0, 5))
    taken = index.snapshots.take(TENANT, "a")
    index.collection(TENANT, "a").upsert(many(5, 5))
    make("b")

    def begin(tenant: str, name: str) -> None:
        if name == turn and index.collection(TENANT, "a").count().count == 10:
            index.snapshots.restore(TENANT, taken.id, replacing=True)

    copied(folder, begin)
    with opened(folder) as copy:
        assert copy.collection(TENANT, "a").count().count == 5


def test_files_that_are_dropped_once_they_are_open_are_copied_nevertheless(
    index: Index, make: Make, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    collection = make("a")
    collection.upsert(many(0, 100))
    before = all_of(collection)
    copy_database = unshared.copy_database

    def compacted(connection: sqlite3.Connection, target: Path) -> None:
        for path in folder.glob("index/collections/*/segments/*"):
            path.unlink()
        copy_database(connection, target)

    monkeypatch.setattr(unshared, "copy_database", compacted)
    copied(folder)
    with opened(folder) as copy:
        assert all_of(copy.collection(TENANT, "a")) == before


def test_a_write_between_its_steps_is_not_in_it(
    make: Make, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    collection = make("a")
    collection.upsert(many(0, 100))
    before = all_of(collection)
    copy_database = unshared.copy_database

    def written(connection: sqlite3.Connection, target: Path) -> None:
        collection.upsert(many(50, 100))
        copy_database(connection, target)

    monkeypatch.setattr(unshared, "copy_database", written)
    (found,) = copied(folder)
    assert found.info.sequence == 1
    with opened(folder) as copy:
        assert all_of(copy.collection(TENANT, "a")) == before


def test_indexes_come_along_and_unsound_ones_are_built_again(index: Index, folder: Path) -> None:
    for name in ("damaged", "sound"):
        index.create_collection(TENANT, CollectionSpec(name, Metric.COSINE, 3, index_kind="hnsw"))
        collection = index.collection(TENANT, name)
        collection.upsert(many(0, 2_000))
        while collection.upkeep.build_index():
            pass
        if name == "damaged":
            (path,) = folder.glob("index/collections/*/anns/*.faiss")
            flip(path, 5_000)
    copies = {one.info.spec.name: list(one.folder.glob("anns/*")) for one in copied(folder)}
    assert (len(copies["damaged"]), len(copies["sound"])) == (0, 1)
    with opened(folder) as copy:
        assert all_of(copy.collection(TENANT, "damaged"))
        assert copy.collection(TENANT, "damaged").upkeep.build_index()
        assert not copy.collection(TENANT, "sound").upkeep.build_index()


def test_cursors_of_before_are_refused(index: Index, make: Make, folder: Path) -> None:
    make("a").upsert(many(0, 20))
    cursor = index.collection(TENANT, "a").scroll(limit=5).next_cursor
    copied(folder)
    with opened(folder) as copy, pytest.raises(InvalidArgumentError, match="cursor"):
        copy.collection(TENANT, "a").scroll(limit=5, cursor=cursor)


def test_a_damaged_collection_is_named_by_its_own_file(
    index: Index, make: Make, folder: Path
) -> None:
    make("a").upsert(many(0, 50))
    (path,) = folder.glob("index/collections/*/segments/1.f32")
    flip(path)
    with pytest.raises(DataLossError, match="index verify") as raised:
        copied(folder)
    assert raised.value.metadata["file"] == str(path)


def test_a_damaged_catalog_is_named(index: Index, make: Make, folder: Path) -> None:
    make("a")
    with sqlite3.connect(folder / "index/catalog.db") as connection:
        connection.execute("UPDATE collections SET name = 'b'")
    connection.close()
    with pytest.raises(DataLossError, match="list of all collections") as raised:
        copied(folder)
    assert raised.value.metadata["file"] == str(folder / "index/catalog.db")


def test_nothing_changes_in_a_folder_that_a_crash_has_left(
    make: Make, folder: Path, tmp_path: Path
) -> None:
    make("a").upsert(many(0, 100))
    left = tmp_path / "index"
    shutil.copytree(folder / "index", left)
    before = contents(left)
    assert any(name.endswith("-wal") for name, content in before.items() if content)
    (found,) = copied(tmp_path)
    assert found.info.records == 100
    assert contents(left) == before


def test_nothing_seems_damaged_afterwards(index: Index, make: Make, folder: Path) -> None:
    with writes_to(make("a"), each=20):
        for number in range(10):
            (folder / str(number)).mkdir()
            copy = IndexCopy(folder / "index", folder / str(number), begin=lambda *_: None)
            list(copy.collections())
    index.close()
    for database in folder.glob("index/**/*.db"):
        assert PageSums(database).differing() == []


def test_a_collection_without_its_folder_is_told(index: Index, make: Make, folder: Path) -> None:
    make("a")
    (lost,) = folder.glob("index/collections/*")
    shutil.rmtree(lost)
    with pytest.raises(UnavailableError, match=str(lost)):
        copied(folder)


def test_each_folder_of_a_copy_is_a_snapshot(index: Index, make: Make, folder: Path) -> None:
    make("a").upsert(many(0, 50))
    (found,) = copied(folder)
    store = folder / "index/snapshots"
    with pytest.raises(NotFoundError):
        index.snapshots.find(TENANT, found.info.id)
    made = index.snapshots.take(TENANT, "a")
    (place,) = store.glob(f"*/{made.id}")
    shutil.copytree(found.folder, place.with_name(found.info.id))
    restored = index.snapshots.restore(TENANT, found.info.id, name="b")
    assert restored.records == 50
    assert vector(1, 1, 2).tolist() == all_of(index.collection(TENANT, "b"))["r0"][2]
