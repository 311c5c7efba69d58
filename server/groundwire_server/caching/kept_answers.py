"""Answers that were given, to be found by their requests or by what was asked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from groundwire_server.caching.answer_codec import decoded, encoded
from groundwire_server.caching.answer_keys import AnswerKey
from groundwire_server.caching.cache import AnswerCache
from groundwire_server.caching.similar_questions import Asked, SimilarQuestions
from groundwire_server.grounding.events import AnswerEvent, CacheOutcome


@dataclass(frozen=True, slots=True)
class Found:
    """What there is for a request."""

    events: Sequence[AnswerEvent] = ()
    """None if there is nothing."""
    outcome: CacheOutcome | None = None
    asked: Asked | None = None
    """What the question means, where it was looked for by that."""


class KeptAnswers:
    """Answers in a cache. Finds nothing while that fails."""

    def __init__(self, cache: AnswerCache, similar: SimilarQuestions) -> None:
        self._cache = cache
        self._similar = similar

    async def find(self, tenant: str, key: AnswerKey, *, semantic: bool) -> Found:
        """The answer of an equal request; with ``semantic`` else of one that asks the same."""
        if events := await self._get(tenant, key.name):
            return Found(events, CacheOutcome.EXACT)
        asked = await self._similar.read(key.question) if semantic else None
        if asked is None:
            return Found()
        for name in await self._similar.names(tenant, key.among, asked):
            if events := await self._get(tenant, name):
                return Found(events, CacheOutcome.SEMANTIC)
        return Found(asked=asked)

    async def keep(
        self, tenant: str, key: AnswerKey, events: Sequence[AnswerEvent], asked: Asked | None
    ) -> None:
        """Have an answer found by its request, and by what was ``asked``, if that is given."""
        answer = encoded(events)
        if answer is None:
            return
        await self._cache.put(tenant, {key.name: answer})
        if asked is not None:
            await self._similar.add(tenant, key.among, asked, key.name)

    async def _get(self, tenant: str, name: bytes) -> Sequence[AnswerEvent]:
        return decoded((await self._cache.get(tenant, [name]))[0])
