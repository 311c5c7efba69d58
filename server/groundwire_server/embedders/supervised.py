"""An embedder that is started again when it has died."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence

from groundwire_server.embedders.embedder import (
    Embedder,
    Embeddings,
    EmbedKind,
    Priority,
    Truncation,
)
from groundwire_server.embedders.wrapped import DelegatingEmbedder
from groundwire_server.supervision import Supervision


class SupervisedEmbedder(DelegatingEmbedder):
    """An embedder in whose place a new one is put when it fails, as often as it takes.

    Meanwhile calls are refused, tokens are still counted by the one that has died, and what it was
    is still known.
    """

    def __init__(
        self,
        make: Callable[[], Embedder],
        *,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        """``make`` gives one that has not been started, the same each time."""
        self._supervision = Supervision(
            make, lambda _: "the embedder", reason="EMBEDDER_RESTARTING", sleep=sleep, now=now
        )

    @property
    def _embedder(self) -> Embedder:
        return self._supervision.current

    async def start(self) -> None:
        """Start the embedder. What keeps it from starting this first time is raised."""
        await self._supervision.start()

    async def embed(
        self,
        texts: Sequence[str],
        kind: EmbedKind,
        *,
        priority: Priority = Priority.INTERACTIVE,
        truncation: Truncation = Truncation.END,
    ) -> Embeddings:
        """Embed a batch; all or none. Raises UnavailableError while it is down."""
        self._supervision.require_up()
        return await super().embed(texts, kind, priority=priority, truncation=truncation)

    async def check(self) -> None:
        """Raise UnavailableError while the embedder is down, with what is done about it."""
        await self._supervision.check()

    async def close(self) -> None:
        """Stop, ending what still runs. Idempotent."""
        await self._supervision.close()
