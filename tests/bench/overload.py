"""Ten times the load that a model admits: who is refused hears it at once, who is admitted is well.

The load that is admitted is what callers make who wait for one answer before they ask for the
next, one for each place. Then calls come at ten times the rate of their answers, whatever becomes
of them.
"""

from __future__ import annotations

import asyncio
import statistics
import sys
import time
from dataclasses import dataclass, field

import grpc
import psutil
import uvloop
from groundwire.v1.generate_service_pb2 import GenerateRequest
from groundwire.v1.generation_pb2 import SamplingParameters

from tests.bench.generate_targets.groundwire import EAGER, Groundwire

UNLOADED_S = 20.0
LOADED_S = 60.0
TIMES_OVER = 10
RUNNING, QUEUED = 8, 4
# Long enough for ten times the rate to be hundreds of calls a second, not thousands: their client
# has the same two cores as the model.
SAMPLING = SamplingParameters(max_tokens=256, temperature=0.0)
REFUSED_MS = 20.0
MOST_SLOWER = 1.5
MOST_MORE_MIB = 16.0


@dataclass(slots=True)
class Answers:
    """What became of the calls."""

    admitted_s: list[float] = field(default_factory=list)
    refused_s: list[float] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)


async def ask(server: Groundwire, number: int, answers: Answers) -> None:
    began = time.perf_counter()
    request = GenerateRequest(prompt=f"{number}: the observatory stands", sampling=SAMPLING)
    try:
        async for _ in server.stub.Generate(request, timeout=60):
            pass
    except grpc.aio.AioRpcError as error:
        if error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED:
            answers.refused_s.append(time.perf_counter() - began)
        else:
            answers.failed.append(f"{error.code().name}: {error.details()}")
    else:
        answers.admitted_s.append(time.perf_counter() - began)


async def unloaded(server: Groundwire, seconds: float) -> tuple[Answers, float]:
    """As many callers as places; also the answers per second."""
    answers = Answers()
    end = time.perf_counter() + seconds

    async def caller(number: int) -> None:
        turn = 0
        while time.perf_counter() < end:
            await ask(server, number * 1_000_000 + turn, answers)
            turn += 1

    began = time.perf_counter()
    await asyncio.gather(*map(caller, range(RUNNING + QUEUED)))
    return answers, len(answers.admitted_s) / (time.perf_counter() - began)


async def loaded(server: Groundwire, seconds: float, per_second: float) -> Answers:
    """A call at every so-many-th of a second, whether or not those before have ended."""
    answers = Answers()
    began = time.perf_counter()
    async with asyncio.TaskGroup() as calls:
        for number in range(round(seconds * per_second)):
            late = began + number / per_second - time.perf_counter()
            if late > 0:
                await asyncio.sleep(late)
            calls.create_task(ask(server, number, answers))
    return answers


def p99_ms(seconds: list[float]) -> float:
    return statistics.quantiles(seconds, n=100)[-1] * 1000


async def measure(unloaded_s: float, loaded_s: float) -> bool:
    limits = ("--running-generations", str(RUNNING), "--queued-generations", str(QUEUED))
    async with Groundwire(*limits, *EAGER) as server:
        process = psutil.Process(server.server.pid)
        await unloaded(server, unloaded_s / 4)
        alone, per_second = await unloaded(server, unloaded_s)
        # What a flood takes once, such as buffers, is there before memory is compared.
        await loaded(server, loaded_s / 6, TIMES_OVER * per_second)
        before = process.memory_info().rss
        flood = await loaded(server, loaded_s, TIMES_OVER * per_second)
        more = (process.memory_info().rss - before) / 2**20
    for failed in (*alone.failed, *flood.failed):
        print(f"failed: {failed}")
    refused, slower = p99_ms(flood.refused_s), p99_ms(flood.admitted_s) / p99_ms(alone.admitted_s)
    print(
        f"admitted load: {per_second:.1f} answers/s, p99 {p99_ms(alone.admitted_s):.0f} ms\n"
        f"{TIMES_OVER} times that for {loaded_s:g} s: {len(flood.admitted_s)} answered, p99 "
        f"{p99_ms(flood.admitted_s):.0f} ms, {slower:.2f} times (bar: {MOST_SLOWER:g})\n"
        f"{len(flood.refused_s)} refused: median {statistics.median(flood.refused_s) * 1000:.1f} "
        f"ms, p99 {refused:.1f} ms (bar: {REFUSED_MS:g}); {more:+.1f} MiB (bar: at most "
        f"{MOST_MORE_MIB:+g}); {len(flood.failed)} failed"
    )
    well = not alone.failed and not flood.failed and more <= MOST_MORE_MIB
    return well and refused <= REFUSED_MS and slower <= MOST_SLOWER


def main(arguments: list[str]) -> int:
    print(f"load of the machine before: {psutil.getloadavg()[0]:.1f}")
    seconds = float(arguments[0]) if arguments else LOADED_S
    return 0 if uvloop.run(measure(min(UNLOADED_S, seconds), seconds)) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
