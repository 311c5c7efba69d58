"""A process that is killed while it tends its collections leaves them whole."""

from __future__ import annotations

import os
import zlib
from collections import Counter
from collections.abc import Mapping
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
from groundwire_index import (
    Collection,
    CollectionSpec,
    Index,
    Metric,
    Record,
    SearchMode,
    ann_builder,
    compaction,
    field_indexer,
)
from groundwire_index.errors import NotFoundError
from groundwire_index.filters import Condition, Operator
from groundwire_index.purge import Retention
from groundwire_index.records import Include, SearchQuery
from groundwire_index.storage.connections import Role

from tests.faults.index.killing import expected_after, run_until_killed
from tests.faults.index.tending_child import (
    TENDING,
    open_index,
    small_steps,
    spec_of,
    tend,
)
from tests.faults.index.writing_child import DIMENSION, TENANT, writes
from tests.unit.index import oracle

# Each takes a second or two. More are asked for from outside.
KILLS = int(os.environ.get("GROUNDWIRE_TEST_KILLS", "16"))
LINES = (2, 200)

Records = Mapping[str, Record]


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the child does is done in small steps here too."""
    for module, name in (
        (ann_builder, "LEAST"),
        (compaction, "_SLICE"),
        (compaction, "_PATIENCE_S"),
        (field_indexer, "SLICE"),
    ):
        monkeypatch.setattr(module, name, getattr(module, name))
    small_steps()


@pytest.mark.parametrize("seed", range(KILLS))
def test_after_a_kill_all_is_there_and_found_and_nothing_leaks(tmp_path: Path, seed: int) -> None:
    begun, done = run_until_killed(tmp_path, seed, "tending_child", LINES)
    with open_index(tmp_path, background=False) as index:
        try:
            collection = index.collection(TENANT, "c")
        except NotFoundError:
            assert done == 0
            return
        assert collection.spec == spec_of(seed)
        kept = collection.info().sequence
        assert kept in (done, begun)
        expected = expected_after(seed, kept)
        check(index, collection, expected, seed)
        # It goes on from there, and over another opening.
        following = islice(writes(seed), kept, kept + 8)
        for write, work in zip(following, TENDING * 2, strict=False):
            write.do(collection)
            write.apply(expected)
            if work != "reopen":
                tend(collection, work)
        check(index, collection, expected, seed)
        check_room(collection)
    with open_index(tmp_path, background=False) as index:
        check(index, index.collection(TENANT, "c"), expected, seed)


def check(index: Index, collection: Collection, expected: Records, seed: int) -> None:
    check_records(collection, expected)
    check_dense(collection, expected, seed)
    check_filters(collection, expected, seed)
    check_words(index, collection, expected)
    check_files(collection)


def check_records(collection: Collection, expected: Records) -> None:
    page = collection.scroll(limit=1000, include=Include(vector=True))
    assert [record.id for record in page.records] == list(expected)
    for found in page.records:
        wanted = expected[found.id]
        assert (found.text, found.metadata) == (wanted.text, wanted.metadata)
        assert found.document_id == wanted.document_id
        np.testing.assert_equal(found.vector, wanted.vector)
    info = collection.info()
    assert info.records == len(expected)
    assert info.vectors == sum(one.vector is not None for one in expected.values())


def check_dense(collection: Collection, expected: Records, seed: int) -> None:
    """Exactly, and through the index: right scores, and nearly always the nearest."""
    missed = wanted = 0
    for query in np.random.default_rng(seed).normal(size=(4, DIMENSION)).astype(np.float32):
        everything = oracle.best(expected, Metric.COSINE, query, 1000)
        for top_k, exact in ((10, True), (1000, False)):
            hits = collection.search(SearchQuery(query, top_k=top_k, exact=exact)).hits
            oracle.assert_same_ranking([(hit.id, hit.score) for hit in hits], everything[:top_k])
        scores = dict(everything)
        hits = collection.search(SearchQuery(query, top_k=10)).hits
        assert len(hits) == min(10, len(everything))
        assert all(abs(hit.score - scores[hit.id]) <= 1e-9 for hit in hits)
        missed += len({key for key, _ in everything[:10]} - {hit.id for hit in hits})
        wanted += len(hits)
    assert missed <= 0.2 * wanted


def check_filters(collection: Collection, expected: Records, seed: int) -> None:
    sizes = Counter(one.metadata["write"] for one in expected.values())
    query = np.random.default_rng([seed, 2]).normal(size=DIMENSION).astype(np.float32)
    for number in range(1, collection.info().sequence + 2):
        where = Condition("write", Operator.EQ, number)
        assert collection.count(where).count == sizes[number]
        if sizes[number]:
            hits = collection.search(SearchQuery(query, top_k=100, filter=where)).hits
            nearest = oracle.best(expected, Metric.COSINE, query, 100, where)
            oracle.assert_same_ranking([(hit.id, hit.score) for hit in hits], nearest)


def check_words(index: Index, collection: Collection, expected: Records) -> None:
    """As a collection finds and scores that was filled at one go."""
    index.create_collection(TENANT, CollectionSpec("fresh", Metric.COSINE, DIMENSION))
    fresh = index.collection(TENANT, "fresh")
    if expected:
        fresh.upsert(list(expected.values()))
    for text in ("word0 word3", *{str(one.text) for one in list(expected.values())[::20]}):
        query = SearchQuery(text=text, top_k=1000, mode=SearchMode.LEXICAL)
        oracle.assert_same_ranking(
            *(
                [(hit.id, hit.score) for hit in one.search(query).hits]
                for one in (collection, fresh)
            )
        )
    index.delete_collection(TENANT, "fresh")


def check_files(collection: Collection) -> None:
    """Each file is in its manifest, with its size, and the other way round."""
    with collection._store.connections.lend(collection._store.database, Role.READER) as connection:
        manifest = connection.execute("SELECT number, slots, checksum FROM segments").fetchall()
        anns = dict(connection.execute("SELECT number, bytes FROM anns").fetchall())
        (owned,) = connection.execute(
            "SELECT count(*) FROM rows WHERE segment NOT IN (SELECT number FROM segments)"
        ).fetchone()
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    assert owned == 0
    collection.upkeep._compactor.tidy()
    segments = {
        int(path.stem): path.read_bytes()
        for path in (collection._store.folder / "segments").iterdir()
    }
    assert set(segments) <= {number for number, _, _ in manifest}
    for number, slots, checksum in manifest:
        size = slots * collection._store.files.vector_bytes
        held = segments.get(number, b"")[:size]
        assert (len(held), zlib.crc32(held)) == (size, checksum)
    files = {
        path.name: path.stat().st_size for path in (collection._store.folder / "anns").iterdir()
    }
    assert files == {f"{number}.faiss": size for number, size in anns.items()}


def check_room(collection: Collection) -> None:
    """What is gone takes little room once it has been looked after."""
    collection._store.writer._retention = Retention(lambda: 4e9)
    collection.upkeep.purge()
    while collection.upkeep.compact():
        pass
    alive = collection.info().vectors
    slots = len(collection._store.writer.latest().space)
    assert slots <= alive / compaction.KEPT_SHARE + collection._store.files.capacity
    while collection.upkeep.build_index():
        pass
    assert sum(ann.entry.size for ann in collection._store.writer.latest().anns) <= 2 * slots
