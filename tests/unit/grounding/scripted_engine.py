"""An engine that says what it is told to, and remembers how it was treated."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence

from groundwire_server.engines.engine import (
    Accepted,
    Begun,
    ChoiceEnd,
    EngineEvent,
    EngineRequest,
    FinishReason,
    GenerationEnd,
    Message,
    TextPiece,
    Usage,
)
from groundwire_server.engines.template import NOTHING_BESIDES, TemplateInput
from groundwire_server.waiting import Waiting

Step = EngineEvent | Exception | asyncio.Event


class ScriptedEngine:
    """Plays a script for every request: events are given, errors raised, `Event`s waited for.

    A request is accepted unless the script begins with an error. A token is a word.
    ``closed`` is set whenever a generator that had begun is let go of, and ``running`` counts
    those that have not been.
    """

    name = "scripted"
    waiting = Waiting()
    adapters: Sequence[str] = ()

    def __init__(
        self, script: Sequence[Step], *, model: str = "scripted", context_length: int = 0
    ) -> None:
        self.script = list(script)
        self.model = model
        self.context_length = context_length
        self.requests: list[EngineRequest] = []
        self.entered = asyncio.Event()
        self.closed = asyncio.Event()
        self.running = 0

    async def start(self) -> None:
        """Nothing to load."""

    async def generate(self, request: EngineRequest) -> AsyncGenerator[EngineEvent, None]:
        self.requests.append(request)
        self.running += 1
        self.entered.set()
        try:
            if not (self.script and isinstance(self.script[0], Exception)):
                yield Accepted()
                yield Begun()
            for step in self.script:
                if isinstance(step, Exception):
                    raise step
                if isinstance(step, asyncio.Event):
                    await step.wait()
                else:
                    yield step
        finally:
            self.running -= 1
            self.closed.set()

    async def count_tokens(
        self, content: str | Sequence[Message], template: TemplateInput = NOTHING_BESIDES
    ) -> int:
        texts = [content] if isinstance(content, str) else [t for one in content for t in one.texts]
        offered = [f"{tool.name} {tool.description}" for tool in template.tools]
        return sum(len(text.split()) for text in (*texts, *offered))

    async def check(self) -> None:
        """Never down."""

    async def close(self) -> None:
        """Nothing to stop."""


def saying(*pieces: str, reason: FinishReason = FinishReason.STOP) -> list[Step]:
    """The script of an engine that says these pieces and stops."""
    return [
        *(TextPiece(piece, token_count=len(piece.split())) for piece in pieces),
        ChoiceEnd(reason),
        GenerationEnd(
            Usage(prompt_tokens=7, completion_tokens=sum(len(p.split()) for p in pieces)),
            queue_s=0.0,
        ),
    ]
