"""What was deleted is in no file any more, once it is purged."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from groundwire_index import Collection, CollectionSpec, Index, Metric, Record
from groundwire_index.inspect import stat
from groundwire_index.purge import RETENTION_S
from groundwire_index.stopped import stopped
from groundwire_index.verify import verify

from tests.unit.index.samples import TENANT, Clock, record, vector

SECRET = "Zanzibarian xylophones"
WORDS = (b"zanzibarian", b"xylophon")
FIELD = b"quarantined"


@pytest.fixture
def index(folder: Path, clock: Clock) -> Iterator[Index]:
    with Index.open(folder / "i", now=clock, background=False, index_fields_from=0) as index:
        yield index


@pytest.fixture
def collection(index: Index) -> Collection:
    index.create_collection(TENANT, CollectionSpec("c", Metric.COSINE, 3))
    collection = index.collection(TENANT, "c")
    collection.upsert([record(str(n), vector(1, 2, n), f"plain {n}") for n in range(50)])
    collection.upsert([Record("s", vector(1, 1, 1), SECRET, {"ward": FIELD.decode()})])
    return collection


def holding(folder: Path) -> list[str]:
    """Files in which something of it can be read."""
    contents = {path: path.read_bytes().lower() for path in folder.rglob("*") if path.is_file()}
    return [
        path.name for path, held in contents.items() if any(one in held for one in (*WORDS, FIELD))
    ]


@pytest.mark.parametrize(
    "remove",
    [
        lambda collection: collection.delete_ids(["s"]),
        lambda collection: collection.upsert([record("s", text="harmless")]),
    ],
    ids=["deleted", "replaced"],
)
@pytest.mark.parametrize("purged_by", ["a look", "a write"])
def test_purged_text_is_in_no_file(
    folder: Path,
    clock: Clock,
    index: Index,
    collection: Collection,
    remove: Callable[[Collection], object],
    purged_by: str,
) -> None:
    remove(collection)
    assert holding(folder)
    clock.advance(RETENTION_S + 1)
    if purged_by == "a write":
        collection.upsert([record("another", text="plain")])
    index.purge()
    assert holding(folder) == []
    index.close()
    with stopped(folder / "i") as left:
        (found,) = left.collections()
        assert list(verify(found, left.connections)) == []
        assert stat(found, left.connections).records in (50, 51, 52)


def test_a_reader_in_the_way_only_delays_it(
    folder: Path, clock: Clock, index: Index, collection: Collection
) -> None:
    collection.delete_ids(["s"])
    clock.advance(RETENTION_S + 1)
    with collection._store.snapshot():
        index.purge()
        assert holding(folder)
    index.purge()
    assert holding(folder) == []
