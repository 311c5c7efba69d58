"""Snapshots: taken while in use, sharing what cannot change, restored to exactly one write."""

from __future__ import annotations

import tempfile
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from groundwire_index import (
    Collection,
    CollectionSpec,
    Index,
    Metric,
    Record,
    SearchQuery,
    VectorType,
)
from groundwire_index.backup import store
from groundwire_index.backup.transfer import Piece
from groundwire_index.errors import (
    AlreadyExistsError,
    DataLossError,
    InvalidArgumentError,
    NotFoundError,
    UnavailableError,
)
from groundwire_index.records import Include
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.index import oracle
from tests.unit.index.copied import all_of, flip, many, writes_to
from tests.unit.index.samples import TENANT, Clock, hit_ids, ids, vector

Writes = list[tuple[str, int, int]]


def inodes(folder: Path) -> dict[str, int]:
    return {path.name: path.stat().st_ino for path in folder.glob("segments/*.f32")}


def snapshot_folder(folder: Path, snapshot_id: str) -> Path:
    (found,) = folder.glob(f"index/snapshots/*/{snapshot_id}")
    return found


def test_it_is_restored_under_a_new_name_and_neither_changes_with_the_other(
    index: Index, collection: Collection
) -> None:
    collection.upsert(many(0, 50))
    before = all_of(collection)
    taken = index.snapshots.take(TENANT, "c")
    collection.upsert(many(25, 50))
    after = all_of(collection)
    info = index.snapshots.restore(TENANT, taken.id, name="copy")
    copy = index.collection(TENANT, "copy")
    assert (info.spec.name, info.records, info.sequence) == ("copy", 50, taken.sequence)
    assert all_of(copy) == before
    copy.upsert(many(100, 40))
    assert len(all_of(copy)) == 90
    assert all_of(collection) == after
    again = index.snapshots.restore(TENANT, taken.id, name="again")
    assert again.records == 50
    assert all_of(index.collection(TENANT, "again")) == before


def test_copies_that_grow_apart_are_sound_when_they_are_opened_again(
    folder: Path, clock: Clock
) -> None:
    with Index.open(folder / "index", now=clock, segment_bytes=256) as index:
        index.create_collection(TENANT, CollectionSpec("c", Metric.COSINE, 3))
        collection = index.collection(TENANT, "c")
        for number in range(30):
            collection.upsert(many(number, 1))
            taken = index.snapshots.take(TENANT, "c")
        for name in ("copy", "twin"):
            index.snapshots.restore(TENANT, taken.id, name=name)
        index.collection(TENANT, "copy").upsert(many(1000, 30))
        index.collection(TENANT, "twin").upsert(many(3000, 30))
        collection.upsert(many(2000, 30))
    # Larger segments: what was full is not any more.
    with Index.open(folder / "index", now=clock, segment_bytes=4096) as index:
        for name, first in (("c", 2000), ("copy", 1000), ("twin", 3000)):
            opened = index.collection(TENANT, name)
            opened.upsert(many(first + 30, 10))
            keys = {f"r{number}" for number in (*range(30), *range(first, first + 40))}
            assert set(all_of(opened)) == keys
            hits = opened.search(SearchQuery(vector(1, 1, 1), top_k=100)).hits
            assert {hit.id for hit in hits} == keys
        assert index.snapshots.restore(TENANT, taken.id, name="third").records == 30


def test_an_unchanged_segment_costs_no_room_and_the_last_one_is_copied(
    index: Index, collection: Collection, folder: Path
) -> None:
    collection.upsert(many(0, 50))
    first = inodes(snapshot_folder(folder, index.snapshots.take(TENANT, "c").id))
    second = inodes(snapshot_folder(folder, index.snapshots.take(TENANT, "c").id))
    last = max(first, key=lambda name: int(name.removesuffix(".f32")))
    assert len(first) == 3
    assert {name for name in first if first[name] == second[name]} == set(first) - {last}


def test_in_place_it_puts_everything_back(index: Index, collection: Collection) -> None:
    collection.upsert(many(0, 50))
    taken = index.snapshots.take(TENANT, "c")
    before = all_of(collection)
    cursor = collection.scroll(limit=10).next_cursor
    collection.delete_ids([f"r{number}" for number in range(40)])
    index.snapshots.restore(TENANT, taken.id, replacing=True)
    restored = index.collection(TENANT, "c")
    assert all_of(restored) == before
    with pytest.raises(UnavailableError, match="just been restored"):
        collection.upsert(many(0, 1))
    with pytest.raises(InvalidArgumentError):
        restored.scroll(cursor=cursor)
    assert restored.upsert(many(50, 1)).sequence == taken.sequence + 1


def test_it_outlives_the_collection(index: Index, collection: Collection, folder: Path) -> None:
    collection.upsert(many(0, 50))
    taken = index.snapshots.take(TENANT, "c")
    index.delete_collection(TENANT, "c")
    index.close()
    with Index.open(folder / "index") as opened:
        assert opened.snapshots.page(TENANT, collection="c") == [taken]
        assert opened.snapshots.restore(TENANT, taken.id).records == 50


def test_a_taken_name_is_refused_unless_replacing_was_asked_for(
    index: Index, collection: Collection, make: Callable[..., Collection]
) -> None:
    taken = index.snapshots.take(TENANT, "c")
    with pytest.raises(AlreadyExistsError, match='"c" is there already'):
        index.snapshots.restore(TENANT, taken.id)
    make("other")
    index.set_alias(TENANT, "alias", "other")
    for replacing in (False, True):
        with pytest.raises(AlreadyExistsError, match="alias"):
            index.snapshots.restore(TENANT, taken.id, name="alias", replacing=replacing)
    assert index.snapshots.restore(TENANT, taken.id, name="new", replacing=True).records == 0


def test_they_are_listed_newest_first_by_tenant_and_deleted(
    index: Index, collection: Collection, make: Callable[..., Collection], clock: Clock
) -> None:
    make("d")
    taken = []
    for name in ("c", "d", "c"):
        taken.append(index.snapshots.take(TENANT, name))
        clock.advance(1)
    newest_first = taken[::-1]
    assert index.snapshots.page(TENANT) == newest_first
    assert index.snapshots.page(TENANT, collection="c") == [taken[2], taken[0]]
    assert index.snapshots.page(TENANT, before=taken[2].id, limit=1) == [taken[1]]
    assert index.snapshots.page("somebody else") == []
    index.snapshots.delete(TENANT, taken[1].id)
    assert index.snapshots.page(TENANT) == [taken[2], taken[0]]
    for call in (index.snapshots.delete, index.snapshots.find, index.snapshots.restore):
        for missing in (taken[1].id, "../../collections", ""):
            with pytest.raises(NotFoundError, match="there is no snapshot"):
                call(TENANT, missing)


def test_a_key_takes_one_snapshot(
    index: Index, collection: Collection, make: Callable[..., Collection]
) -> None:
    taken = index.snapshots.take(TENANT, "c", idempotency_key="k")
    collection.upsert(many(0, 1))
    assert index.snapshots.take(TENANT, "c", idempotency_key="k") == taken
    assert index.snapshots.take(TENANT, "c").id != taken.id
    make("d")
    with pytest.raises(AlreadyExistsError, match="another request"):
        index.snapshots.take(TENANT, "d", idempotency_key="k")


@pytest.mark.parametrize("name", ["collection.db", "segments/1.f32", "segments/3.f32"])
def test_a_flipped_bit_is_named_and_the_collection_stays(
    index: Index, collection: Collection, folder: Path, name: str
) -> None:
    collection.upsert(many(0, 50))
    taken = index.snapshots.take(TENANT, "c")
    path = snapshot_folder(folder, taken.id) / name
    content = path.read_bytes()
    # A file of its own: what is shared would be damaged for the collection too.
    path.unlink()
    path.write_bytes(content)
    flip(path)
    before = all_of(collection)
    for target in ({"name": "new"}, {"replacing": True}):
        with pytest.raises(DataLossError, match=name) as caught:
            index.snapshots.restore(TENANT, taken.id, **target)  # type: ignore[arg-type]
        assert caught.value.metadata["file"] == str(path)
    assert all_of(index.collection(TENANT, "c")) == before
    with pytest.raises(NotFoundError):
        index.collection(TENANT, "new")
    assert len(list((folder / "index" / "collections").iterdir())) == 1


def test_a_damaged_manifest_is_named_and_the_others_are_listed(
    index: Index, collection: Collection, folder: Path
) -> None:
    good, bad = (index.snapshots.take(TENANT, "c") for _ in range(2))
    flip(snapshot_folder(folder, bad.id) / "manifest.json")
    assert index.snapshots.page(TENANT) == [good]
    with pytest.raises(DataLossError, match=r"manifest\.json"):
        index.snapshots.restore(TENANT, bad.id, replacing=True)
    index.snapshots.delete(TENANT, bad.id)


def test_a_damaged_collection_is_not_taken(
    index: Index, collection: Collection, folder: Path
) -> None:
    collection.upsert(many(0, 50))
    (path,) = folder.glob("index/collections/*/segments/1.f32")
    flip(path)
    with pytest.raises(DataLossError, match=r"segments/1\.f32"):
        index.snapshots.take(TENANT, "c")
    assert index.snapshots.page(TENANT) == []
    assert list(folder.glob("index/snapshots/*/*")) == []


def test_under_writes_it_holds_exactly_the_first_so_many(
    index: Index, collection: Collection
) -> None:
    with writes_to(collection):
        taken = [index.snapshots.take(TENANT, "c") for _ in range(10)]
    for number, one in enumerate(taken):
        index.snapshots.restore(TENANT, one.id, name=f"copy{number}")
        copy = index.collection(TENANT, f"copy{number}")
        assert copy.count().count == 3 * one.sequence == one.records
        page = copy.scroll(limit=1000, include=Include())
        assert ids(page.records) == [f"r{k}" for k in range(min(1000, 3 * one.sequence))]


def test_readers_see_the_former_or_the_restored_one(index: Index, collection: Collection) -> None:
    collection.upsert(many(0, 20))
    taken = index.snapshots.take(TENANT, "c")
    collection.upsert([replace(one, text="new") for one in many(0, 20)])
    seen: list[set[str | None]] = []
    done = threading.Event()

    def read() -> None:
        while not done.is_set():
            try:
                found = index.collection(TENANT, "c").get([f"r{k}" for k in range(20)])
            except UnavailableError:
                continue
            seen.append({"new" if one and one.text == "new" else "old" for one in found})

    readers = [threading.Thread(target=read) for _ in range(3)]
    for reader in readers:
        reader.start()
    for _ in range(5):
        index.snapshots.restore(TENANT, taken.id, replacing=True)
        index.collection(TENANT, "c").upsert([replace(one, text="new") for one in many(0, 20)])
    done.set()
    for reader in readers:
        reader.join()
    assert all(len(one) == 1 for one in seen)


def moved(index: Index, source: str, snapshot_id: str, target: str) -> Iterator[Piece]:
    """Send a snapshot from one tenant to another, and see what comes by."""
    incoming = index.snapshots.incoming(target)
    try:
        for piece in index.snapshots.outgoing(source, snapshot_id):
            yield piece
            incoming.add(piece)
        incoming.finish()
    finally:
        incoming.discard()


@pytest.mark.parametrize("vector_type", VectorType)
def test_it_travels_in_pieces(
    index: Index, make: Callable[..., Collection], vector_type: VectorType
) -> None:
    collection = make(vector_type=vector_type)
    collection.upsert(many(0, 50))
    taken = index.snapshots.take(TENANT, "c")
    for _ in range(2):
        names = [piece.file for piece in moved(index, TENANT, taken.id, "other")]
        assert names[:2] == ["manifest.json", "collection.db"]
    assert index.snapshots.page("other") == [taken]
    restored = index.snapshots.restore("other", taken.id)
    assert restored.spec == collection.spec
    assert all_of(index.collection("other", "c")) == all_of(collection)


@pytest.mark.parametrize("damage", ["bit", "order", "offset", "missing", "manifest", "path"])
def test_what_arrives_damaged_leaves_nothing(
    index: Index, collection: Collection, folder: Path, damage: str
) -> None:
    collection.upsert(many(0, 50))
    taken = index.snapshots.take(TENANT, "c")
    pieces = list(index.snapshots.outgoing(TENANT, taken.id))
    match damage:
        case "bit":
            pieces[1] = replace(pieces[1], data=b"x" + pieces[1].data[1:])
        case "order":
            pieces[1], pieces[2] = pieces[2], pieces[1]
        case "offset":
            pieces[1] = replace(pieces[1], offset=1)
        case "missing":
            pieces.pop()
        case "manifest":
            pieces.pop(0)
        case "path":
            pieces[1] = replace(pieces[1], file="../../catalog.db")
    incoming = index.snapshots.incoming("other")

    def receive() -> None:
        for piece in pieces:
            incoming.add(piece)
        incoming.finish()

    with pytest.raises(DataLossError if damage == "bit" else InvalidArgumentError):
        receive()
    incoming.discard()
    assert index.snapshots.page("other") == []
    assert len(list(folder.glob("index/snapshots/*/*"))) == 1


def test_what_a_crash_left_is_swept(index: Index, collection: Collection, folder: Path) -> None:
    taken = index.snapshots.take(TENANT, "c")
    index.close()
    left = snapshot_folder(folder, taken.id).with_name(f"{taken.id}.1234.new")
    left.mkdir()
    (left / "collection.db").write_bytes(b"half")
    store.SnapshotStore(folder / "index", Clock())
    assert not left.exists()


@settings(max_examples=20)
@given(
    st.lists(st.tuples(st.sampled_from("wd"), st.integers(0, 30), st.integers(1, 12)), max_size=12),
    st.integers(0, 12),
)
def test_at_any_point_of_any_writes_it_restores_what_was_there(writes: Writes, at: int) -> None:
    with (
        tempfile.TemporaryDirectory(dir="/dev/shm") as path,
        Index.open(Path(path), segment_bytes=256, background=False) as index,
    ):
        index.create_collection(TENANT, CollectionSpec("c", Metric.COSINE, 3))
        collection = index.collection(TENANT, "c")
        expected: dict[str, Record] = {}
        for number, (kind, first, count) in enumerate([*writes, ("w", 0, 1)]):
            if number == min(at, len(writes)):
                taken, kept = index.snapshots.take(TENANT, "c"), dict(expected)
            if kind == "w":
                batch = [replace(one, text=f"of {number}") for one in many(first, count)]
                collection.upsert(batch)
                expected |= {one.id: one for one in batch}
            else:
                gone = [f"r{k}" for k in range(first, first + count)]
                collection.delete_ids(gone)
                expected = {key: one for key, one in expected.items() if key not in gone}
        index.snapshots.restore(TENANT, taken.id, name="copy")
        copy = index.collection(TENANT, "copy")
        texts = {key: text for key, (text, *_) in all_of(copy).items()}
        assert texts == {key: one.text for key, one in kept.items()}
        query = np.array([3, 1, 2], np.float32)
        found = copy.search(SearchQuery(query, top_k=50))
        best = oracle.best(kept, Metric.COSINE, query, 50)
        assert set(hit_ids(found)) == {key for key, _ in best}
