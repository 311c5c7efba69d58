"""How soon a slot is free whose holder leaves, passes its deadline, or is aborted.

The server works on one generation at a time. One holds the slot, another waits for it; the time
is from the cause, at the client, to `started` of the one that waited, at the client. Of one that
waited itself it is to when the server says that it is gone.
"""

from __future__ import annotations

import asyncio
import statistics
import sys
import time
from collections.abc import Awaitable, Callable
from typing import Any

import psutil
import uvloop
from groundwire.v1 import admin_service_pb2, admin_service_pb2_grpc
from groundwire.v1 import generate_service_pb2 as pb
from groundwire.v1.generation_pb2 import SamplingParameters

from tests.bench.generate_targets.groundwire import EAGER, Groundwire

BAR_MS = 100.0
TIMES = 50
LONG = SamplingParameters(max_tokens=400, temperature=1.0, n=4)
# The prompt fills most of the context: reading it takes several steps of the engine.
PROMPTS = {"in prefill": "the observatory stands on a ridge " * 12, "decoding": "The dome"}
DEADLINE_S = 0.3


def asked(prompt: str, request_id: str = "") -> pb.GenerateRequest:
    return pb.GenerateRequest(prompt=prompt, sampling=LONG, request_id=request_id)


class Bench:
    """One server, and the calls that hold its slot and wait for it."""

    def __init__(self, server: Groundwire) -> None:
        self._stub = server.stub
        self._admin = admin_service_pb2_grpc.AdminServiceStub(server.channel)

    async def leave(self, call: Any) -> float:
        """Cancel; when that was."""
        began = time.perf_counter()
        call.cancel()
        return began

    async def abort(self, call: Any) -> float:
        """Abort; when that was."""
        began = time.perf_counter()
        await self._admin.Abort(admin_service_pb2.AbortRequest(request_id="held"))
        return began

    async def expire(self, call: Any) -> float:
        """Wait for the deadline; when the client was told."""
        await call.code()
        return time.perf_counter()

    async def of_the_slot(self, phase: str, cause: Callable[[Any], Awaitable[float]]) -> float:
        """Milliseconds until who waits for the slot is told that it has it."""
        timeout = DEADLINE_S if cause == self.expire else None
        holder = self._stub.Generate(asked(PROMPTS[phase], "held"), timeout=timeout)
        await holder.read()
        if phase == "decoding":
            await holder.read()
        waiter = self._stub.Generate(asked("The dome"))
        waiting = asyncio.ensure_future(waiter.read())
        await self._running(2)
        began = await cause(holder)
        await waiting
        taken = time.perf_counter() - began
        waiter.cancel()
        await self._running(0)
        return max(taken, 0.0) * 1000

    async def of_the_queue(self, cause: Callable[[Any], Awaitable[float]]) -> float:
        """Milliseconds until nothing is left of who waited."""
        timeout = DEADLINE_S if cause == self.expire else None
        holder = self._stub.Generate(asked("The dome"))
        await holder.read()
        waiter = self._stub.Generate(asked("The dome", "held"), timeout=timeout)
        waiting = asyncio.ensure_future(waiter.read())
        await self._running(2)
        began = await cause(waiter)
        await self._running(1)
        taken = time.perf_counter() - began
        holder.cancel()
        await asyncio.gather(waiting, return_exceptions=True)
        await self._running(0)
        return taken * 1000

    async def _running(self, count: int) -> None:
        """Ask until so many calls are in progress."""
        while True:
            load = await self._admin.GetLoad(admin_service_pb2.GetLoadRequest())
            if load.running_requests == count:
                return


def show(what: str, taken_ms: list[float]) -> bool:
    taken_ms.sort()
    print(
        f"{what}: median {statistics.median(taken_ms):.1f} ms, 99 % "
        f"{taken_ms[round(0.99 * (len(taken_ms) - 1))]:.1f}, most {taken_ms[-1]:.1f} "
        f"(bar: {BAR_MS:g})",
        flush=True,
    )
    return taken_ms[-1] < BAR_MS


async def measure(times: int) -> bool:
    kept = True
    limits = ("--running-generations", "1", "--queued-generations", "4")
    async with Groundwire(*limits, *EAGER) as server:
        bench = Bench(server)
        causes = {
            "client leaves": bench.leave,
            "AdminService/Abort": bench.abort,
            "deadline": bench.expire,
        }
        for name, cause in causes.items():
            await bench.of_the_slot("decoding", cause)
            taken = [await bench.of_the_queue(cause) for _ in range(times)]
            kept &= show(f"{name}, queued", taken)
            for phase in PROMPTS:
                taken = [await bench.of_the_slot(phase, cause) for _ in range(times)]
                kept &= show(f"{name}, {phase}", taken)
    return kept


def main(arguments: list[str]) -> int:
    print(f"load of the machine before: {psutil.getloadavg()[0]:.1f}")
    return 0 if uvloop.run(measure(int(arguments[0]) if arguments else TIMES)) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
