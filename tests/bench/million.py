"""A million records through the server: time, memory, recall as a collection grows, and reopening.

At each size: the time of a search of every row, what is found of the true nearest (which the
server finds itself, by comparing every vector), and the memory that is the server's own, mapped
files apart. In the end the server is stopped and started on the same folder.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import tempfile
import time
from pathlib import Path

import groundwire
import numpy as np
import psutil
import uvloop
from numpy.typing import NDArray

from tests.bench.search import settled
from tests.bench.texts import passages
from tests.e2e.serving import ServerProcess

DIMENSION = 384
BATCH = 5000
CLUSTER = 100
SPREAD = 0.6
QUERIES = 100
TOP_K = 10
COLLECTION = "bench"
TEXTS = 10_000

Matrix = NDArray[np.float32]


def piece(number: int, centres: Matrix) -> Matrix:
    """Rows ``number`` * BATCH and on: points around centres, of length 1, the same in every run."""
    rng = np.random.default_rng([384, number])
    vectors = centres[rng.integers(0, len(centres), BATCH)]
    vectors += SPREAD * rng.standard_normal(vectors.shape, dtype=np.float32)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


async def grow(
    client: groundwire.AsyncClient, centres: Matrix, rows: range, texts: list[str]
) -> None:
    """Store the rows."""
    for start in rows[::BATCH]:
        vectors = piece(start // BATCH, centres)
        await client.retrieve.upsert(
            COLLECTION,
            [
                groundwire.Record(
                    str(row),
                    vector=vector,
                    text=texts[row % TEXTS],
                    metadata={"shelf": row % 100, "box": row % 1000},
                )
                for row, vector in enumerate(vectors, start)
            ],
        )


async def indexed(client: groundwire.AsyncClient, query: Matrix) -> None:
    """Wait until indexes cover the collection and nothing more is built."""
    while True:
        await asyncio.to_thread(settled)
        plan = (await client.retrieve.search(COLLECTION, query, top_k=TOP_K)).plan
        if plan.strategy == "ann":
            return


async def ids(client: groundwire.AsyncClient, query: Matrix, *, exact: bool) -> set[str]:
    """What is found."""
    found = await client.retrieve.search(COLLECTION, query, top_k=TOP_K, exact=exact)
    return {hit.id for hit in found.hits}


async def measured(client: groundwire.AsyncClient, queries: Matrix) -> tuple[float, float]:
    """Median seconds of a search, and recall."""
    seconds, same = [], 0
    for query in queries:
        await ids(client, query, exact=False)  # So that what it reads is in memory.
        began = time.perf_counter()
        found = await ids(client, query, exact=False)
        seconds.append(time.perf_counter() - began)
        same += len(found & await ids(client, query, exact=True))
    return float(np.median(seconds)), same / (TOP_K * len(queries))


def private_bytes(server: ServerProcess) -> int:
    """Memory of the server's own, without mapped files."""
    status = Path(f"/proc/{server.pid}/status").read_text(encoding="ascii")
    (line,) = [line for line in status.splitlines() if line.startswith("RssAnon")]
    return int(line.split()[1]) * 1024


async def grown(data: Path, centres: Matrix, queries: Matrix, sizes: list[int]) -> None:
    """Fill and measure."""
    texts = passages(TEXTS, seed=384)
    with ServerProcess(data) as server:
        async with groundwire.AsyncClient(server.address, timeout=600) as client:
            empty = private_bytes(server)
            await client.retrieve.create_collection(
                COLLECTION, embedder="none", dimension=DIMENSION
            )
            stored, first = 0, 0.0
            for size in sizes:
                began = time.perf_counter()
                await grow(client, centres, range(stored, size), texts)
                rate = (size - stored) / (time.perf_counter() - began)
                stored = size
                await indexed(client, queries[0])
                median, recall = await measured(client, queries)
                first = first or median
                memory = (private_bytes(server) - empty) / 2**20
                print(
                    f"{size:>9,} records  {rate:7,.0f} rows/s  search {median * 1e3:6.2f} ms "
                    f"({median / first:4.1f}x of {size / sizes[0]:4.1f}x) "
                    f"{'#' * round(10 * median / first):24} recall {recall:.3f}  "
                    f"{memory:5.0f} MiB of its own",
                    flush=True,
                )
            info = await client.retrieve.get_collection(COLLECTION)
    text_bytes = sum(len(texts[row % TEXTS]) for row in range(TEXTS)) * stored // TEXTS
    raw = 4 * DIMENSION * stored + text_bytes
    print(f"{info.disk_bytes / raw:.2f} times the vectors and texts on the disk")


async def reopened(data: Path, query: Matrix) -> None:
    """Start again and search."""
    with ServerProcess(data) as server:
        async with groundwire.AsyncClient(server.address, timeout=600) as client:
            began = time.perf_counter()
            await client.retrieve.search(COLLECTION, query, top_k=TOP_K)
            print(f"opened and searched for the first time in {time.perf_counter() - began:.2f} s")
            own = private_bytes(server)
    print(f"{own / 2**20:.0f} MiB of the server's own after that, the embedder included")


async def measure(rows: int) -> None:
    rng = np.random.default_rng(384)
    centres = rng.standard_normal((rows // CLUSTER, DIMENSION), dtype=np.float32)
    queries = piece(rows, centres)[:QUERIES]
    sizes = [rows // 10, rows // 4, rows // 2, rows]
    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder) / "data"
        await grown(data, centres, queries, [-(-size // BATCH) * BATCH for size in sizes])
        await reopened(data, queries[0])


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000)
    rows = parser.parse_args().rows
    print(f"load of the machine before: {psutil.getloadavg()[0]:.1f}")
    uvloop.run(measure(rows))
    return 0


if __name__ == "__main__":
    sys.exit(main())
