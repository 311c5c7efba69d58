"""An engine that is started again when it has died."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import nullcontext

from groundwire_server.engines.engine import Engine, EngineEvent, EngineRequest, Message
from groundwire_server.engines.template import NOTHING_BESIDES, TemplateInput
from groundwire_server.supervision import Around, Supervision
from groundwire_server.waiting import Waiting


class SupervisedEngine:
    """An engine in whose place a new one is put when it fails, as often as it takes.

    Meanwhile requests are refused, and tokens are still counted, by the engine that has died.
    """

    def __init__(
        self,
        make: Callable[[], Engine],
        *,
        starting: Around = nullcontext,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        """``make`` gives one that has not been started, the same each time.

        Each is started in ``starting``.
        """
        self._supervision = Supervision(
            make,
            lambda engine: f'"{engine.model}"',
            reason="ENGINE_RESTARTING",
            starting=starting,
            sleep=sleep,
            now=now,
        )

    @property
    def name(self) -> str:
        """The kind of engine."""
        return self._engine.name

    @property
    def model(self) -> str:
        """The name that requests use."""
        return self._engine.model

    @property
    def adapters(self) -> Sequence[str]:
        """Names of its adapters."""
        return self._engine.adapters

    @property
    def context_length(self) -> int:
        """Tokens of prompt and answer together; 0 if there is no limit."""
        return self._engine.context_length

    @property
    def waiting(self) -> Waiting:
        """Generations whose first token is not there yet, and the tokens of their prompts."""
        return self._engine.waiting

    async def start(self) -> None:
        """Start the engine. What keeps it from starting this first time is raised."""
        await self._supervision.start()

    def generate(self, request: EngineRequest) -> AsyncGenerator[EngineEvent, None]:
        """Stream the events of one generation; see `Engine`. While it is down, raises at once."""
        self._supervision.require_up()
        return self._engine.generate(request)

    async def count_tokens(
        self, content: str | Sequence[Message], template: TemplateInput = NOTHING_BESIDES
    ) -> int:
        """Count the tokens of a text, or of messages under the model's chat template."""
        return await self._engine.count_tokens(content, template)

    async def check(self) -> None:
        """Raise UnavailableError while the engine is down, with what is done about it."""
        await self._supervision.check()

    async def close(self) -> None:
        """Stop, ending what still runs. Idempotent."""
        await self._supervision.close()

    @property
    def _engine(self) -> Engine:
        return self._supervision.current
