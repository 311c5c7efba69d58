"""Search over 100,000 records through gRPC, against Chroma's server and brute force with numpy.

The targets take turns, so that what else the machine does falls on all of them. Another peer is
another file in search_targets.
"""

from __future__ import annotations

import asyncio
import statistics
import sys
import time
from contextlib import AsyncExitStack
from dataclasses import dataclass

import numpy as np
import psutil
import uvloop

from tests.bench.search_targets import TARGETS, Target
from tests.bench.search_targets.corpus import Below, Corpus, corpus

TOP_K = 10
ROUNDS = 3
ROUND_S = 3.0
FILTERS = {
    "all rows": None,
    "a filter that 0.1 % match": Below("box", 1),
    "a filter that 1 % match": Below("shelf", 1),
    "a filter that 10 % match": Below("shelf", 10),
    "a filter that 50 % match": Below("shelf", 50),
}
# Share of the true nearest that each must find.
RECALL = 0.99
# Indexes are built behind what was stored: nothing is searched before the machine rests.
QUIET_S = 3.0
QUIET_PERCENT = 20.0


@dataclass(frozen=True, slots=True)
class Load:
    """How it is searched: by so many clients at once, and which rows."""

    clients: int
    rows: str

    @property
    def where(self) -> Below | None:
        """What lets the rows through."""
        return FILTERS[self.rows]

    def __str__(self) -> str:
        who = "1 client" if self.clients == 1 else f"{self.clients} clients"
        return f"{who}, {self.rows}"


LOADS = [Load(1, rows) for rows in FILTERS] + [
    Load(32, rows) for rows in ("all rows", "a filter that 1 % match")
]


@dataclass(frozen=True, slots=True)
class Round:
    """What one round came to."""

    per_second: float
    seconds: list[float]


async def filled_per_second(target: Target, rows: Corpus) -> float:
    """Rows per second until the last is stored."""
    began = time.perf_counter()
    await target.fill(rows)
    return len(rows.vectors) / (time.perf_counter() - began)


async def searched(target: Target, rows: Corpus, load: Load) -> Round:
    """Search for a while, each client with one query after the other."""
    seconds: list[float] = []
    began = time.perf_counter()

    async def client(number: int) -> None:
        turn = number
        while (start := time.perf_counter()) < began + ROUND_S:
            await target.search(rows.queries[turn % len(rows.queries)], TOP_K, load.where)
            seconds.append(time.perf_counter() - start)
            turn += load.clients

    await asyncio.gather(*(client(number) for number in range(load.clients)))
    return Round(len(seconds) / (time.perf_counter() - began), seconds)


def settled() -> None:
    """Wait until our processes have nothing left to do."""
    processes = [psutil.Process(), *psutil.Process().children(recursive=True)]
    while True:
        for process in processes:
            process.cpu_percent()
        time.sleep(QUIET_S)
        if sum(process.cpu_percent() for process in processes) < QUIET_PERCENT:
            return


async def agreement(targets: list[Target], rows: Corpus, where: Below | None) -> float:
    """The least share of the last target's hits that another one finds, too."""
    exact = targets[-1]
    found = []
    for target in targets[:-1]:
        same = 0
        for query in rows.queries[:100]:
            truth = await exact.search(query, TOP_K, where)
            same += len(set(truth) & set(await target.search(query, TOP_K, where)))
        found.append(same / (100 * TOP_K))
    return min(found)


def show(load: Load, rounds: dict[str, list[Round]]) -> None:
    """One line for each target, with the ratio of the first one's searches to its own."""
    (_, first), *_ = rounds.items()
    print(f"{load}:")
    for name, own in rounds.items():
        seconds = [each for one in own for each in one.seconds]
        p50, p99 = np.percentile(seconds, (50, 99)) * 1000
        ratio = statistics.median(
            one.per_second / other.per_second for one, other in zip(first, own, strict=True)
        )
        rate = statistics.median(one.per_second for one in own)
        print(
            f"  {name}: {rate:,.1f} searches/s, p50 {p50:.1f} ms, p99 {p99:.1f} ms; "
            f"ratio {ratio:.2g}",
            flush=True,
        )


async def measure() -> bool:
    rows = corpus()
    async with AsyncExitStack() as stack:
        targets = [await stack.enter_async_context(target()) for target in TARGETS]
        for target in targets:
            rate = await filled_per_second(target, rows)
            stored = len(rows.vectors)
            print(f"{target.name}: {stored:,} rows stored, {rate:,.0f} rows/s", flush=True)
            await asyncio.to_thread(settled)
        same = []
        for name, where in FILTERS.items():
            same.append(await agreement(targets, rows, where))
            print(f"{name}: {same[-1]:.2%} of the hits of brute force found by all", flush=True)
        for load in LOADS:
            rounds: dict[str, list[Round]] = {target.name: [] for target in targets}
            for number in range(ROUNDS + 1):
                for target in targets:
                    one = await searched(target, rows, load)
                    if number:  # The first round is for warming up.
                        rounds[target.name].append(one)
            show(load, rounds)
    return min(same) >= RECALL


def main() -> int:
    print(f"load of the machine before: {psutil.getloadavg()[0]:.1f}")
    is_exact = uvloop.run(measure())
    print(f"load of the machine after: {psutil.getloadavg()[0]:.1f}, this benchmark included")
    return 0 if is_exact else 1


if __name__ == "__main__":
    sys.exit(main())
