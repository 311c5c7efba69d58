"""What the generation benchmark measures: this server first, then its peers, each in a file."""

from __future__ import annotations

from tests.bench.generate_targets.async_llm import AsyncLlm
from tests.bench.generate_targets.groundwire import Groundwire
from tests.bench.generate_targets.grpc_server import GrpcServer
from tests.bench.generate_targets.openai_server import OpenAiServer
from tests.bench.generate_targets.target import Target

TARGETS: tuple[type[Target], ...] = (Groundwire, AsyncLlm, OpenAiServer, GrpcServer)
