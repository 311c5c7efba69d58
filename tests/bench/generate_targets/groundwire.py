"""This server, in a process of its own: text, through all interceptors."""

from __future__ import annotations

import json
import tempfile
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Self

import grpc
from groundwire.v1 import generate_service_pb2 as pb
from groundwire.v1 import generate_service_pb2_grpc as pb_grpc
from groundwire.v1.generation_pb2 import SamplingParameters

from tests.bench.generate_targets.target import MAX_TOKENS, MODEL_ARGS, PROMPT, Streamed
from tests.bench.h2load import grpc_post, sent
from tests.e2e.serving import ServerProcess
from tests.models import small_llama

# What vLLM compiles may take minutes where other work runs.
START_S = 300.0
# For what does not depend on the speed of the model: nothing is compiled first.
EAGER = ("--vllm-args", json.dumps({**MODEL_ARGS, "enforce_eager": True}))
ASKED = pb.GenerateRequest(
    prompt=PROMPT, sampling=SamplingParameters(max_tokens=MAX_TOKENS, temperature=0.0)
)


class Groundwire:
    """GenerateService with its generated stub."""

    name = "groundwire"

    def __init__(self, *flags: str) -> None:
        """Take more flags of the server."""
        self._flags = flags

    async def __aenter__(self) -> Self:
        self._stack = AsyncExitStack()
        folder = Path(self._stack.enter_context(tempfile.TemporaryDirectory()))
        model = ("--vllm-model", str(small_llama()), "--vllm-args", json.dumps(MODEL_ARGS))
        server = ServerProcess(folder / "data", *model, *self._flags, start_s=START_S)
        self.server = self._stack.enter_context(server)
        self.channel = await self._stack.enter_async_context(
            grpc.aio.insecure_channel(server.address)
        )
        self.stub = pb_grpc.GenerateServiceStub(self.channel)
        return self

    async def __aexit__(self, *error: object) -> None:
        await self._stack.aclose()

    async def stream(self) -> Streamed:
        """Generate."""
        streamed = Streamed()
        async for event in self.stub.Generate(ASKED):
            if event.HasField("text_delta"):
                streamed.came(event.text_delta.token_count)
        return streamed

    async def answer(self, requests: int, at_once: int) -> float:
        """Generate, by h2load."""
        path = "/groundwire.v1.GenerateService/Generate"
        post = grpc_post(self.server.address, path, ASKED.SerializeToString())
        return await sent(post, requests, at_once)
