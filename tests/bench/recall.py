"""Recall besides the embedding of the query: many memories of one subject, and many subjects.

Against Chroma in this process, which filters by subject and ranks by vectors alone. Both have the
same vectors, in clusters as those of texts are; the two take turns.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import psutil
from groundwire_index import Collection, Index, SearchMode
from groundwire_index.records import Fingerprint
from groundwire_server.memory.memories.memory import Memory, MemoryKind, Question
from groundwire_server.memory.memories.partitions import Partitions
from groundwire_server.memory.memories.recalling import recall
from groundwire_server.memory.memories.stored import record_of
from numpy.typing import NDArray

from tests.bench.texts import passages
from tests.e2e.chroma import database

DIMENSION = 384
BATCH = 1000
QUERIES = 200
AIM_MS = 10.0
NOW = datetime(2026, 5, 1, tzinfo=UTC)
FINGERPRINT = Fingerprint("bench", "1", "mean", "", "", DIMENSION, normalized=True)


@dataclass(frozen=True)
class Shape:
    """How many subjects, and how many memories each has."""

    subjects: int
    memories: int

    @property
    def count(self) -> int:
        return self.subjects * self.memories

    def __str__(self) -> str:
        return f"{self.subjects:,} subjects with {self.memories:,} memories each"


def vectors_of(count: int) -> NDArray[np.float32]:
    """Unit vectors in clusters of a hundred."""
    random = np.random.default_rng(1)
    centres = random.standard_normal((max(1, count // 100), DIMENSION))
    spread = 0.5 * random.standard_normal((count, DIMENSION))
    found = (centres[random.integers(len(centres), size=count)] + spread).astype(np.float32)
    unit: NDArray[np.float32] = found / np.linalg.norm(found, axis=1, keepdims=True)
    return unit


def memories(shape: Shape, texts: Sequence[str]) -> Iterator[Memory]:
    """Memories of all subjects in turn, made within a year."""
    for number in range(shape.count):
        made = NOW - timedelta(hours=number % 8760)
        yield Memory(
            id=f"m{number}",
            subject=f"subject {number % shape.subjects}",
            text=texts[number],
            kind=list(MemoryKind)[number % 4],
            importance=number % 11 / 10,
            sources=(),
            create_time=made,
            valid_from=made,
            lineage=f"m{number}",
        )


def filled(
    index: Index, shape: Shape, texts: Sequence[str], vectors: NDArray[np.float32]
) -> Collection:
    """The memories of one tenant, with all indexes that they come to have."""
    collection = Partitions(lambda: index).make("bench", FINGERPRINT)
    assert isinstance(collection, Collection)
    made = list(memories(shape, texts))
    for start in range(0, len(made), BATCH):
        batch = zip(made[start : start + BATCH], vectors[start : start + BATCH], strict=True)
        collection.upsert([record_of(memory, vector) for memory, vector in batch])
    ask(collection, shape, texts[0], vectors[0], 0)
    upkeep = collection.upkeep
    for step in (upkeep.index_field, upkeep.build_index):
        while step():
            pass
    return collection


def ask(
    collection: Collection, shape: Shape, text: str, vector: NDArray[np.float32], turn: int
) -> int:
    """How many memories were recalled."""
    question = Question(f"subject {turn * 7919 % shape.subjects}", text)
    return len(recall(collection, question, vector, SearchMode.HYBRID, NOW))


def timed(call: Callable[[], Any]) -> float:
    began = time.perf_counter()
    call()
    return 1000 * (time.perf_counter() - began)


def measure(shape: Shape) -> bool:
    """Whether the aim was reached."""
    texts, questions = (
        passages(shape.count, seed=1, characters=120),
        passages(QUERIES, seed=2, characters=40),
    )
    vectors = vectors_of(shape.count + QUERIES)
    queries = vectors[shape.count :]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder)
        with (
            Index.open(path / "ours", background=False) as index,
            database(path / "chroma") as peer,
        ):
            collection = filled(index, shape, texts, vectors[: shape.count])
            files = sum(one.is_file() for one in (path / "ours").rglob("*"))
            theirs = chroma(peer, shape, vectors)
            ours_ms, theirs_ms = [], []
            for turn, (text, query) in enumerate(zip(questions, queries, strict=True)):
                subject = {"subject": turn * 7919 % shape.subjects}
                ours_ms.append(timed(lambda: ask(collection, shape, text, query, turn)))  # noqa: B023 - called at once
                theirs_ms.append(timed(lambda: theirs.query(query, n_results=10, where=subject)))  # noqa: B023
            handles = psutil.Process().num_fds()
    p50, p99 = statistics.median(ours_ms), sorted(ours_ms)[int(0.99 * QUERIES)]
    peer_p50 = statistics.median(theirs_ms)
    print(
        f"{shape}: p50 {p50:.2f} ms, p99 {p99:.2f} ms, in {files:,} files, {handles:,} open; "
        f"chroma, by vectors alone: p50 {peer_p50:.2f} ms; ratio {peer_p50 / p50:.2f}",
        flush=True,
    )
    return p50 < AIM_MS


def chroma(peer: Any, shape: Shape, vectors: NDArray[np.float32]) -> Any:
    """The same vectors, by subject."""
    collection = peer.create_collection(
        "memories", embedding_function=None, configuration={"hnsw": {"space": "cosine"}}
    )
    for start in range(0, shape.count, BATCH):
        numbers = range(start, min(start + BATCH, shape.count))
        collection.add(
            ids=[f"m{number}" for number in numbers],
            embeddings=vectors[numbers.start : numbers.stop],
            metadatas=[{"subject": number % shape.subjects} for number in numbers],
        )
    return collection


def main(share: int) -> int:
    print(f"load of the machine before: {psutil.getloadavg()[0]:.1f}")
    shapes = [Shape(1, 100_000 // share), Shape(10_000 // share, 10)]
    reached = [measure(shape) for shape in shapes]
    print(f"the aim is a p50 under {AIM_MS:g} ms: {'reached' if all(reached) else 'MISSED'}")
    return int(not all(reached))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--share", type=int, default=1, help="one of so many memories: 20 is quick")
    raise SystemExit(main(parser.parse_args().share))
