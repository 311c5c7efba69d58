"""What is derived of turns besides memories, and goes when they are forgotten."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol


class Summaries(Protocol):
    """Summaries of sessions. What is forgotten here is not summarised again."""

    async def forget(self, tenant: str, session_ids: Iterable[str]) -> int:
        """Remove those of sessions, and of all that share turns with them; how many there were."""
        ...

    async def forget_subject(self, tenant: str, subject: str) -> int:
        """The same for all sessions of a subject."""
        ...


class NoSummaries:
    """Where there are none."""

    async def forget(self, tenant: str, session_ids: Iterable[str]) -> int:
        """Nothing to remove."""
        del tenant, session_ids
        return 0

    async def forget_subject(self, tenant: str, subject: str) -> int:
        """Nothing to remove."""
        del tenant, subject
        return 0
