"""An engine with a queue before it, so that it is never given more than it can do well."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import replace

from groundwire_server.engines.engine import (
    Accepted,
    Engine,
    EngineEvent,
    EngineRequest,
    GenerationEnd,
    Message,
)
from groundwire_server.engines.fair_queue import Claim, FairQueue, Limits
from groundwire_server.waiting import Waiting


class AdmittedEngine:
    """Gives requests to an engine in their turn, and refuses what must not wait for it.

    A request that the engine refuses never waits: what is wrong with it is told first.
    """

    def __init__(self, engine: Engine, limits: Limits) -> None:
        self._engine = engine
        self._queue = FairQueue(engine.model, limits)

    @property
    def queue(self) -> FairQueue:
        """What is before the engine."""
        return self._queue

    @property
    def name(self) -> str:
        """Of the engine."""
        return self._engine.name

    @property
    def model(self) -> str:
        """Of the engine."""
        return self._engine.model

    @property
    def context_length(self) -> int:
        """Of the engine."""
        return self._engine.context_length

    @property
    def waiting(self) -> Waiting:
        """Generations whose first token is not there yet, in the queue or in the engine."""
        queued, begun = self._queue.waiting, self._engine.waiting
        return Waiting(queued.requests + begun.requests, queued.tokens + begun.tokens)

    async def start(self) -> None:
        """Start the engine."""
        await self._engine.start()

    async def generate(self, request: EngineRequest) -> AsyncGenerator[EngineEvent, None]:
        """Stream the events of one generation, from its turn on; see `Engine`.

        Raises ResourceExhaustedError in place of `Accepted`.
        """
        claim = Claim(request.tenant, priority=request.priority, deadline=request.deadline)
        self._queue.check(claim)
        async with aclosing(self._engine.generate(request)) as events:
            accepted = await anext(events)
            tokens = accepted.prompt_tokens if isinstance(accepted, Accepted) else 0
            cost = 1 + tokens + request.sampling.n * (request.sampling.max_tokens or 0)
            async with self._queue.turn(replace(claim, tokens=tokens, cost=cost)) as waited_s:
                yield accepted
                async for event in events:
                    if isinstance(event, GenerationEnd):
                        event = replace(event, queue_s=waited_s + (event.queue_s or 0.0))
                    yield event

    async def count_tokens(self, content: str | Sequence[Message]) -> int:
        """As the engine counts them; without a turn."""
        return await self._engine.count_tokens(content)

    async def check(self) -> None:
        """Check the engine."""
        await self._engine.check()

    async def close(self) -> None:
        """Close the engine."""
        await self._engine.close()
