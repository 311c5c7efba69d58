"""Answers that are given again, and that many who ask at once have together."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from dataclasses import dataclass, replace
from uuid import uuid4

from groundwire_server.caching.answer_keys import AnswerKey, AnswerKeys
from groundwire_server.caching.flight import Flight, Flights
from groundwire_server.caching.kept_answers import KeptAnswers
from groundwire_server.caching.policy import may_be_kept, policy_of
from groundwire_server.caching.telling import Telling
from groundwire_server.engines.models import Candidates
from groundwire_server.grounding.abort import cancelled_by, was_aborted
from groundwire_server.grounding.answering import Answering
from groundwire_server.grounding.events import AnswerEvent, CacheOutcome
from groundwire_server.grounding.request import AnswerRequest, CachePolicy

OnLookup = Callable[[str, CacheOutcome | None], None]
"""Is told the tenant, and where its answer is from; None: it has to be made."""


class CachedAnswers:
    """Answers with a cache before them, apart for each tenant.

    An answer that is not there is made once for all who ask for it at the same time: it goes on
    until the last of them has gone. What goes wrong with it is told to all, and not kept.
    """

    def __init__(
        self,
        answers: Answering,
        kept: KeptAnswers,
        keys: AnswerKeys,
        *,
        default: CachePolicy,
        on_lookup: OnLookup,
    ) -> None:
        """``default`` holds for requests that say nothing."""
        self._answers = answers
        self._kept = kept
        self._keys = keys
        self._default = default
        self._on_lookup = on_lookup
        self._flights = Flights()

    def answer(
        self, candidates: Candidates, request: AnswerRequest, tenant: str, aborted: asyncio.Event
    ) -> AsyncGenerator[AnswerEvent, None]:
        """The events of one answer; see `Answering`."""
        policy = policy_of(request, candidates.first, self._default)
        if policy is CachePolicy.OFF:
            return self._answers.answer(candidates, request, tenant, aborted)
        return self._shared(_Wanted(candidates, request, tenant, policy), aborted)

    async def _shared(
        self, wanted: _Wanted, aborted: asyncio.Event
    ) -> AsyncGenerator[AnswerEvent, None]:
        telling = Telling(wanted.request, wanted.candidates.first)
        async with asyncio.timeout_at(wanted.request.deadline):
            try:
                with cancelled_by(aborted):
                    async with aclosing(self._told(wanted, telling)) as events:
                        async for event in events:
                            yield event
            except asyncio.CancelledError:
                if not was_aborted(aborted):
                    raise
                for event in telling.aborted():
                    yield event

    async def _told(self, wanted: _Wanted, telling: Telling) -> AsyncGenerator[AnswerEvent, None]:
        key = await self._keys.of(wanted.candidates.first, wanted.request, wanted.tenant)

        async def fly(flight: Flight) -> None:
            await self._fly(flight, wanted, key)

        async with self._flights.joined(wanted.together(key), fly) as (flight, was_there):
            if was_there:
                self._on_lookup(wanted.tenant, CacheOutcome.SHARED)
            async with aclosing(flight.read()) as events:
                async for event in events:
                    shared = CacheOutcome.SHARED if was_there else None
                    yield telling.of(event, flight.outcome or shared)

    async def _fly(self, flight: Flight, wanted: _Wanted, key: AnswerKey) -> None:
        semantic = wanted.policy is CachePolicy.SEMANTIC
        found = await self._kept.find(wanted.tenant, key, semantic=semantic)
        self._on_lookup(wanted.tenant, found.outcome)
        if found.events:
            flight.outcome = found.outcome
            for event in found.events:
                flight.add(event)
            flight.land()
            return
        async with aclosing(self._made(wanted)) as events:
            async for event in events:
                flight.add(event)
        flight.land()
        if may_be_kept(flight.events, wanted.candidates.first):
            await self._kept.keep(wanted.tenant, key, flight.events, found.asked)

    def _made(self, wanted: _Wanted) -> AsyncGenerator[AnswerEvent, None]:
        """The answer; of nobody alone, so that no one of them ends it."""
        request = replace(wanted.request, request_id=uuid4().hex, deadline=None)
        return self._answers.answer(wanted.candidates, request, wanted.tenant, asyncio.Event())


@dataclass(frozen=True, slots=True)
class _Wanted:
    """What is asked for, and how it may be found."""

    candidates: Candidates
    request: AnswerRequest
    tenant: str
    policy: CachePolicy

    def together(self, key: AnswerKey) -> tuple[object, ...]:
        """Equal for those who may have an answer together while it is made."""
        # Those for whom the same models would stand in.
        return self.tenant, key.name, self.candidates, self.request.priority, self.policy
