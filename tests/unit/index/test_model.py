"""Any sequence of writes and restarts leaves what plain Python says."""

from __future__ import annotations

import shutil
import tempfile
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from unittest import mock

import numpy as np
from groundwire_index import (
    Collection,
    CollectionSpec,
    Index,
    Metric,
    Record,
    SearchMode,
    VectorType,
)
from groundwire_index.ann import BuildCancelledError
from groundwire_index.filters import Condition, Operator
from groundwire_index.records import SearchQuery, Vector
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from tests.unit.index import oracle
from tests.unit.index.samples import TENANT, Clock, as_stored, document

IDS = st.sampled_from([f"r{number}" for number in range(12)])
WORDS = st.lists(st.sampled_from(["comet", "star", "dust"]), min_size=1, max_size=3).map(" ".join)
# Thirds are rounded by every type, and rounded vectors that were apart stay so.
VECTORS = (
    st.tuples(*[st.integers(-3, 3)] * 3).filter(any).map(lambda v: np.array(v, np.float32) / 3)
)


@st.composite
def records(draw: st.DrawFn) -> Record:
    vector = draw(st.none() | VECTORS)
    text = draw(WORDS) if vector is None else draw(st.none() | WORDS)
    return Record(draw(IDS), vector, text, {"n": draw(st.integers(0, 3))})


class Model(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        memory = Path("/dev/shm")
        self.folder = Path(tempfile.mkdtemp(dir=memory if memory.is_dir() else None))
        self.clock = Clock()
        self.expected: dict[str, Record] = {}
        self.sequence = 0

    @initialize(
        metric=st.sampled_from(list(Metric)),
        kind=st.sampled_from(["flat", "hnsw"]),
        vector_type=st.sampled_from(list(VectorType)),
    )
    def create(self, metric: Metric, kind: str, vector_type: VectorType) -> None:
        self.metric, self.vector_type = metric, vector_type
        self.open()
        spec = CollectionSpec("c", metric, 3, index_kind=kind, vector_type=vector_type)
        self.index.create_collection(TENANT, spec)

    def open(self) -> None:
        self.index = Index.open(self.folder, now=self.clock, segment_bytes=36, background=False)

    @property
    def collection(self) -> Collection:
        return self.index.collection(TENANT, "c")

    def teardown(self) -> None:
        if hasattr(self, "index"):
            self.index.close()
        shutil.rmtree(self.folder)

    def keep(self, record: Record) -> None:
        # A dict keeps the place of what it knows, as the collection does.
        self.expected[record.id] = as_stored(record, self.vector_type)

    @rule(batch=st.lists(records(), min_size=1, max_size=5))
    def upsert(self, batch: list[Record]) -> None:
        written = self.collection.upsert(batch)
        for one in batch:
            self.keep(one)
        self.sequence += 1
        assert (written.sequence, written.count) == (self.sequence, len({r.id for r in batch}))

    @rule(ids=st.lists(IDS, max_size=4))
    def delete(self, ids: list[str]) -> None:
        gone = {key for key in ids if self.expected.pop(key, None)}
        self.sequence += 1
        assert self.collection.delete_ids(ids).count == len(gone)

    @rule(n=st.integers(0, 3))
    def delete_matching(self, n: int) -> None:
        where = Condition("n", Operator.EQ, n)
        gone = [key for key, one in self.expected.items() if oracle.matches(where, one)]
        for key in gone:
            del self.expected[key]
        self.sequence += 1
        assert self.collection.delete_filter(where).count == len(gone)

    @rule(name=st.sampled_from("de"), chunks=st.lists(records(), max_size=4))
    def replace_document(self, name: str, chunks: list[Record]) -> None:
        chunks = [replace(one, id=f"{name}#{one.id}", document_id=name) for one in chunks]
        self.collection.replace_document(document(name), chunks)
        distinct = {one.id: one for one in chunks}
        for key in [key for key, one in self.expected.items() if one.document_id == name]:
            if key not in distinct:
                del self.expected[key]
        for one in distinct.values():
            self.keep(one)
        self.sequence += 1

    @rule()
    def reopen(self) -> None:
        self.index.close()
        self.open()

    @rule(seconds=st.sampled_from([10, 4000]))
    def wait_and_purge(self, seconds: int) -> None:
        self.clock.advance(seconds)
        self.collection.upkeep.purge()

    @rule()
    def build(self) -> None:
        with mock.patch("groundwire_index.ann_builder.LEAST", 2):
            self.collection.upkeep.build_index()

    @rule(seconds=st.sampled_from([0, 4000]), moves=st.integers(0, 3))
    def compact(self, seconds: int, moves: int) -> None:
        self.wait_and_purge(seconds)
        left = iter(range(moves))
        with suppress(BuildCancelledError):
            while self.collection.upkeep.compact(lambda: next(left, None) is None):
                pass

    @rule(query=VECTORS, top_k=st.integers(1, 20))
    def search(self, query: Vector, top_k: int) -> None:
        where = Condition("n", Operator.LT, 2)
        for chosen in (None, where):
            # What a filter lets through is picked, in pieces of a few vectors.
            with mock.patch.multiple("groundwire_index.scan", _PICKED=8, _PICKED_SHARE=1.0):
                found = self.collection.search(SearchQuery(query, top_k=top_k, filter=chosen))
            expected = oracle.best(self.expected, self.metric, query, top_k, chosen)
            oracle.assert_same_ranking([(h.id, h.score) for h in found.hits], expected)

    @rule(word=st.sampled_from(["comet", "star", "dust"]))
    def search_words(self, word: str) -> None:
        query = SearchQuery(text=word, top_k=100, mode=SearchMode.LEXICAL)
        found = {hit.id for hit in self.collection.search(query).hits}
        holding = {key for key, one in self.expected.items() if word in (one.text or "")}
        assert found == holding

    @invariant()
    def holds_what_was_written(self) -> None:
        if not hasattr(self, "index"):
            return
        info = self.collection.info()
        vectors = [one for one in self.expected.values() if one.vector is not None]
        assert (info.records, info.vectors) == (len(self.expected), len(vectors))
        assert info.sequence == self.sequence
        assert [r.id for r in self.collection.scroll(limit=100).records] == list(self.expected)


TestModel = Model.TestCase
TestModel.settings = settings(max_examples=25, stateful_step_count=25)
