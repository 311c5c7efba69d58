"""Tokens per second and time to the first token, against vLLM in process and its own servers.

All serve the same small model, so that the fronts dominate, and are asked the same prompt. They
take turns, so that what else the machine does falls on all of them. The tokens of servers are read
by h2load, because a client in Python takes the processor away from what it measures; the first
token of one stream is timed in Python, while h2load reads the others.
"""

from __future__ import annotations

import asyncio
import statistics
import sys
import time
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass

import psutil
import uvloop

from tests.bench.generate_targets import TARGETS, AsyncLlm, Target
from tests.bench.generate_targets.target import MAX_TOKENS
from tests.bench.h2load import require_h2load

STREAMS = (1, 8, 32, 64)
ROUNDS = 5
ROUND_S = 2.0
# Seconds until the other streams are under way.
SETTLED_S = 0.5
# Of AsyncLLM's tokens per second, and of those of vLLM's servers.
SHARE_OF_ENGINE = 0.85
SHARE_OF_SERVERS = 1.1
# Milliseconds to the first token, more than AsyncLLM's.
MOST_ADDED_MS = {1: 2.0, 32: 8.0}


@dataclass(frozen=True, slots=True)
class Round:
    """What one round came to."""

    tokens_per_second: float
    first_ms: float
    """Median; 0 where it was not asked for."""


async def measured(target: Target, streams: int) -> Round:
    """Stream for a while, so many at once."""
    # How many are answered in that time is not known before.
    few = streams * 2
    per_second = few / await target.answer(few, streams)
    requests = max(streams, round(per_second * ROUND_S / streams) * streams)
    rate = requests * MAX_TOKENS / await target.answer(requests, streams)
    first_ms = await first_token_ms(target, streams) if streams in MOST_ADDED_MS else 0.0
    return Round(rate, first_ms)


async def first_token_ms(target: Target, streams: int) -> float:
    """Of one stream, median, while the others stream."""
    others = None
    if streams > 1:
        others = asyncio.create_task(target.answer(10**6, streams - 1))
        await asyncio.sleep(SETTLED_S)
    first_s = []
    until = time.perf_counter() + ROUND_S
    while time.perf_counter() < until:
        streamed = await target.stream()
        # The last tokens may have no text.
        if streamed.tokens < MAX_TOKENS * 0.9 or streamed.first_s is None:
            raise AssertionError(f"{target.name} ended after {streamed.tokens} tokens")
        first_s.append(streamed.first_s)
    if others is not None:
        others.cancel()
        with suppress(asyncio.CancelledError):
            await others
    return statistics.median(first_s) * 1000


def show(streams: int, rounds: dict[str, list[Round]]) -> bool:
    """One line for each target; whether ours is within its bars."""
    (_, ours), *peers = rounds.items()
    print(f"{streams} streams:" if streams > 1 else "1 stream:")
    kept = True
    for name, own in rounds.items():
        rate = statistics.median(one.tokens_per_second for one in own)
        first_ms = statistics.median(one.first_ms for one in own)
        first = f", first token {first_ms:.1f} ms" if first_ms else ""
        print(f"  {name}: {rate:,.0f} tokens/s{first}", flush=True)
    for name, own in peers:
        ratio = statistics.median(
            one.tokens_per_second / other.tokens_per_second
            for one, other in zip(ours, own, strict=True)
        )
        bar = SHARE_OF_ENGINE if name == AsyncLlm.name else SHARE_OF_SERVERS
        kept &= ratio >= bar
        print(f"  groundwire's tokens/s against {name}: {ratio:.2f} (bar: {bar:g})", flush=True)
        if name == AsyncLlm.name and streams in MOST_ADDED_MS:
            added = statistics.median(
                one.first_ms - other.first_ms for one, other in zip(ours, own, strict=True)
            )
            kept &= added < MOST_ADDED_MS[streams]
            print(f"  first token: {added:.1f} ms added (bar: {MOST_ADDED_MS[streams]:g} ms)")
    return kept


async def measure() -> bool:
    kept = True
    async with AsyncExitStack() as stack:
        targets = [await stack.enter_async_context(target()) for target in TARGETS]
        for streams in STREAMS:
            rounds: dict[str, list[Round]] = {target.name: [] for target in targets}
            for number in range(ROUNDS + 1):
                for target in targets:
                    one = await measured(target, streams)
                    if number:  # The first round is for warming up.
                        rounds[target.name].append(one)
            kept &= show(streams, rounds)
    return kept


def main() -> int:
    require_h2load()
    print(f"load of the machine before: {psutil.getloadavg()[0]:.1f}")
    return 0 if uvloop.run(measure()) else 1


if __name__ == "__main__":
    sys.exit(main())
