"""vLLM's OpenAI server: text as server-sent events."""

from __future__ import annotations

import asyncio
import json
from contextlib import AsyncExitStack
from typing import Self

import aiohttp

from tests.bench.generate_targets.target import MAX_TOKENS, PROMPT, Streamed
from tests.bench.h2load import Post, sent
from tests.e2e.generate.vllm_servers import HTTP, vllm_server
from tests.models import small_llama

ASKED = {
    "model": str(small_llama()),
    "prompt": PROMPT,
    "max_tokens": MAX_TOKENS,
    "temperature": 0.0,
    "stream": True,
}


class OpenAiServer:
    """`/v1/completions`, read with as little work as can be: events are counted, not parsed."""

    name = "vLLM's OpenAI server"

    async def __aenter__(self) -> Self:
        self._stack = AsyncExitStack()
        connector = aiohttp.TCPConnector(limit=0)
        self._http = await self._stack.enter_async_context(
            aiohttp.ClientSession(connector=connector)
        )
        # It would write a line for each request.
        server = vllm_server(HTTP, "--disable-uvicorn-access-log")
        port = await asyncio.to_thread(self._stack.enter_context, server)
        self._url = f"http://127.0.0.1:{port}/v1/completions"
        return self

    async def __aexit__(self, *error: object) -> None:
        await self._stack.aclose()

    async def stream(self) -> Streamed:
        """Complete."""
        streamed = Streamed()
        async with self._http.post(self._url, json=ASKED) as answer:
            answer.raise_for_status()
            async for chunk in answer.content.iter_any():
                tokens = chunk.count(b'"text":')
                streamed.came(tokens, text=tokens > chunk.count(b'"text":""'))
        return streamed

    async def answer(self, requests: int, at_once: int) -> float:
        """Complete, by h2load."""
        headers = {"content-type": "application/json"}
        post = Post(self._url, json.dumps(ASKED).encode(), headers, http1=True)
        return await sent(post, requests, at_once)
