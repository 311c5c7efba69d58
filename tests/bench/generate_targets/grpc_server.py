"""vLLM's own gRPC server, which streams the numbers of tokens, not text."""

from __future__ import annotations

import asyncio
import uuid
from contextlib import AsyncExitStack
from typing import Self

import grpc
from smg_grpc_proto import vllm_engine_pb2 as pb
from smg_grpc_proto import vllm_engine_pb2_grpc as pb_grpc

from tests.bench.generate_targets.target import MAX_TOKENS, PROMPT, Streamed
from tests.bench.h2load import grpc_post, sent
from tests.e2e.generate.vllm_servers import GRPC, vllm_server


def asked() -> pb.GenerateRequest:
    """A request with an id of its own."""
    sampling = pb.SamplingParams(
        max_tokens=MAX_TOKENS, temperature=0.0, top_p=1.0, repetition_penalty=1.0, n=1
    )
    return pb.GenerateRequest(
        request_id=uuid.uuid4().hex, text=PROMPT, sampling_params=sampling, stream=True
    )


class GrpcServer:
    """VllmEngine with its generated stub."""

    name = "vLLM's gRPC server"

    async def __aenter__(self) -> Self:
        self._stack = AsyncExitStack()
        server = vllm_server(GRPC)
        port = await asyncio.to_thread(self._stack.enter_context, server)
        self._address = f"127.0.0.1:{port}"
        channel = await self._stack.enter_async_context(grpc.aio.insecure_channel(self._address))
        self._stub = pb_grpc.VllmEngineStub(channel)
        return self

    async def __aexit__(self, *error: object) -> None:
        await self._stack.aclose()

    async def stream(self) -> Streamed:
        """Generate."""
        streamed = Streamed()
        async for event in self._stub.Generate(asked()):
            streamed.came(len(event.chunk.token_ids))
        return streamed

    async def answer(self, requests: int, at_once: int) -> float:
        """Generate, by h2load."""
        path = "/vllm.grpc.engine.VllmEngine/Generate"
        return await sent(
            grpc_post(self._address, path, asked().SerializeToString()), requests, at_once
        )
