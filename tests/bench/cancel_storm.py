"""A thousand streams that are dropped at random moments, and what is left of them: nothing.

The server's services are in this process, before the real vLLM, so that its tasks can be counted
and its scheduler asked.
"""

from __future__ import annotations

import asyncio
import gc
import random
import sys
from typing import Any

import grpc
import psutil
import uvloop
from groundwire.v1.generate_service_pb2 import GenerateRequest
from groundwire.v1.generation_pb2 import SamplingParameters
from groundwire_server.engines.fair_queue import Limits
from groundwire_server.engines.served_model import ServedModel
from groundwire_server.engines.vllm import VllmEngine

from tests.bench.generate_targets.target import MODEL_ARGS
from tests.e2e.generate.serving import Serving, serving
from tests.models import small_llama

STREAMS = 1000
AT_ONCE = 100
LONGEST_S = 0.5
# What Python and gRPC keep for later may differ between two storms.
MOST_MORE_MIB = 16.0
SAMPLING = SamplingParameters(max_tokens=300, temperature=1.0, n=2)


async def storm(serving: Serving, streams: int, random_: random.Random) -> int:
    """Open so many and drop each after a while; how many had ended by then."""
    slots = asyncio.Semaphore(AT_ONCE)

    async def one(number: int) -> bool:
        async with slots:
            prompt = f"{number}: the observatory stands on a ridge"
            call = serving.stub.Generate(GenerateRequest(prompt=prompt, sampling=SAMPLING))
            reading = asyncio.create_task(read(call))
            await asyncio.wait({reading}, timeout=random_.random() * LONGEST_S)
            ended = reading.done()
            call.cancel()
            await asyncio.gather(reading, return_exceptions=True)
            return ended

    return sum(await asyncio.gather(*(one(number) for number in range(streams))))


async def read(call: Any) -> None:
    while await call.read() is not grpc.aio.EOF:
        pass


async def settled(serving: Serving, model: ServedModel) -> None:
    """Wait until the server knows of nobody any more."""
    async with asyncio.timeout(10):
        while serving.running or model.waiting.requests:  # noqa: ASYNC110 - nothing to wait on
            await asyncio.sleep(0.01)
    await asyncio.sleep(0.5)
    gc.collect()


def mebibytes() -> float:
    return psutil.Process().memory_info().rss / 2**20


async def measure(streams: int) -> bool:
    random_ = random.Random(0)
    # What is compiled has no part in what is left behind.
    args = {**MODEL_ARGS, "enforce_eager": True}
    engine = VllmEngine(str(small_llama()), name="small", args=args)
    model = ServedModel(engine, Limits(64, AT_ONCE, 2**20))
    await model.start()
    try:
        async with serving(model, index=None, embedder=None, sessions=None) as served:
            # What is made once is there before anything is counted.
            await storm(served, streams, random_)
            await settled(served, model)
            tasks, memory = len(asyncio.all_tasks()), mebibytes()
            ended = await storm(served, streams, random_)
            await settled(served, model)
            more_tasks, more = len(asyncio.all_tasks()) - tasks, mebibytes() - memory
            vllm = engine._vllm
            left = vllm.output_processor.get_num_unfinished_requests()
            held = not await vllm.reset_prefix_cache()
    finally:
        await model.close()
    print(
        f"{streams} streams dropped, {ended} of them at their end: {left} requests left in "
        f"vLLM's front, its scheduler holds {'some memory' if held else 'nothing'}, "
        f"{more_tasks:+d} tasks, {more:+.1f} MiB (bar: at most {MOST_MORE_MIB:+g})"
    )
    return not left and not held and more_tasks <= 0 and more <= MOST_MORE_MIB


def main(arguments: list[str]) -> int:
    print(f"load of the machine before: {psutil.getloadavg()[0]:.1f}")
    return 0 if uvloop.run(measure(int(arguments[0]) if arguments else STREAMS)) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
