"""Indexes on a GPU against the same files on the CPU: 100,000 vectors, or --million.

The peer of each is its own index without the GPU, in the same run. Candidates are scored exactly,
which the times include. Without a GPU there is nothing to measure, and it says why;
``--stand-in`` runs all the same, to try the benchmark itself.
"""

from __future__ import annotations

import argparse
import tempfile
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from pathlib import Path

import numpy as np
from groundwire_index.ann import Ann, Family, Tuning, families
from groundwire_index.ann.geometry import Points
from groundwire_index.gpu import Gpus, open_gpus
from groundwire_index.gpu.ann import GpuAnn
from groundwire_index.records import Metric

from tests.bench.ann import BATCH, DIMENSION, TOP_K, Found, best, exact, fastest, unit
from tests.conformance.ann.corpus import Matrix, Pieces, clustered
from tests.stand_in_gpu import StandIn

CLIENTS = 32
MEMORY = 16 * 2**30
KINDS: dict[str, dict[str, str]] = {"cagra": {}, "ivf_pq": {"codes": "pq"}}

Search = Callable[[Matrix], Found]


def searching(ann: Ann, vectors: Matrix, passing: np.ndarray | None = None) -> Search:
    """The best of what an index names."""

    def search(queries: Matrix) -> Found:
        candidates = ann.search(queries, TOP_K, passing, Tuning())
        return [best(vectors, query, row) for query, row in zip(queries, candidates, strict=True)]

    return search


def multiplied(vectors: Matrix) -> Search:
    """Every vector compared by the CPU, by one client at a time: it has all processors."""
    turn = threading.Lock()

    def search(queries: Matrix) -> Found:
        with turn:
            scores = queries @ vectors.T
        return [
            row[np.argsort(-one[row])]
            for one, row in zip(scores, np.argpartition(-scores, TOP_K)[:, :TOP_K], strict=True)
        ]

    return search


def compared(gpus: Gpus, vectors: Matrix) -> Search:
    """Every vector compared by the GPU, and by the CPU where that is not certain."""
    held = gpus.held(Points(Pieces(vectors), Metric.COSINE), 1.0)
    assert held is not None
    loading: Future[None] = held._copy.loading  # type: ignore[attr-defined]
    loading.result()
    every, otherwise = np.ones(len(vectors), np.bool_), multiplied(vectors)

    def search(queries: Matrix) -> Found:
        named = held.nearest(queries, [TOP_K] * len(queries), every)
        return [
            otherwise(query[None])[0] if row is None else best(vectors, query, row)
            for query, row in zip(queries, named, strict=True)
        ]

    return search


def loaded(gpus: Gpus, ann: Ann) -> Ann:
    """The index, when its copy is there."""
    accelerated = gpus.accelerated(ann)
    assert isinstance(accelerated, GpuAnn)
    loading: Future[None] = accelerated._copy.loading  # type: ignore[attr-defined]
    loading.result()
    return accelerated


def seconds(action: Callable[[], object]) -> float:
    began = time.perf_counter()
    action()
    return time.perf_counter() - began


def measure(search: Search, queries: Matrix) -> tuple[float, float, float]:
    """Queries a second: one after the other, in batches, and of many clients at once."""
    search(queries[:BATCH])
    one = fastest(lambda: [search(query[None]) for query in queries])
    batch = fastest(lambda: search(queries[:BATCH]))
    with ThreadPoolExecutor(CLIENTS) as clients:
        many = fastest(lambda: list(clients.map(lambda query: search(query[None]), queries)))
    return len(queries) / one, BATCH / batch, len(queries) / many


def report(name: str, searches: dict[str, Search], queries: Matrix, wanted: Found) -> None:
    """One line for the CPU, one for the GPU with its ratios."""
    theirs: tuple[float, ...] = ()
    for where, search in searches.items():
        found = search(queries)
        recall = np.mean([len(set(a) & set(b)) for a, b in zip(found, wanted, strict=True)])
        figures = measure(search, queries)
        theirs = theirs or figures
        ratios = [
            f"{mine:8.0f}/s ({mine / peer:5.2f}x)"
            for mine, peer in zip(figures, theirs, strict=True)
        ]
        print(
            f"{name:18} {where}  recall {recall / TOP_K:.3f}  one {ratios[0]}  "
            f"batch {ratios[1]}  {CLIENTS} clients {ratios[2]}",
            flush=True,
        )


def indexes(gpus: Gpus, vectors: Matrix, queries: Matrix, wanted: Found, folder: Path) -> None:
    """Each kind that a GPU holds."""
    built: dict[str, float] = {}
    for kind, parameters in KINDS.items():
        for where, family in (
            ("CPU", families()[kind]),
            ("GPU", families(gpus.link, gpus.train)[kind]),
        ):
            path = folder / f"{kind}-{where}"
            built[where] = seconds(partial(build, family, vectors, parameters, path))
        print(
            f"{kind:18} build on the CPU {built['CPU']:.1f} s, on the GPU {built['GPU']:.1f} s "
            f"({built['CPU'] / built['GPU']:.2f}x)"
        )
        opened = families()[kind].open(folder / f"{kind}-GPU", Metric.COSINE, DIMENSION)
        on_gpu = loaded(gpus, opened)
        half = np.packbits(np.arange(len(vectors)) % 2 == 0, bitorder="little")
        pair = {"CPU": opened, "GPU": on_gpu}
        searches = {where: searching(ann, vectors) for where, ann in pair.items()}
        report(kind, searches, queries, wanted)
        even = exact(vectors[::2], queries)
        searches = {where: searching(ann, vectors, half) for where, ann in pair.items()}
        report(f"{kind}, half pass", searches, queries, [2 * row for row in even])


def build(family: Family, vectors: Matrix, parameters: dict[str, str], path: Path) -> None:
    family.build(Pieces(vectors), Metric.COSINE, parameters, path, lambda: False, threads=2)


def main(rows: int, gpus: Gpus) -> None:
    clusters = max(100, rows // 200)
    vectors = unit(clustered(rows, DIMENSION, seed=384, clusters=clusters)[0])
    queries = unit(clustered(1, DIMENSION, seed=384, clusters=clusters)[1])
    wanted = exact(vectors, queries)
    print(f"{rows:,} vectors x {DIMENSION}, recall@{TOP_K}, queries a second")
    with tempfile.TemporaryDirectory() as folder:
        report(
            "flat",
            {"CPU": multiplied(vectors), "GPU": compared(gpus, vectors)},
            queries,
            wanted,
        )
        indexes(gpus, vectors, queries, wanted, Path(folder))


def told(reason: str) -> None:
    """What the CPU did in the GPU's place spoils the figures."""
    print(f"the CPU answered: {reason}", flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--million", action="store_true")
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--stand-in", action="store_true")
    given = parser.parse_args()
    gpus: Gpus = StandIn().gpus(memory=MEMORY) if given.stand_in else open_gpus(None, MEMORY, told)
    if gpus.why_none:
        print(f"not measured: {gpus.why_none}")
    else:
        main(1_000_000 if given.million else given.rows, gpus)
    gpus.close()
