"""How long searches take while rows are being stored as fast as two writers can.

Half of the rows are there when it begins. The other half arrives, from a process of its own, for
what keeps the writers' Python busy is not to be counted as the server's; indexes are built behind
it, and one client searches all along: of every row, and by a filter that 1 % match.
"""

from __future__ import annotations

import asyncio
import sys
import time
from asyncio.subprocess import PIPE, Process

import groundwire
import numpy as np
import psutil
import uvloop

from tests.bench.search import settled
from tests.bench.search_targets.corpus import Below, Corpus, corpus
from tests.bench.search_targets.server import GroundwireServer, store

TOP_K = 10
AIM_P99_S = 0.050
WHERE = (None, Below("shelf", 1))


async def searched(
    server: GroundwireServer, rows: Corpus, writer: Process
) -> dict[Below | None, list[float]]:
    """Seconds of each search until all is stored."""
    seconds: dict[Below | None, list[float]] = {where: [] for where in WHERE}
    turn = 0
    while writer.returncode is None:
        where = WHERE[turn % len(WHERE)]
        began = time.perf_counter()
        await server.search(rows.queries[turn % len(rows.queries)], TOP_K, where)
        seconds[where].append(time.perf_counter() - began)
        turn += 1
    return seconds


async def measure() -> bool:
    rows = corpus()
    half = len(rows.vectors) // 2
    async with GroundwireServer() as server:
        await server.create(rows)
        await server.store(rows, range(half))
        await asyncio.to_thread(settled)
        writer = await asyncio.create_subprocess_exec(
            sys.executable, "-m", __spec__.name, server.address, str(half), stdout=PIPE
        )
        assert writer.stdout is not None
        # It has made the rows, and begins.
        await writer.stdout.readline()
        seconds = await searched(server, rows, writer)
        rate = float(await writer.stdout.readline())
    print(f"{half:,} rows stored meanwhile, {rate:,.0f} rows/s")
    worst = 0.0
    for where, own in seconds.items():
        p50, p99 = np.percentile(own, (50, 99))
        worst = max(worst, float(p99))
        which = "all rows" if where is None else "a filter that 1 % match"
        print(f"{which}: {len(own):,} searches, p50 {p50 * 1e3:.1f} ms, p99 {p99 * 1e3:.1f} ms")
    return worst < AIM_P99_S


async def write(address: str, first: int) -> None:
    """Store the rows from ``first`` on; says when it begins, and rows per second at the end."""
    rows = corpus()
    async with groundwire.AsyncClient(address) as client:
        print("begun", flush=True)
        began = time.perf_counter()
        await store(client, rows, range(first, len(rows.vectors)))
        print((len(rows.vectors) - first) / (time.perf_counter() - began), flush=True)


def main() -> int:
    print(f"load of the machine before: {psutil.getloadavg()[0]:.1f}")
    return 0 if uvloop.run(measure()) else 1


if __name__ == "__main__":
    if len(sys.argv) > 1:
        uvloop.run(write(sys.argv[1], int(sys.argv[2])))
    else:
        sys.exit(main())
