"""The one road by which blocking work leaves the event loop."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextvars import copy_context
from functools import partial
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
R = TypeVar("R")


async def run_blocking(function: Callable[P, R], /, *args: P.args, **kwargs: P.kwargs) -> R:
    """Run a blocking function in the loop's default thread pool and await its result.

    It runs in a copy of the caller's context. A caller that is cancelled stops waiting at once;
    the function itself runs to its end, so a write that has begun is never torn.
    """
    loop = asyncio.get_running_loop()
    run = copy_context().run
    return await loop.run_in_executor(None, partial(run, function, *args, **kwargs))
