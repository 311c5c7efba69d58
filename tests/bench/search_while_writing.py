"""How long searches take while rows are being stored as fast as two writers can.

Half of the rows are there when it begins. The other half arrives, indexes are built behind it,
and one client searches all along: of every row, and by a filter that 1 % match.
"""

from __future__ import annotations

import asyncio
import sys
import time

import numpy as np
import psutil
import uvloop

from tests.bench.search import settled
from tests.bench.search_targets.corpus import Below, Corpus, corpus
from tests.bench.search_targets.server import GroundwireServer

TOP_K = 10
AIM_P99_S = 0.050
WHERE = (None, Below("shelf", 1))


async def searched(
    server: GroundwireServer, rows: Corpus, writing: asyncio.Task[None]
) -> dict[Below | None, list[float]]:
    """Seconds of each search until all is stored."""
    seconds: dict[Below | None, list[float]] = {where: [] for where in WHERE}
    turn = 0
    while not writing.done():
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
        began = time.perf_counter()
        writing = asyncio.create_task(server.store(rows, range(half, len(rows.vectors))))
        seconds = await searched(server, rows, writing)
        await writing
        rate = half / (time.perf_counter() - began)
    print(f"{half:,} rows stored meanwhile, {rate:,.0f} rows/s")
    worst = 0.0
    for where, own in seconds.items():
        p50, p99 = np.percentile(own, (50, 99))
        worst = max(worst, float(p99))
        which = "all rows" if where is None else "a filter that 1 % match"
        print(f"{which}: {len(own):,} searches, p50 {p50 * 1e3:.1f} ms, p99 {p99 * 1e3:.1f} ms")
    return worst < AIM_P99_S


def main() -> int:
    print(f"load of the machine before: {psutil.getloadavg()[0]:.1f}")
    return 0 if uvloop.run(measure()) else 1


if __name__ == "__main__":
    sys.exit(main())
