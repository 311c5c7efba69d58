"""Our embedder and its batcher, against sentence-transformers with the same weights.

All run in turns, so that what else the machine does falls on all of them. First both as they are
by default: our embedder in the number format that it chose for this machine, the library in fp32,
with how near their vectors are. Then like with like: the library in our format, and both in fp32,
since bf16 would otherwise pass for the batcher's merit. The server, in a process of its own, says
what gRPC costs on top. What else runs takes time from all of them but no processor time, so the
ratio of that is given too, where both are in this process.
"""

from __future__ import annotations

import asyncio
import statistics
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import groundwire
import uvloop
from groundwire_server.embedders.embedder import EmbedKind
from groundwire_server.embedders.precision import Precision, dtype_of
from groundwire_server.embedders.sentence_transformers import SentenceTransformersEmbedder
from groundwire_server.embedders.torch_runtime import import_torch
from groundwire_server.embedders.weights import built_in_folder
from sentence_transformers import SentenceTransformer

from tests.bench.texts import passages
from tests.e2e.serving import ServerProcess

ROUNDS = 3
CALLERS = 32
CALLS = 8
BATCH = 512
# What is not in this process.
ELSEWHERE = ("through gRPC",)
PEER_BATCH = 32

# Where both are as they are by default.
TARGET = 2.5
NEAR = 0.999

Embed = Callable[[Sequence[str]], Awaitable[object]]


@dataclass(frozen=True)
class Rate:
    """Texts a second of one way to embed them, by the clock and of this process' processors."""

    by_clock: float
    by_cpu: float


async def rate_of(embed: Embed, texts: Sequence[str]) -> Rate:
    """Of one way to embed them all."""
    began, busy = time.perf_counter(), time.process_time()
    await embed(texts)
    took, worked = time.perf_counter() - began, time.process_time() - busy
    return Rate(len(texts) / took, len(texts) / worked)


def from_callers(embed: Embed) -> Embed:
    """As so many callers do it at once, each with one text after the other."""

    async def caller(texts: Sequence[str]) -> None:
        for text in texts:
            await embed([text])

    async def all_callers(texts: Sequence[str]) -> None:
        await asyncio.gather(*(caller(texts[number::CALLERS]) for number in range(CALLERS)))

    return all_callers


async def rates_of(
    ways: dict[str, Embed], texts_of: Callable[[int], Sequence[str]]
) -> dict[str, list[Rate]]:
    """Of each way, round by round, in turns; the first round is for warming up."""
    rates: dict[str, list[Rate]] = {name: [] for name in ways}
    for number in range(ROUNDS + 1):
        texts = texts_of(number)
        for name, embed in ways.items():
            rate = await rate_of(embed, texts)
            if number:
                rates[name].append(rate)
    return rates


def show(what: str, rates: dict[str, list[Rate]]) -> None:
    """The first way, and its ratio to each of the others in the same round."""
    (ours, own), *peers = rates.items()
    print(f"{what}: {ours} {statistics.median(one.by_clock for one in own):,.0f} texts/s", end="")
    for name, theirs in peers:
        pairs = list(zip(own, theirs, strict=True))
        rate = statistics.median(one.by_clock for one in theirs)
        ratio = statistics.median(one.by_clock / other.by_clock for one, other in pairs)
        print(f"; {name} {rate:,.0f}, ratio {ratio:.2f}", end="")
        if name not in ELSEWHERE:
            cpu = statistics.median(one.by_cpu / other.by_cpu for one, other in pairs)
            print(f" (processor time {cpu:.2f})", end="")
    print(flush=True)


async def measure(address: str) -> None:
    torch = import_torch()
    chosen = dtype_of("auto", torch)
    await measure_defaults()
    await measure_in("auto", chosen, address)
    if chosen is not torch.float32:
        await measure_in("fp32", torch.float32, address)


async def measure_defaults() -> None:
    """Ours as it is by default against the library as it is by default, and how near they are."""
    embedder = SentenceTransformersEmbedder("all-MiniLM-L6-v2")
    await embedder.start()
    model = SentenceTransformer(str(built_in_folder()), device="cpu")

    async def ours(texts: Sequence[str]) -> None:
        await embedder.embed(texts, EmbedKind.PASSAGE)

    async def loop(texts: Sequence[str]) -> None:
        for text in texts:
            model.encode([text], show_progress_bar=False)

    async def in_batches(texts: Sequence[str]) -> None:
        model.encode(list(texts), batch_size=PEER_BATCH, show_progress_bar=False)

    print(f"both as they are by default, at least {TARGET}:")
    show(
        f"  {CALLERS} callers with one text each",
        await rates_of(
            {"our embedder": from_callers(ours), "a loop of encode in fp32": loop},
            lambda number: passages(CALLERS * CALLS, seed=2000 + number),
        ),
    )
    show(
        f"  a batch of {BATCH}",
        await rates_of(
            {"our embedder": ours, f"encode(batch_size={PEER_BATCH}) in fp32": in_batches},
            lambda number: passages(BATCH, seed=3000 + number),
        ),
    )
    texts = passages(BATCH, seed=4000)
    vectors = (await embedder.embed(texts, EmbedKind.PASSAGE)).vectors
    cosines = (vectors * model.encode(texts, show_progress_bar=False)).sum(axis=1)
    print(f"  least cosine of {BATCH} texts: {cosines.min():.5f}, at least {NEAR}", flush=True)
    await embedder.close()


async def measure_in(precision: Precision, dtype: Any, address: str) -> None:
    embedder = SentenceTransformersEmbedder("all-MiniLM-L6-v2", precision=precision)
    await embedder.start()
    model = SentenceTransformer(str(built_in_folder()), device="cpu", model_kwargs={"dtype": dtype})

    async def ours(texts: Sequence[str]) -> None:
        await embedder.embed(texts, EmbedKind.PASSAGE)

    async def one_by_one(texts: Sequence[str]) -> None:
        for text in texts:
            model.encode([text], show_progress_bar=False)

    async def in_batches(texts: Sequence[str]) -> None:
        model.encode(list(texts), batch_size=PEER_BATCH, show_progress_bar=False)

    async with groundwire.AsyncClient(address) as client:
        # The server computes in the format that was chosen for the machine, and in no other.
        server: dict[str, Embed] = {"through gRPC": client.embed} if precision == "auto" else {}
        through = {name: from_callers(embed) for name, embed in server.items()}
        callers = {"our embedder": from_callers(ours), **through, "encode one by one": one_by_one}
        batches = {"our embedder": ours, **server}
        peer: dict[str, Embed] = {f"encode(batch_size={PEER_BATCH})": in_batches}
        print(f"in {str(dtype).removeprefix('torch.')} on both sides:")
        show(
            f"  {CALLERS} callers with one text each",
            await rates_of(callers | peer, lambda number: passages(CALLERS * CALLS, seed=number)),
        )
        show(
            f"  a batch of {BATCH}",
            await rates_of(batches | peer, lambda number: passages(BATCH, seed=1000 + number)),
        )
    await embedder.close()


def main() -> int:
    with (
        tempfile.TemporaryDirectory() as folder,
        ServerProcess(Path(folder) / "data") as server,
    ):
        uvloop.run(measure(server.address))
    return 0


if __name__ == "__main__":
    sys.exit(main())
