"""Snapshots of a process that is killed, or whose disk is full: whole, or not there."""

from __future__ import annotations

import errno
import os
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
from groundwire_index import Collection, CollectionSpec, Index, Metric, Record, SearchQuery
from groundwire_index.backup import files, store
from groundwire_index.errors import GroundwireError, NotFoundError, ResourceExhaustedError
from groundwire_index.records import Include

from tests.faults.index.killing import expected_after, run_until_killed
from tests.faults.index.snapshotting_child import open_index
from tests.faults.index.writing_child import DIMENSION, TENANT
from tests.unit.index import oracle

KILLS = int(os.environ.get("GROUNDWIRE_TEST_KILLS", "12"))


def check(collection: Collection, expected: Mapping[str, Record], seed: int) -> None:
    found = collection.scroll(limit=1000, include=Include(vector=True)).records
    assert {one.id: one.text for one in found} == {one.id: one.text for one in expected.values()}
    for one in found:
        np.testing.assert_equal(one.vector, expected[one.id].vector)
    query = np.random.default_rng(seed).normal(size=DIMENSION).astype(np.float32)
    hits = collection.search(SearchQuery(query, top_k=1000)).hits
    best = oracle.best(expected, Metric.COSINE, query, 1000)
    oracle.assert_same_ranking([(hit.id, hit.score) for hit in hits], best)


@pytest.mark.parametrize("seed", range(KILLS))
def test_after_a_kill_all_is_there_and_each_snapshot_is_whole(tmp_path: Path, seed: int) -> None:
    begun, done = run_until_killed(tmp_path, seed, "snapshotting_child", (2, 60))
    with open_index(tmp_path) as index:
        try:
            collection = index.collection(TENANT, "c")
        except NotFoundError:
            assert done == 0
            return
        kept = collection.info().sequence
        assert kept in (done, begun)
        check(collection, expected_after(seed, kept), seed)
        for number, taken in enumerate(index.snapshots.page(TENANT)):
            index.snapshots.restore(TENANT, taken.id, name=f"copy{number}")
            copy = index.collection(TENANT, f"copy{number}")
            check(copy, expected_after(seed, taken.sequence), seed)
        listed = {one.id for one in index.snapshots.page(TENANT, limit=1000)}
        assert {path.name for path in tmp_path.glob("snapshots/*/*")} == listed


def failing(real: object, after: int) -> object:
    """Does what it did, so many times, and then finds the disk full."""
    calls = iter(range(after))

    def fail(*args: object, **named: object) -> object:
        if next(calls, None) is None:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return real(*args, **named)  # type: ignore[operator]

    return fail


@pytest.fixture
def index(tmp_path: Path) -> Index:
    return open_index(tmp_path)


@pytest.mark.parametrize(
    ("owner", "name", "after"),
    [
        (os, "fsync", 0),
        (os, "fsync", 3),
        (os, "link", 0),
        (os, "link", 1),
        (files, "copy", 0),
        (store, "encode", 0),
        (Path, "rename", 0),
    ],
)
def test_a_full_disk_leaves_nothing_half(
    tmp_path: Path, index: Index, owner: object, name: str, after: int
) -> None:
    with index:
        index.create_collection(TENANT, CollectionSpec("c", Metric.COSINE, DIMENSION))
        collection = index.collection(TENANT, "c")
        expected = expected_after(7, 0) | {
            f"r{n}": Record(f"r{n}", np.full(DIMENSION, n + 1, np.float32) + np.eye(DIMENSION)[0])
            for n in range(130)
        }
        collection.upsert(list(expected.values()))
        taken = index.snapshots.take(TENANT, "c")
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(owner, name, failing(getattr(owner, name), after))
            with pytest.raises(ResourceExhaustedError):
                index.snapshots.take(TENANT, "c")
            if owner is not store and name != "rename":
                with pytest.raises(GroundwireError):
                    index.snapshots.restore(TENANT, taken.id, replacing=True)
        assert index.snapshots.page(TENANT) == [taken]
        assert len(list(tmp_path.glob("snapshots/*/*"))) == 1
        assert len(list((tmp_path / "collections").iterdir())) == 1
        check(index.collection(TENANT, "c"), expected, 0)
        index.snapshots.restore(TENANT, index.snapshots.take(TENANT, "c").id, replacing=True)
        check(index.collection(TENANT, "c"), expected, 0)
