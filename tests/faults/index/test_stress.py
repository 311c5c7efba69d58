"""Writers, readers and those who tend it, all at once on one collection."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeAlias

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
)
from groundwire_index.errors import FailedPreconditionError
from groundwire_index.filters import Condition, Operator
from groundwire_index.records import Include, SearchQuery

from tests.unit.index import oracle
from tests.unit.index.samples import TENANT

SECONDS = float(os.environ.get("GROUNDWIRE_TEST_STRESS_S", "4"))
DIMENSION = 8
OWNERS = 3
NAMES = 120
WITH_VECTOR = Include(vector=True)

States: TypeAlias = "dict[int, dict[str, Record]]"


def by_id(records: Iterable[Record]) -> list[tuple[str, bytes]]:
    return sorted((one.id, one.vector.tobytes()) for one in records if one.vector is not None)


class Oracle:
    """The state after each write, noted down by the writers. Thread-safe.

    Each writer has ids of its own, so that its records do not depend on the others; what all
    hold at one sequence number is what each of them held at its last write before it.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._states: list[States] = [{0: {}} for _ in range(OWNERS)]
        self.given_up = threading.Event()

    def note(self, owner: int, sequence: int, records: dict[str, Record]) -> None:
        with self._lock:
            self._states[owner][sequence] = dict(records)

    def at(self, sequence: int) -> dict[str, Record]:
        """Everything as of a write; waits for the writers to have noted it down."""
        while not self._noted(sequence):
            assert not self.given_up.is_set(), "a writer failed"
            os.sched_yield()
        with self._lock:
            lasts = [max(one for one in states if one <= sequence) for states in self._states]
            held = [states[last] for states, last in zip(self._states, lasts, strict=True)]
        return {key: record for state in held for key, record in state.items()}

    def _noted(self, sequence: int) -> bool:
        with self._lock:
            numbers = {number for states in self._states for number in states}
        return sum(number <= sequence for number in numbers) == sequence + 1


@pytest.fixture(autouse=True)
def small_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ann_builder, "LEAST", 60)
    monkeypatch.setattr(compaction, "_SLICE", 7)
    monkeypatch.setattr(compaction, "_PATIENCE_S", 1.0)


@pytest.fixture(params=["hnsw", "sq8"])
def collection(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Collection]:
    with Index.open(
        tmp_path,
        segment_bytes=4 * DIMENSION * 40,
        retention_s=0.2,
        background=True,
        index_fields_from=0,
    ) as index:
        spec = CollectionSpec("c", Metric.EUCLIDEAN, DIMENSION, None, request.param)
        index.create_collection(TENANT, spec)
        yield index.collection(TENANT, "c")


class Stress:
    """The workers, each of which goes on until the time is over or one has failed."""

    def __init__(self, collection: Collection) -> None:
        self.collection = collection
        self.oracle = Oracle()
        self._end = time.monotonic() + SECONDS

    def repeat(self, step: Callable[[np.random.Generator], None], seed: int) -> int:
        random = np.random.default_rng(seed)
        times = 0
        while self._goes_on(times):
            try:
                step(random)
            except BaseException:
                self.oracle.given_up.set()
                raise
            times += 1
        return times

    def _goes_on(self, times: int) -> bool:
        """Once at least, however slow the machine is."""
        in_time = not times or time.monotonic() < self._end
        return in_time and not self.oracle.given_up.is_set()

    def writer(self, owner: int) -> Callable[[np.random.Generator], None]:
        records: dict[str, Record] = {}

        def step(random: np.random.Generator) -> None:
            names = [f"{owner}-{n}" for n in random.choice(NAMES, random.integers(1, 30), False)]
            if random.random() < 0.35:
                done = self.collection.delete_ids(names)
                for name in names:
                    records.pop(name, None)
            elif random.random() < 0.2:
                shelf = int(random.integers(5))
                # Of its own records alone: those of one owner are on shelves of their own.
                where = Condition("shelf", Operator.EQ, 5 * owner + shelf)
                done = self.collection.delete_filter(where)
                for name in [n for n, one in records.items() if oracle.matches(where, one)]:
                    del records[name]
            else:
                written = [
                    Record(
                        name,
                        random.normal(size=DIMENSION).astype(np.float32),
                        f"word{random.integers(6)}",
                        {"shelf": 5 * owner + int(random.integers(5))},
                    )
                    for name in names
                ]
                done = self.collection.upsert(written)
                records.update({record.id: record for record in written})
            self.oracle.note(owner, done.sequence, records)

        return step

    def search(self, random: np.random.Generator) -> None:
        vector = random.normal(size=DIMENSION).astype(np.float32)
        where = Condition("shelf", Operator.LT, int(random.integers(1, 15)))
        query = SearchQuery(
            vector,
            top_k=int(random.choice([5, 1000])),
            filter=where if random.random() < 0.5 else None,
            exact=bool(random.random() < 0.3),
            include=WITH_VECTOR,
        )
        found = self.collection.search(query)
        expected = self.oracle.at(found.plan.sequence)
        nearest = oracle.best(expected, Metric.EUCLIDEAN, vector, query.top_k, query.filter)
        assert len(found.hits) == len(nearest)
        scores = dict(oracle.best(expected, Metric.EUCLIDEAN, vector, len(expected), query.filter))
        for hit in found.hits:
            assert abs(hit.score - scores[hit.id]) <= 1e-9 * max(1, abs(hit.score))
            np.testing.assert_array_equal(hit.record.vector, expected[hit.id].vector)
        if query.exact or query.top_k == 1000:
            oracle.assert_same_ranking([(hit.id, hit.score) for hit in found.hits], nearest)

    def search_words(self, random: np.random.Generator) -> None:
        word = f"word{random.integers(6)}"
        vector = random.normal(size=DIMENSION).astype(np.float32)
        for mode in (SearchMode.LEXICAL, SearchMode.HYBRID):
            found = self.collection.search(SearchQuery(vector, word, 1000, mode))
            expected = self.oracle.at(found.plan.sequence)
            holding = {key for key, record in expected.items() if record.text == word}
            ranked = {hit.id for hit in found.hits if hit.lexical_score is not None}
            assert ranked == holding
            assert mode is SearchMode.LEXICAL or len(found.hits) == len(expected)

    def read(self, random: np.random.Generator) -> None:
        where = Condition("shelf", Operator.EQ, int(random.integers(15)))
        count = self.collection.count(where)
        expected = self.oracle.at(count.sequence)
        assert count.count == sum(oracle.matches(where, one) for one in expected.values())
        names = [f"{owner}-{n}" for owner in range(OWNERS) for n in random.choice(NAMES, 5)]
        before = self.collection.info().sequence
        got = self.collection.get(names, WITH_VECTOR)
        after = self.collection.info().sequence
        if before == after:
            expected = self.oracle.at(before)
            for name, record in zip(names, got, strict=True):
                wanted = expected.get(name)
                assert (record is None) == (wanted is None)
                if record is not None and wanted is not None:
                    np.testing.assert_array_equal(record.vector, wanted.vector)

    def scroll(self, random: np.random.Generator) -> None:
        """All pages are of the state of the first, so they hold one state as a whole."""
        before = self.collection.info().sequence
        page = self.collection.scroll(limit=40, include=WITH_VECTOR)
        after = self.collection.info().sequence
        records = list(page.records)
        while page.next_cursor:
            cursor = page.next_cursor
            try:
                page = self.collection.scroll(cursor=cursor, limit=40, include=WITH_VECTOR)
            except FailedPreconditionError:
                return  # It took longer than what is gone is kept.
            records += page.records
        states = [self.oracle.at(sequence) for sequence in range(before, after + 1)]
        assert by_id(records) in [by_id(state.values()) for state in states]

    def tend(self, random: np.random.Generator) -> None:
        work = random.choice(["build", "compact", "purge", "fields"])
        {
            "build": self.collection.upkeep.build_index,
            "compact": self.collection.upkeep.compact,
            "purge": self.collection.upkeep.purge,
            "fields": self.collection.upkeep.index_field,
        }[str(work)]()


def test_every_read_is_of_one_state_whatever_goes_on(collection: Collection) -> None:
    stress = Stress(collection)
    steps = [
        *[stress.writer(owner) for owner in range(OWNERS)],
        stress.search,
        stress.search,
        stress.search_words,
        stress.read,
        stress.scroll,
        stress.tend,
        stress.tend,
    ]
    with ThreadPoolExecutor(len(steps)) as pool:
        running = [pool.submit(stress.repeat, step, seed) for seed, step in enumerate(steps)]
        assert all(one.result() > 0 for one in running)
    end = collection.info()
    expected = stress.oracle.at(end.sequence)
    assert (end.records, end.vectors) == (len(expected), len(expected))
