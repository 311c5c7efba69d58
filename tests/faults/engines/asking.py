"""An engine for the OpenAI API on a scripted server, and what comes of asking it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from groundwire_index.errors import (
    GroundwireError,
)
from groundwire_server.engines.engine import (
    EngineEvent,
    EngineRequest,
    Message,
    Role,
    Sampling,
    TextPiece,
)
from groundwire_server.engines.openai import OpenAiEngine

from tests.faults.engines.scripted_http import (
    MODEL,
    Answer,
    ScriptedHttp,
)

KEY = "sk-hunter2"
CHAT = (Message(Role.USER, "Who is there?"),)
BUSY = {"error": {"message": "too many", "code": "rate_limit"}}


def told(message: str, **more: str) -> dict[str, Any]:
    return {"error": {"message": message, **more}}


@asynccontextmanager
async def remote(
    *answers: Answer, models: Answer | None = None, **options: Any
) -> AsyncIterator[tuple[ScriptedHttp, OpenAiEngine]]:
    async with (
        ScriptedHttp(*answers, models=models) as server,
        started(server.url, **options) as engine,
    ):
        yield server, engine


@asynccontextmanager
async def started(url: str, **options: Any) -> AsyncIterator[OpenAiEngine]:
    engine = OpenAiEngine(url, MODEL, api_key=KEY, **options)
    try:
        await engine.start()
        yield engine
    finally:
        await engine.close()


def request(sampling: Sampling | None = None, **fields: Any) -> EngineRequest:
    return EngineRequest("one", sampling or Sampling(), messages=CHAT, **fields)


async def events_of(engine: OpenAiEngine, asked: EngineRequest | None = None) -> list[EngineEvent]:
    return [event async for event in engine.generate(asked or request())]


async def events_into(seen: list[EngineEvent], engine: OpenAiEngine) -> None:
    async for happening in engine.generate(request()):
        seen.append(happening)  # noqa: PERF401 - what came before an error counts


def text_of(events: list[EngineEvent], choice: int = 0) -> str:
    pieces = (event for event in events if isinstance(event, TextPiece))
    return "".join(piece.text for piece in pieces if piece.choice == choice)


async def failure(engine: OpenAiEngine, asked: EngineRequest | None = None) -> GroundwireError:
    with pytest.raises(GroundwireError) as caught:
        await events_of(engine, asked)
    assert KEY not in str(caught.value)
    return caught.value
