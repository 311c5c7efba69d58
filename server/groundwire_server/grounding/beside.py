"""Doing something beside something else, and not after it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from typing import Any, TypeVar

T = TypeVar("T")


@asynccontextmanager
async def beside(work: Coroutine[Any, Any, T]) -> AsyncIterator[asyncio.Task[T]]:
    """Have something done while the block goes on; the block may wait for it, or end it.

    Unlike a TaskGroup, it raises what the block raises as it is. What nobody has waited for is
    cancelled, and nothing is heard of it.
    """
    task = asyncio.ensure_future(work)
    try:
        yield task
    finally:
        task.cancel()
        await asyncio.wait({task})
        if not task.cancelled():
            # Retrieved, so that it is not reported.
            task.exception()
