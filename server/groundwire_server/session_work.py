"""What is done for sessions in the background, wired together; a part of the composition root."""

from __future__ import annotations

from collections.abc import Callable

from groundwire_index.errors import FailedPreconditionError

from groundwire_server.embedders.embedder import Embedder
from groundwire_server.engines.models import Models
from groundwire_server.identity import ANYBODY
from groundwire_server.memory.background import Background, Work
from groundwire_server.memory.due import Due
from groundwire_server.memory.extraction.extracting import Extracting
from groundwire_server.memory.memories.store import Memories
from groundwire_server.memory.redis_sessions import RedisSessions, utc_now
from groundwire_server.memory.session_views import Described
from groundwire_server.memory.summaries.chosen import NAME, ChosenSentences
from groundwire_server.memory.summaries.summarizing import Summarizer, Summarizing
from groundwire_server.memory.summaries.written import WrittenSummaries
from groundwire_server.observability.sessions import SessionMetrics
from groundwire_server.settings import Settings


class SessionWork:
    """Knows which sessions are to be looked at, and who looks at them."""

    def __init__(self) -> None:
        self._taken: list[Due] = []

    def note(self, tenant: str, session_id: str) -> None:
        """Something was appended to a session."""
        for due in self._taken:
            due.note(tenant, session_id)

    def seen(self, tenant: str, session: Described) -> None:
        """Somebody has gone over all sessions, and met this one."""
        self.note(tenant, session.life.session_id)

    def summaries(
        self,
        settings: Settings,
        sessions: RedisSessions,
        models: Models,
        embedder: Embedder,
        metrics: SessionMetrics,
    ) -> list[Background]:
        """Who makes summaries, if anybody does."""
        if not settings.summary_after_tokens:
            return []
        summarizing = Summarizing(
            sessions.summaries,
            _summarizer(settings, models, embedder),
            after_tokens=settings.summary_after_tokens,
            clock=utc_now,
        )
        return [self._worker("the summary", summarizing, metrics.on_summary)]

    def extraction(
        self,
        settings: Settings,
        sessions: RedisSessions,
        models: Models,
        memories: Memories,
        metrics: SessionMetrics,
    ) -> list[Background]:
        """Who looks for memories, if anybody does."""
        if settings.memory_extraction == "off":
            return []
        model = models.get(settings.extraction_model)
        if model.name == NAME:
            raise FailedPreconditionError(
                'memory_extraction needs a model that generates text, and "extractive" only '
                "quotes: configure vllm_model or openai_url, and name it with extraction_model",
                reason="NO_EXTRACTION_MODEL",
            )
        extracting = Extracting(
            sessions.summaries,
            memories,
            model,
            confidence=settings.extraction_confidence,
            nobody=ANYBODY,
            on_verdict=metrics.on_candidate,
        )
        return [self._worker("the extraction", extracting, metrics.on_extraction)]

    def _worker(self, name: str, work: Work, on_done: Callable[[str], None]) -> Background:
        due = Due()
        self._taken.append(due)
        return Background(name, due, work, on_done=on_done)


def _summarizer(settings: Settings, models: Models, embedder: Embedder) -> Summarizer:
    model = models.get(settings.summary_model)
    # It quotes documents alone, and has no prompt that could tell it otherwise.
    return ChosenSentences(embedder) if model.name == NAME else WrittenSummaries(model)
