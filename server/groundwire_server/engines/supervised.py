"""An engine that is started again when it has died."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence

from groundwire_index.errors import GroundwireError, UnavailableError

from groundwire_server.engines.engine import Engine, EngineEvent, EngineRequest, Message
from groundwire_server.engines.template import NOTHING_BESIDES, TemplateInput
from groundwire_server.waiting import Waiting

# How often the engine is looked at, which costs it nothing.
LOOK_S = 0.1
# The pause before the first new start, doubled for each that follows, up to the longest.
FIRST_PAUSE_S = 0.5
LONGEST_PAUSE_S = 60.0
# What has worked for so long begins with the first pause again.
LASTED_S = 60.0
# A new start takes some seconds at least.
_SOONEST_RETRY_S = 5.0

log = logging.getLogger(__name__)


class SupervisedEngine:
    """An engine in whose place a new one is put when it fails, as often as it takes.

    Meanwhile requests are refused, and tokens are still counted, by the engine that has died.
    """

    def __init__(
        self,
        make: Callable[[], Engine],
        *,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        """``make`` gives one that has not been started, the same each time."""
        self._make = make
        self._engine = make()
        self._sleep = sleep
        self._now = now
        self._watching: asyncio.Task[None] | None = None
        # Why it is down, in words: an error that is raised again and again keeps every request.
        self._down = ""
        self._retry_after_s = 0.0
        self._pause_s = FIRST_PAUSE_S
        self._began = 0.0

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
        await self._engine.start()
        self._began = self._now()
        self._watching = asyncio.create_task(self._watch())

    def generate(self, request: EngineRequest) -> AsyncGenerator[EngineEvent, None]:
        """Stream the events of one generation; see `Engine`. While it is down, raises at once."""
        self._require_up()
        return self._engine.generate(request)

    async def count_tokens(
        self, content: str | Sequence[Message], template: TemplateInput = NOTHING_BESIDES
    ) -> int:
        """Count the tokens of a text, or of messages under the model's chat template."""
        return await self._engine.count_tokens(content, template)

    async def check(self) -> None:
        """Raise UnavailableError while the engine is down, with what is done about it."""
        self._require_up()
        await self._engine.check()

    async def close(self) -> None:
        """Stop, ending what still runs. Idempotent."""
        watching, self._watching = self._watching, None
        if watching is not None:
            watching.cancel()
            await asyncio.wait({watching})
        await self._engine.close()

    def _require_up(self) -> None:
        if self._down:
            raise UnavailableError(
                self._down, reason="ENGINE_RESTARTING", retry_after_s=self._retry_after_s
            )

    async def _watch(self) -> None:
        while True:
            await self._sleep(LOOK_S)
            try:
                await self._engine.check()
            except UnavailableError as error:
                await self._restart(error.message)

    async def _restart(self, why: str) -> None:
        if self._now() - self._began >= LASTED_S:
            self._pause_s = FIRST_PAUSE_S
        while True:
            pause_s, self._pause_s = self._pause_s, min(self._pause_s * 2, LONGEST_PAUSE_S)
            self._down = f'"{self.model}" is down and is started again in {pause_s:g} s: {why}'
            self._retry_after_s = max(pause_s, _SOONEST_RETRY_S)
            log.error("%s", self._down)
            await self._sleep(pause_s)
            fresh = self._make()
            try:
                await fresh.start()
            except GroundwireError as error:
                why = error.message
                await self._close(fresh)
            except Exception:
                why = "it could not be started; the log says why"
                log.exception('"%s" could not be started', self.model)
                await self._close(fresh)
            except BaseException:
                await fresh.close()
                raise
            else:
                break
        dead, self._engine, self._down = self._engine, fresh, ""
        self._began = self._now()
        log.info('"%s" works again', self.model)
        await self._close(dead)

    async def _close(self, engine: Engine) -> None:
        """Let go of one in whose place another comes, whatever it says to that."""
        try:
            await engine.close()
        except Exception:
            log.exception('what was left of "%s" could not be closed', self.model)
