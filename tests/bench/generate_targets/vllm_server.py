"""A server of vLLM's own, in a process of its own, told to log nothing of its requests."""

from __future__ import annotations

import asyncio
import os
import socket
import subprocess
import sys
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager

from tests.bench.generate_targets.target import MODEL_ARGS
from tests.models import small_llama

START_S = 300.0
_ENVIRONMENT = {"VLLM_CPU_KVCACHE_SPACE": "1", "VLLM_LOGGING_LEVEL": "ERROR"}


@asynccontextmanager
async def vllm_server(
    module: str, is_up: Callable[[int], Awaitable[bool]]
) -> AsyncGenerator[int, None]:
    """Run ``python -m module`` with the small model until the end; its port of loopback."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = int(free.getsockname()[1])
    flags = [f"--{name.replace('_', '-')}={value}" for name, value in MODEL_ARGS.items()]
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", module, "--model", str(small_llama()), *flags),
        *("--host", "127.0.0.1", "--port", str(port)),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env={**os.environ, **_ENVIRONMENT},
    )
    try:
        async with asyncio.timeout(START_S):
            while not await is_up(port):
                assert process.returncode is None, f"{module} did not start"
                await asyncio.sleep(0.5)
        yield port
    finally:
        process.terminate()
        await process.wait()
