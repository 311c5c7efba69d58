"""A whole server whose model elsewhere is asked in the background, by nobody's call."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import groundwire
import pytest
from groundwire_index.errors import FailedPreconditionError

from tests.faults.engines.scripted_http import (
    DONE,
    MODEL,
    USAGE,
    Answer,
    ScriptedHttp,
    said,
    streaming,
)
from tests.whole_server import whole_server

MEMORY = {"turn": 1, "kind": "fact", "text": "Works on a ferry.", "confidence": 0.9}


def saying(text: str) -> Answer:
    return streaming(said(text, finish="stop"), USAGE, DONE)


def settings(remote: ScriptedHttp, **others: Any) -> dict[str, Any]:
    return {"openai_url": remote.url, "openai_model": MODEL, "cache_bytes": 0, **others}


async def until(found: Callable[[], Awaitable[Any]]) -> Any:
    async with asyncio.timeout(60):
        while True:
            if there := await found():
                return there
            await asyncio.sleep(0.05)


async def test_it_writes_summaries(tmp_path: Path) -> None:
    async with (
        ScriptedHttp(saying("Ada sails.")) as remote,
        whole_server(tmp_path, **settings(remote, summary_after_tokens=3)) as server,
        groundwire.AsyncClient(server.address, subject="ada") as client,
    ):
        session = await client.memory.create_session()
        await client.memory.append(session.id, [groundwire.Message("user", "I sail on a ferry.")])

        async def summarised() -> groundwire.Context | None:
            context = await client.memory.build_context(session.id, budget_tokens=500)
            return context if context.included[0].kind == "summary" else None

        context = await until(summarised)
        told = "Summary of turns 1 to 1 of this conversation:\nAda sails."
        assert context.messages[0].content == told
        assert [message.role for message in context.messages] == ["system", "user"]
    assert "User: I sail on a ferry." in json.dumps(remote.requests[0])


async def test_it_finds_memories_which_go_with_their_session(tmp_path: Path) -> None:
    wanted = {"memory_extraction": "on", "summary_after_tokens": 0}
    async with (
        ScriptedHttp(saying(json.dumps([MEMORY]))) as remote,
        whole_server(tmp_path, **settings(remote, **wanted)) as server,
        groundwire.AsyncClient(server.address, subject="ada") as client,
    ):
        session = await client.memory.create_session()
        await client.memory.append(session.id, [groundwire.Message("user", "I work on a ferry.")])

        async def found() -> list[groundwire.Memory]:
            return [memory async for memory in client.memory.list_memories()]

        (memory,) = await until(found)
        assert (memory.text, memory.sources[0].turn) == ("Works on a ferry.", 1)
        assert (memory.extraction.model, memory.extraction.confidence) == (MODEL, 0.9)
        receipt = await client.memory.forget(session_id=session.id)
        assert receipt.removed["memory"] == 1
        assert await found() == []


async def test_without_a_model_that_generates_text_nobody_can_look_for_memories(
    tmp_path: Path,
) -> None:
    with pytest.raises(FailedPreconditionError, match="memory_extraction needs a model"):
        async with whole_server(tmp_path, memory_extraction="on"):
            pass
