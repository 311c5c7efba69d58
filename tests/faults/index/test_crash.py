"""A process that is killed at any moment loses nothing that it acknowledged."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
from groundwire_index import CollectionState, Index, Record, SearchMode
from groundwire_index.errors import NotFoundError
from groundwire_index.records import Include, SearchQuery

from tests.faults.index.writing_child import DIMENSION, SEGMENT_BYTES, TENANT, writes
from tests.unit.index import oracle

ROOT = Path(__file__).parents[3]
MOMENTS = 15


def run_until_killed(folder: Path, seed: int) -> tuple[int, int]:
    """Start the child, kill it at a random moment; the writes that it began and acknowledged."""
    moment = random.Random(seed)
    lines = moment.randrange(2, 60)
    command = [sys.executable, "-m", "tests.faults.index.writing_child", str(folder), str(seed)]
    begun = done = 0
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        for line in islice(child.stdout, lines):
            word, number = line.split()
            begun, done = (int(number), done) if word == "begin" else (begun, int(number))
        # A moment that is not tied to any line, but somewhere inside of a write.
        spin = moment.randrange(200_000)
        while spin:
            spin -= 1
        os.kill(child.pid, signal.SIGKILL)
        for line in child.stdout:
            word, number = line.split()
            begun, done = (int(number), done) if word == "begin" else (begun, int(number))
    assert child.returncode == -signal.SIGKILL
    return begun, done


def expected_after(seed: int, count: int) -> dict[str, Record]:
    records: dict[str, Record] = {}
    for write in islice(writes(seed), count):
        write.apply(records)
    return records


@pytest.mark.parametrize("seed", range(MOMENTS))
def test_after_a_kill_everything_acknowledged_is_there_and_nothing_is_half_there(
    tmp_path: Path, seed: int
) -> None:
    begun, done = run_until_killed(tmp_path, seed)
    with Index.open(tmp_path, segment_bytes=SEGMENT_BYTES) as index:
        try:
            collection = index.collection(TENANT, "c")
        except NotFoundError:
            assert done == 0
            return
        # The write that was in progress is there as a whole, or not at all.
        kept = collection.info().sequence
        assert kept in (done, begun)
        expected = expected_after(seed, kept)
        page = collection.scroll(limit=1000, include=Include(vector=True))
        assert [record.id for record in page.records] == list(expected)
        for found in page.records:
            wanted = expected[found.id]
            assert (found.text, found.metadata) == (wanted.text, wanted.metadata)
            assert found.document_id == wanted.document_id
            np.testing.assert_equal(found.vector, wanted.vector)
        info = collection.info()
        assert info.state is CollectionState.READY
        assert info.records == len(expected)

        draw = np.random.default_rng(seed)
        for _ in range(3):
            query = draw.normal(size=DIMENSION).astype(np.float32)
            hits = collection.search(SearchQuery(query)).hits
            nearest = oracle.best(expected, collection.spec.metric, query, 10)
            oracle.assert_same_ranking([(hit.id, hit.score) for hit in hits], nearest)
        words = SearchQuery(text=f"write{kept}", top_k=1000, mode=SearchMode.LEXICAL)
        holding = {
            key for key, one in expected.items() if (one.text or "").startswith(f"write{kept} ")
        }
        assert {hit.id for hit in collection.search(words).hits} == holding

        # And it goes on from there.
        next_write = next(islice(writes(seed), kept, None))
        next_write.do(collection)
        next_write.apply(expected)
        assert collection.count().count == len(expected)
