"""vLLM's OpenAI server: text as server-sent events."""

from __future__ import annotations

from contextlib import AsyncExitStack
from typing import Self

import aiohttp

from tests.bench.generate_targets.target import MAX_TOKENS, Streamed
from tests.bench.generate_targets.vllm_server import vllm_server
from tests.models import small_llama


class OpenAiServer:
    """`/v1/completions`, read with as little work as can be: events are counted, not parsed."""

    name = "vLLM's OpenAI server"

    async def __aenter__(self) -> Self:
        self._stack = AsyncExitStack()
        connector = aiohttp.TCPConnector(limit=0)
        self._http = await self._stack.enter_async_context(
            aiohttp.ClientSession(connector=connector)
        )
        port = await self._stack.enter_async_context(
            vllm_server("vllm.entrypoints.openai.api_server", self._is_up)
        )
        self._url = f"http://127.0.0.1:{port}/v1/completions"
        return self

    async def __aexit__(self, *error: object) -> None:
        await self._stack.aclose()

    async def stream(self, prompt: str) -> Streamed:
        """Complete."""
        asked = {
            "model": str(small_llama()),
            "prompt": prompt,
            "max_tokens": MAX_TOKENS,
            "temperature": 0.0,
            "stream": True,
        }
        streamed = Streamed()
        async with self._http.post(self._url, json=asked) as answer:
            answer.raise_for_status()
            async for chunk in answer.content.iter_any():
                streamed.came(chunk.count(b'"text":'))
        return streamed

    async def _is_up(self, port: int) -> bool:
        try:
            async with self._http.get(f"http://127.0.0.1:{port}/health") as answer:
                return answer.ok
        except aiohttp.ClientError:
            return False
