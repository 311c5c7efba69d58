"""Tokens per second and time to the first token, against vLLM in process and its own servers.

All serve the same small model, so that the fronts dominate, and are asked the same prompts, each
once. They take turns, so that what else the machine does falls on all of them.
"""

from __future__ import annotations

import asyncio
import statistics
import sys
import time
from contextlib import AsyncExitStack
from dataclasses import dataclass

import psutil
import uvloop

from tests.bench.generate_targets import TARGETS, AsyncLlm, Target

STREAMS = (1, 8, 32, 64)
ROUNDS = 5
ROUND_S = 3.0
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
    """Median."""


async def asked(target: Target, streams: int, round_number: int) -> Round:
    """Stream for a while, so many at once."""
    first_s: list[float] = []
    tokens = 0
    began = time.perf_counter()

    async def one_after_another(number: int) -> None:
        nonlocal tokens
        turn = 0
        while time.perf_counter() < began + ROUND_S:
            # Another one each time, so that no prefix cache helps anyone.
            prompt = f"{round_number}.{number}.{turn}: the observatory stands on a ridge, and opens"
            streamed = await target.stream(prompt)
            tokens += streamed.tokens
            if streamed.first_s is not None:
                first_s.append(streamed.first_s)
            turn += 1

    await asyncio.gather(*(one_after_another(number) for number in range(streams)))
    seconds = time.perf_counter() - began
    return Round(tokens / seconds, statistics.median(first_s) * 1000)


def show(streams: int, rounds: dict[str, list[Round]]) -> bool:
    """One line for each target; whether ours is within its bars."""
    (_, ours), *peers = rounds.items()
    print(f"{streams} streams:" if streams > 1 else "1 stream:")
    kept = True
    for name, own in rounds.items():
        rate = statistics.median(one.tokens_per_second for one in own)
        first_ms = statistics.median(one.first_ms for one in own)
        print(f"  {name}: {rate:,.0f} tokens/s, first token {first_ms:.1f} ms", flush=True)
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
                    one = await asked(target, streams, number)
                    if number:  # The first round is for warming up.
                        rounds[target.name].append(one)
            kept &= show(streams, rounds)
    return kept


def main() -> int:
    print(f"load of the machine before: {psutil.getloadavg()[0]:.1f}")
    return 0 if uvloop.run(measure()) else 1


if __name__ == "__main__":
    sys.exit(main())
