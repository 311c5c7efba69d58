"""vLLM's own gRPC server, which streams the numbers of tokens, not text."""

from __future__ import annotations

import asyncio
import uuid
from contextlib import AsyncExitStack
from typing import Self

import grpc
from smg_grpc_proto import vllm_engine_pb2 as pb
from smg_grpc_proto import vllm_engine_pb2_grpc as pb_grpc

from tests.bench.generate_targets.target import MAX_TOKENS, Streamed
from tests.e2e.generate.vllm_servers import GRPC, vllm_server


class GrpcServer:
    """VllmEngine with its generated stub."""

    name = "vLLM's gRPC server"

    async def __aenter__(self) -> Self:
        self._stack = AsyncExitStack()
        server = vllm_server(GRPC)
        port = await asyncio.to_thread(self._stack.enter_context, server)
        channel = await self._stack.enter_async_context(
            grpc.aio.insecure_channel(f"127.0.0.1:{port}")
        )
        self._stub = pb_grpc.VllmEngineStub(channel)
        return self

    async def __aexit__(self, *error: object) -> None:
        await self._stack.aclose()

    async def stream(self, prompt: str) -> Streamed:
        """Generate."""
        sampling = pb.SamplingParams(
            max_tokens=MAX_TOKENS, temperature=0.0, top_p=1.0, repetition_penalty=1.0, n=1
        )
        asked = pb.GenerateRequest(
            request_id=uuid.uuid4().hex, text=prompt, sampling_params=sampling, stream=True
        )
        streamed = Streamed()
        async for event in self._stub.Generate(asked):
            streamed.came(len(event.chunk.token_ids))
        return streamed
