"""Answers whose clients have gone away, which are finished all the same, for their sessions."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack

from groundwire_index.errors import GroundwireError

from groundwire_server.grounding.events import AnswerEvent

log = logging.getLogger(__name__)


class FirstToken:
    """Watches an answer for whether it has begun."""

    def __init__(self) -> None:
        self.has_come = False

    def on_first_token(self) -> None:
        """It has."""
        self.has_come = True

    def on(self, event: AnswerEvent) -> None:
        """Nothing else matters."""

    def end(self, code: str) -> None:
        """Nor how it ends."""


class DroppedAnswers:
    """Finishes none: an answer ends when its client goes away, and nothing is stored."""

    name = "left answers"

    async def start(self) -> None:
        """Nothing to begin."""

    async def check(self) -> None:
        """Nothing can fail."""

    def take(self, answer: asyncio.Task[None], held: ExitStack) -> bool:
        """Whether the answer goes on."""
        del answer, held
        return False

    async def close(self) -> None:
        """Nothing to end."""


class LeftAnswers(DroppedAnswers):
    """Finishes all that it is given. For one event loop.

    Each counts as a call in progress until it has ended: the server waits for it when it stops,
    and for no longer.
    """

    def __init__(
        self, in_progress: Callable[[Callable[[], object]], AbstractContextManager[None]]
    ) -> None:
        """``in_progress`` is entered for as long as an answer is finished, with what ends it."""
        self._in_progress = in_progress
        self._tasks: set[asyncio.Task[None]] = set()

    def take(self, answer: asyncio.Task[None], held: ExitStack) -> bool:
        """Let an answer go on, with what is ``held`` for it until it has ended."""
        kept = held.pop_all()
        kept.enter_context(self._in_progress(answer.cancel))
        self._tasks.add(answer)

        def ended(_: asyncio.Task[None]) -> None:
            self._tasks.discard(answer)
            kept.close()
            if not answer.cancelled() and (error := answer.exception()):
                known = isinstance(error, (GroundwireError, TimeoutError))
                log.warning(
                    "an answer whose client had gone was not finished: %s",
                    "its time is over" if isinstance(error, TimeoutError) else error,
                    exc_info=None if known else error,
                )

        answer.add_done_callback(ended)
        return True

    async def close(self) -> None:
        """End those that are not finished; nothing of them is stored. Idempotent."""
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)
