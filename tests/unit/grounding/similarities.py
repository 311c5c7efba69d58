"""Comparisons that tests decide."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence


class Told:
    """Answers at once with the same for each text; None: it cannot be told."""

    def __init__(self, similarity: float | None) -> None:
        self.similarity = similarity
        self.asked: list[tuple[str, tuple[str, ...]]] = []

    async def of(self, claim: str, texts: Sequence[str]) -> Sequence[float] | None:
        self.asked.append((claim, tuple(texts)))
        return None if self.similarity is None else [self.similarity] * len(texts)


class Slow(Told):
    """Answers when ``ready`` is set; ``cancelled`` counts those who did not wait."""

    def __init__(self, similarity: float | None = 1.0) -> None:
        super().__init__(similarity)
        self.ready = asyncio.Event()
        self.cancelled = 0

    async def of(self, claim: str, texts: Sequence[str]) -> Sequence[float] | None:
        try:
            await self.ready.wait()
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        return await super().of(claim, texts)
