"""Search over 100,000 records: this server, Chroma's, milvus-lite's, and brute force with numpy.

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
# Share of the true nearest that this server must find; what its peers find is said beside it.
RECALL = 0.99
RECALL_QUERIES = 100
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


async def recalls(targets: list[Target], rows: Corpus, where: Below | None) -> dict[str, float]:
    """For each target but the last, the share of the last one's hits that it finds, too."""
    *approximate, exact = targets
    same = dict.fromkeys((target.name for target in approximate), 0)
    for query in rows.queries[:RECALL_QUERIES]:
        truth = set(await exact.search(query, TOP_K, where))
        for target in approximate:
            same[target.name] += len(truth.intersection(await target.search(query, TOP_K, where)))
    return {name: found / (RECALL_QUERIES * TOP_K) for name, found in same.items()}


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
            f"ratio {two_digits(ratio)}",
            flush=True,
        )


def two_digits(ratio: float) -> str:
    """As it can be compared: 0.29, 3.1, 24, 190."""
    return f"{float(f'{ratio:.2g}'):,g}"


async def measure() -> bool:
    """Whether this server finds what it must."""
    rows = corpus()
    async with AsyncExitStack() as stack:
        targets = [await stack.enter_async_context(target()) for target in TARGETS]
        for target in targets:
            rate = await filled_per_second(target, rows)
            stored = len(rows.vectors)
            print(f"{target.name}: {stored:,} rows stored, {rate:,.0f} rows/s", flush=True)
            await asyncio.to_thread(settled)
        ours = []
        for name, where in FILTERS.items():
            found = await recalls(targets, rows, where)
            ours.append(found[targets[0].name])
            shares = ", ".join(f"{share:.2%} by {each}" for each, share in found.items())
            print(f"{name}: of the hits of brute force, found {shares}", flush=True)
        for load in LOADS:
            rounds: dict[str, list[Round]] = {target.name: [] for target in targets}
            for number in range(ROUNDS + 1):
                for target in targets:
                    one = await searched(target, rows, load)
                    if number:  # The first round is for warming up.
                        rounds[target.name].append(one)
            show(load, rounds)
    return min(ours) >= RECALL


def main() -> int:
    print(f"load of the machine before: {psutil.getloadavg()[0]:.1f}")
    is_sound = uvloop.run(measure())
    print(f"load of the machine after: {psutil.getloadavg()[0]:.1f}, this benchmark included")
    return 0 if is_sound else 1


if __name__ == "__main__":
    sys.exit(main())
