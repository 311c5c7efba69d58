"""A model that requests can be given to: its engine, with a queue and a breaker before it."""

from __future__ import annotations

import sys
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from copy import copy
from dataclasses import dataclass, replace

from groundwire_server.engines.breaker import Breaker, BreakerState
from groundwire_server.engines.engine import (
    Accepted,
    Begun,
    Engine,
    EngineEvent,
    EngineRequest,
    GenerationEnd,
    Message,
)
from groundwire_server.engines.fair_queue import Claim, FairQueue, Limits
from groundwire_server.engines.revision import Revision
from groundwire_server.engines.template import NOTHING_BESIDES, TemplateInput
from groundwire_server.waiting import Waiting

UNLIMITED = Limits(sys.maxsize, sys.maxsize, sys.maxsize)


@dataclass(frozen=True, slots=True)
class Targets:
    """What whoever runs the model expects of it; None: nothing."""

    latency_s: float | None = None
    """Seconds for a whole answer, at the 95th percentile."""
    throughput: float | None = None
    """Answers per second that it should be able to give."""


class ServedModel:
    """Gives requests to an engine in their turn, and refuses what must not wait for it.

    A request that the engine refuses never waits: what is wrong with it is told first. While the
    engine keeps failing, requests are refused without it.
    """

    def __init__(
        self,
        engine: Engine,
        limits: Limits = UNLIMITED,
        *,
        breaker: Breaker | None = None,
        targets: Targets | None = None,
        revision: Revision | None = None,
    ) -> None:
        self._engine = engine
        self._revision = revision
        self._queue = FairQueue(engine.model, limits)
        self._breaker = breaker or Breaker(engine.model)
        self.targets = targets or Targets()
        self._adapter = ""

    @property
    def name(self) -> str:
        """The kind of its engine, e.g. "vllm"."""
        return self._engine.name

    @property
    def model(self) -> str:
        """The name that requests use."""
        return self._adapter or self._engine.model

    @property
    def base(self) -> str:
        """The name of the model itself, also where this is one of its adapters."""
        return self._engine.model

    @property
    def adapters(self) -> Sequence[str]:
        """Names of the adapters of its engine."""
        return self._engine.adapters

    @property
    def revision(self) -> str:
        """Tells what is served under this name from what was before."""
        return self._revision.text if self._revision else ""

    def with_adapter(self, name: str) -> ServedModel:
        """The same model under the name of one of its adapters, which it puts to use.

        It is in the same queue and has the same breaker, and starts and ends with it.
        """
        adapted = copy(self)
        adapted._adapter = name
        return adapted

    @property
    def context_length(self) -> int:
        """Tokens of prompt and answer together; 0 if there is no limit."""
        return self._engine.context_length

    @property
    def breaker(self) -> BreakerState:
        """Whether the engine gets requests."""
        return self._breaker.state

    @property
    def queue(self) -> FairQueue:
        """What is before the engine."""
        return self._queue

    @property
    def waiting(self) -> Waiting:
        """Generations whose first token is not there yet, in the queue or in the engine."""
        queued, begun = self._queue.waiting, self._engine.waiting
        return Waiting(queued.requests + begun.requests, queued.tokens + begun.tokens)

    async def start(self) -> None:
        """Start the engine."""
        await self._engine.start()

    def require_room(self, claim: Claim) -> None:
        """Raise ResourceExhaustedError if it is known already that a claim would be refused."""
        self._queue.check(claim)

    def require_allowed(self) -> None:
        """Raise UnavailableError while the breaker keeps requests from the engine."""
        self._breaker.check()

    async def generate(self, request: EngineRequest) -> AsyncGenerator[EngineEvent, None]:
        """Stream the events of one generation, from its turn on; see `Engine`.

        Raises ResourceExhaustedError, and UnavailableError while the breaker is open, in place of
        `Accepted`.
        """
        request = replace(request, adapter=self._adapter)
        claim = Claim(request.tenant, priority=request.priority, deadline=request.deadline)
        self.require_room(claim)
        with self._breaker.attempt() as works:
            async with aclosing(self._engine.generate(request)) as events:
                accepted = await anext(events)
                tokens = accepted.prompt_tokens if isinstance(accepted, Accepted) else 0
                cost = 1 + tokens + request.sampling.n * (request.sampling.max_tokens or 0)
                async with self._queue.turn(replace(claim, tokens=tokens, cost=cost)) as waited_s:
                    yield accepted
                    shown = False
                    async for event in events:
                        if not shown and not isinstance(event, Begun):
                            shown = True
                            works()
                        if isinstance(event, GenerationEnd):
                            event = replace(event, queue_s=waited_s + (event.queue_s or 0.0))
                        yield event

    async def count_tokens(
        self, content: str | Sequence[Message], template: TemplateInput = NOTHING_BESIDES
    ) -> int:
        """As the engine counts them; without a turn."""
        return await self._engine.count_tokens(content, template)

    async def check(self) -> None:
        """Raise UnavailableError if requests would fail now, or be refused by the breaker."""
        self._breaker.check()
        await self._engine.check()

    async def close(self) -> None:
        """Close the engine."""
        await self._engine.close()
