"""vLLM's AsyncLLM in the process that asks: no transport at all."""

from __future__ import annotations

import asyncio
import time
import uuid
from typing import Self

from groundwire_server.engines.vllm_start import (
    clean_up,
    core_processes,
    import_vllm,
    start_vllm,
)

from tests.bench.generate_targets.target import MAX_TOKENS, MODEL_ARGS, PROMPT, Streamed
from tests.models import small_llama

SHUTDOWN_S = 15.0
# As vLLM starts it by itself, whatever this server would have it do.
ARGS = {**MODEL_ARGS, "distributed_executor_backend": "mp"}


class AsyncLlm:
    """Its `generate`, in deltas."""

    name = "AsyncLLM in process"

    async def __aenter__(self) -> Self:
        import_vllm()
        self._llm = await asyncio.to_thread(start_vllm, str(small_llama()), ARGS)
        return self

    async def __aexit__(self, *error: object) -> None:
        if self._llm.output_handler is not None:
            self._llm.output_handler.cancel()
        cores = core_processes()
        await asyncio.to_thread(self._llm.shutdown)
        self._llm = None
        await asyncio.to_thread(clean_up, cores, SHUTDOWN_S)

    async def stream(self) -> Streamed:
        """Generate."""
        from vllm import SamplingParams
        from vllm.sampling_params import RequestOutputKind

        sampling = SamplingParams(
            max_tokens=MAX_TOKENS, temperature=0.0, output_kind=RequestOutputKind.DELTA
        )
        streamed = Streamed()
        async for output in self._llm.generate(PROMPT, sampling, uuid.uuid4().hex):
            (delta,) = output.outputs
            streamed.came(len(delta.token_ids), text=bool(delta.text))
        return streamed

    async def answer(self, requests: int, at_once: int) -> float:
        """The same; there is no client."""
        left = iter(range(requests))

        async def one_after_another() -> None:
            for _ in left:
                await self.stream()

        began = time.perf_counter()
        await asyncio.gather(*(one_after_another() for _ in range(at_once)))
        return time.perf_counter() - began
