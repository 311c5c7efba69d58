"""SearchBatch of 64 queries, ids and scores, against FAISS in process on the very same index.

The peer searches the server's own index files by as many candidates, with all processors, and
computes nothing exactly: no transport, no ids, no exact scores. The two take turns.
"""

from __future__ import annotations

import asyncio
import itertools
import os
import statistics
import sys
import time
from collections.abc import Awaitable, Callable, Iterable
from pathlib import Path

import faiss
import numpy as np
import psutil
import uvloop

from tests.bench.search import settled
from tests.bench.search_targets.corpus import Corpus, corpus
from tests.bench.search_targets.server import COLLECTION, GroundwireServer

BATCH = 64
TOP_K = 10
# So that client and server both have something to do.
CLIENTS = 2
ROUNDS = 7
ROUND_S = 1.0
EF = 64
BAR = 0.5

Ask = Callable[[np.ndarray], Awaitable[object]]


def through_grpc(server: GroundwireServer) -> Ask:
    """Our client and server."""

    async def ask(queries: np.ndarray) -> object:
        return await server.client.retrieve.search_batch(
            COLLECTION, list(queries), top_k=TOP_K, include=()
        )

    return ask


def in_process(files: Iterable[Path]) -> Ask:
    """FAISS alone."""
    indexes = [faiss.read_index(str(file), faiss.IO_FLAG_MMAP_IFC) for file in files]
    faiss.omp_set_num_threads(len(os.sched_getaffinity(0)))
    parameters = faiss.SearchParametersHNSW(efSearch=EF)

    async def ask(queries: np.ndarray) -> object:
        return [index.search(queries, TOP_K, params=parameters) for index in indexes]

    return ask


async def per_second(ask: Ask, rows: Corpus) -> float:
    """Queries answered in a second, two batches at a time where they can be."""
    starts = itertools.cycle(range(0, len(rows.queries) - BATCH, BATCH))
    began, answered = time.perf_counter(), 0

    async def client() -> None:
        nonlocal answered
        while time.perf_counter() < began + ROUND_S:
            start = next(starts)
            await ask(rows.queries[start : start + BATCH])
            answered += BATCH

    await asyncio.gather(*(client() for _ in range(CLIENTS)))
    return answered / (time.perf_counter() - began)


async def measure() -> float:
    rows = corpus()
    async with GroundwireServer() as server:
        await server.fill(rows)
        await asyncio.to_thread(settled)
        files = server.data.glob("index/collections/*/anns/*.faiss")
        asked = {"groundwire": through_grpc(server), "FAISS": in_process(files)}
        rates: dict[str, list[float]] = {name: [] for name in asked}
        for number in range(ROUNDS + 1):
            for name, ask in asked.items():
                rate = await per_second(ask, rows)
                if number:  # The first round is for warming up.
                    rates[name].append(rate)
    ours, theirs = rates.values()
    ratio = statistics.median(a / b for a, b in zip(ours, theirs, strict=True))
    for name, own in rates.items():
        print(f"{name}: {statistics.median(own):,.0f} queries/s in batches of {BATCH}")
    print(f"ratio {ratio:.2f}; aim {BAR}")
    return ratio


def main() -> int:
    print(f"load of the machine before: {psutil.getloadavg()[0]:.1f}")
    return 0 if uvloop.run(measure()) >= BAR else 1


if __name__ == "__main__":
    sys.exit(main())
