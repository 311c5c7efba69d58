"""Approximate indexes over 100,000 vectors (a million with --million), against raw FAISS.

The peer is FAISS's own HNSW over float32, with as many links, searched as hard and in the same
run. Candidates of ours are scored exactly, which their times include.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import faiss
import numpy as np
from groundwire_index.ann import FAMILIES, Tuning
from groundwire_index.records import Metric
from numpy.typing import NDArray

from tests.conformance.ann.corpus import Matrix, Pieces, clustered

DIMENSION = 384
TOP_K = 10
BATCH = 64
EF = 96
ROUNDS = 3
THREADS = 2
PEER = "faiss HNSW"
# What is for a GPU is measured by `gpu`.
KINDS = tuple(kind for kind in FAMILIES if kind != "cagra")

Found = list[NDArray[np.int64]]
Search = Callable[[Matrix], Found]


def unit(vectors: Matrix) -> Matrix:
    """Of length 1."""
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    return vectors


def exact(vectors: Matrix, queries: Matrix) -> Found:
    """The true best."""
    flat = faiss.IndexFlatIP(DIMENSION)
    flat.add(vectors)
    return list(flat.search(queries, TOP_K)[1])


def peer(vectors: Matrix, path: Path) -> Search:
    """FAISS as its tutorial has it."""
    faiss.omp_set_num_threads(THREADS)
    graph = faiss.IndexHNSWFlat(DIMENSION, 16, faiss.METRIC_INNER_PRODUCT)
    graph.hnsw.efConstruction = 160
    graph.hnsw.efSearch = EF
    graph.add(vectors)
    faiss.write_index(graph, str(path))
    return lambda queries: list(graph.search(queries, TOP_K)[1])


def ours(kind: str, vectors: Matrix, path: Path) -> Search:
    """One family, with its defaults, and the candidates scored exactly."""
    family = FAMILIES[kind]
    family.build(Pieces(vectors), Metric.COSINE, {}, path, lambda: False, THREADS)
    ann = family.open(path, Metric.COSINE, DIMENSION)

    def search(queries: Matrix) -> Found:
        candidates = ann.search(queries, TOP_K, None, Tuning())
        return [best(vectors, query, row) for query, row in zip(queries, candidates, strict=True)]

    return search


def best(vectors: Matrix, query: Matrix, row: NDArray[np.int64]) -> NDArray[np.int64]:
    """The best candidates."""
    named = row[row >= 0]
    return np.asarray(named[np.argsort(-(vectors[named] @ query))[:TOP_K]])


def fastest(action: Callable[[], object]) -> float:
    """Seconds, of the best round."""
    seconds = []
    for _ in range(ROUNDS):
        began = time.perf_counter()
        action()
        seconds.append(time.perf_counter() - began)
    return min(seconds)


def main(rows: int) -> None:
    vectors, _ = clustered(rows, DIMENSION, seed=384, clusters=max(100, rows // 200))
    unit(vectors)
    queries = unit(clustered(1, DIMENSION, seed=384, clusters=max(100, rows // 200))[1])
    wanted = exact(vectors, queries)
    print(f"{rows:,} vectors x {DIMENSION}, recall@{TOP_K}, {THREADS} threads to build")
    theirs = (0.0, 0.0)
    with tempfile.TemporaryDirectory() as folder:
        for kind in (PEER, *KINDS):
            path = Path(folder) / kind.replace(" ", "-")
            began = time.perf_counter()
            search = peer(vectors, path) if kind == PEER else ours(kind, vectors, path)
            built = time.perf_counter() - began
            found = search(queries)
            recall = np.mean([len(set(a) & set(b)) for a, b in zip(found, wanted, strict=True)])
            one = fastest(lambda search=search: [search(query[None]) for query in queries])
            batch = fastest(lambda search=search: search(queries[:BATCH]))
            figures = (len(queries) / one, BATCH / batch)
            theirs = figures if kind == PEER else theirs
            print(
                f"{kind:14} build {built:6.1f} s  {path.stat().st_size / 1e6:7.1f} MB  "
                f"recall {recall / TOP_K:.3f}  one {1e6 / figures[0]:6.0f} us "
                f"({figures[0] / theirs[0]:.2f}x)  batch {figures[1]:7.0f}/s "
                f"({figures[1] / theirs[1]:.2f}x)",
                flush=True,
            )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--million", action="store_true")
    main(1_000_000 if parser.parse_args().million else 100_000)
