"""Having a model write something that nobody waits for."""

from __future__ import annotations

import asyncio
import uuid
from contextlib import aclosing

from groundwire_index.errors import UnavailableError

from groundwire_server.engines.engine import (
    ChoiceEnd,
    EngineRequest,
    FinishReason,
    Message,
    Sampling,
    TextPiece,
)
from groundwire_server.engines.served_model import ServedModel

LAST = 2**31 - 1
"""A priority after which there is none."""
PATIENCE_S = 300.0


async def written(
    model: ServedModel, tenant: str, messages: tuple[Message, ...], *, max_tokens: int
) -> tuple[str, FinishReason]:
    """What the model writes, after everything else of the tenant's; and why it ended.

    Raises TimeoutError after `PATIENCE_S`, and UnavailableError if it is cut off by an engine that
    is closed, besides what the model raises.
    """
    deadline = asyncio.get_running_loop().time() + PATIENCE_S
    request = EngineRequest(
        f"background-{uuid.uuid4().hex}",
        Sampling(temperature=0.0, max_tokens=max_tokens),
        messages=messages,
        priority=LAST,
        tenant=tenant,
        deadline=deadline,
    )
    text, reason = "", FinishReason.STOP
    async with asyncio.timeout_at(deadline), aclosing(model.generate(request)) as events:
        async for event in events:
            match event:
                case TextPiece():
                    text += event.text
                case ChoiceEnd():
                    reason = event.finish_reason
    if reason is FinishReason.ABORTED:
        raise UnavailableError(f'"{model.model}" has cut off what it wrote', reason="CUT_OFF")
    return text.strip(), reason
