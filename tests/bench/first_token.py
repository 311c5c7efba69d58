"""Time to the first token through the server, against the same AsyncLLM called in process.

Both serve the same small model and the same prompts, one stream at a time, and take turns, so
that what else the machine does falls on both.
"""

from __future__ import annotations

import asyncio
import json
import statistics
import sys
import tempfile
import time
import uuid
from pathlib import Path
from typing import Any

import grpc
import uvloop
from groundwire.v1 import generate_service_pb2 as pb
from groundwire.v1 import generate_service_pb2_grpc as pb_grpc
from groundwire.v1 import generation_pb2
from groundwire_server.engines.vllm_start import (
    clean_up,
    core_processes,
    import_vllm,
    start_vllm,
)

from tests.e2e.serving import ServerProcess
from tests.models import small_llama

BAR_MS = 2.0
ROUNDS = 200
WARM_UP = 20
MAX_TOKENS = 8
SHUTDOWN_S = 15.0
ARGS = {"dtype": "float32", "gpu_memory_utilization": 0.3}


def prompt(number: int) -> str:
    """Another one each time, so that no prefix cache helps either side."""
    return f"{number}: the observatory stands on a ridge above the valley, and opens at"


async def in_process(llm: Any, number: int) -> float | None:
    """Seconds to the first text; None where the random model said nothing that is text."""
    from vllm import SamplingParams
    from vllm.sampling_params import RequestOutputKind

    sampling = SamplingParams(
        max_tokens=MAX_TOKENS, temperature=0.0, output_kind=RequestOutputKind.DELTA
    )
    began = time.perf_counter()
    first = None
    async for output in llm.generate(prompt(number), sampling, uuid.uuid4().hex):
        if first is None and output.outputs[0].text:
            first = time.perf_counter() - began
    return first


async def through_the_server(stub: pb_grpc.GenerateServiceAsyncStub, number: int) -> float | None:
    """The same, of a client of the server."""
    request = pb.GenerateRequest(
        prompt=prompt(number),
        sampling=generation_pb2.SamplingParameters(max_tokens=MAX_TOKENS, temperature=0.0),
    )
    began = time.perf_counter()
    first = None
    async for event in stub.Generate(request):
        if first is None and event.text_delta.text:
            first = time.perf_counter() - began
    return first


async def measure(address: str) -> tuple[list[float], list[float]]:
    import_vllm()
    # As vLLM starts it by itself, whatever this server would have it do.
    args = {**ARGS, "distributed_executor_backend": "mp"}
    llm = await asyncio.to_thread(start_vllm, str(small_llama()), args)
    async with grpc.aio.insecure_channel(address) as channel:
        stub = pb_grpc.GenerateServiceStub(channel)
        pairs = [
            (await through_the_server(stub, number), await in_process(llm, number))
            for number in range(ROUNDS + WARM_UP)
        ]
    llm.output_handler.cancel()
    cores = core_processes()
    await asyncio.to_thread(llm.shutdown)
    del llm
    await asyncio.to_thread(clean_up, cores, SHUTDOWN_S)
    both = [(one, other) for one, other in pairs[WARM_UP:] if one is not None and other is not None]
    return [one for one, _ in both], [other for _, other in both]


def main() -> int:
    with (
        tempfile.TemporaryDirectory() as folder,
        ServerProcess(
            Path(folder) / "data",
            *("--vllm-model", str(small_llama()), "--vllm-args", json.dumps(ARGS)),
        ) as server,
    ):
        ours, alone = uvloop.run(measure(server.address))
    through, peer = statistics.median(ours) * 1000, statistics.median(alone) * 1000
    print(
        f"first token: {through:.2f} ms through the server; {peer:.2f} ms from AsyncLLM in "
        f"process; ratio {through / peer:.2f}; {through - peer:.2f} ms added (bar: at most "
        f"{BAR_MS:g} ms)"
    )
    return 0 if through - peer <= BAR_MS else 1


if __name__ == "__main__":
    sys.exit(main())
