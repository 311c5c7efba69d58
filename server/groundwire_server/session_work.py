"""What is done for sessions in the background, wired together; a part of the composition root."""

from __future__ import annotations

from groundwire_server.embedders.embedder import Embedder
from groundwire_server.engines.models import Models
from groundwire_server.memory.background import Background
from groundwire_server.memory.due import Due
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
        self._summaries = Due()

    def note(self, tenant: str, session_id: str) -> None:
        """Something was appended to a session."""
        self._summaries.note(tenant, session_id)

    def seen(self, tenant: str, session: Described) -> None:
        """Somebody has gone over all sessions, and met this one."""
        self.note(tenant, session.life.session_id)

    def workers(
        self,
        settings: Settings,
        sessions: RedisSessions,
        models: Models,
        embedder: Embedder,
        metrics: SessionMetrics,
    ) -> list[Background]:
        """Those who look at them."""
        if not settings.summary_after_tokens:
            return []
        summarizing = Summarizing(
            sessions.summaries,
            _summarizer(settings, models, embedder),
            after_tokens=settings.summary_after_tokens,
            clock=utc_now,
        )
        return [Background("the summary", self._summaries, summarizing, on_done=metrics.on_summary)]


def _summarizer(settings: Settings, models: Models, embedder: Embedder) -> Summarizer:
    model = models.get(settings.summary_model)
    # It quotes documents alone, and has no prompt that could tell it otherwise.
    return ChosenSentences(embedder) if model.name == NAME else WrittenSummaries(model)
