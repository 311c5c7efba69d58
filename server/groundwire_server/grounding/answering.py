"""Who gives answers."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from typing import Protocol

from groundwire_server.engines.models import Candidates
from groundwire_server.grounding.events import AnswerEvent
from groundwire_server.grounding.request import AnswerRequest


class Answering(Protocol):
    """Answers requests."""

    def answer(
        self, candidates: Candidates, request: AnswerRequest, tenant: str, aborted: asyncio.Event
    ) -> AsyncGenerator[AnswerEvent, None]:
        """The events of one answer; see `grounding.events` for their order.

        To be read by one task and closed explicitly: closing, cancelling and the request's
        deadline (TimeoutError) let go of whatever it holds at any point. When ``aborted`` is set
        the answer ends with FinishReason.ABORTED.
        """
        ...
