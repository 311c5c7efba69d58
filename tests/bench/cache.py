"""Texts per second that are remembered, against the same server that embeds them each time."""

from __future__ import annotations

import asyncio
import statistics
import sys
import tempfile
import time
from pathlib import Path

import grpc
import psutil
import uvloop
from groundwire.v1 import embed_service_pb2 as pb
from groundwire.v1 import embed_service_pb2_grpc as pb_grpc

from tests.bench.texts import passages
from tests.e2e.serving import ServerProcess

CALLERS = 8
TEXTS_OF_A_CALL = (32, 1)
ROUNDS = 5
ROUND_S = 2.0
# Texts per second, in calls of 32.
BAR = 5_000


async def texts_per_second(stub: pb_grpc.EmbedServiceAsyncStub, texts: list[str]) -> float:
    """So many callers ask for the same texts, again and again."""
    request = pb.EmbedRequest(inputs=[pb.EmbedInput(text=text) for text in texts])
    until = time.perf_counter() + ROUND_S
    calls = 0

    async def call() -> None:
        nonlocal calls
        while time.perf_counter() < until:
            await stub.Embed(request)
            calls += 1

    await asyncio.gather(*(call() for _ in range(CALLERS)))
    return calls * len(texts) / ROUND_S


async def measure(with_cache: str, without: str) -> bool:
    kept = True
    async with (
        grpc.aio.insecure_channel(with_cache) as one,
        grpc.aio.insecure_channel(without) as other,
    ):
        stubs = pb_grpc.EmbedServiceStub(one), pb_grpc.EmbedServiceStub(other)
        for count in TEXTS_OF_A_CALL:
            texts = passages(count, seed=1)
            rounds = [
                [await texts_per_second(stub, texts) for stub in stubs] for _ in range(ROUNDS + 1)
            ][1:]
            ratio = statistics.median(hits / misses for hits, misses in rounds)
            hits, misses = (statistics.median(each) for each in zip(*rounds, strict=True))
            print(
                f"{count} texts a call: {hits:,.0f} texts/s remembered, {misses:,.0f} embedded; "
                f"ratio {ratio:.1f}",
                flush=True,
            )
            kept &= count == 1 or hits >= BAR
    print(f"bar: {BAR:,} remembered; load {psutil.getloadavg()[0]:.1f}")
    return kept


def main() -> int:
    with (
        tempfile.TemporaryDirectory() as folder,
        ServerProcess(Path(folder) / "with") as one,
        ServerProcess(Path(folder) / "without", "--cache-bytes", "0") as other,
    ):
        return 0 if uvloop.run(measure(one.address, other.address)) else 1


if __name__ == "__main__":
    sys.exit(main())
