"""The summary in a context: it says what was said before the turns that go in.

It goes into the system message, and takes at most half of what the system prompt and the query
leave of the budget.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from groundwire_server.memory.summaries.summary import Summary

_SHARE = 2


@dataclass(frozen=True, slots=True)
class Overview:
    """The summary of a context, if there is one."""

    tokens: int
    """Of the context with what is included, and without memories and turns."""
    included: Summary | None = None
    dropped: Summary | None = None
    dropped_tokens: int = 0


async def overview(
    summary: Summary | None,
    count: Callable[[Summary], Awaitable[int]],
    *,
    bare: int,
    budget: int,
) -> Overview:
    """Choose; ``bare`` is what the context takes without it, and ``count`` says what with it."""
    if summary is None or not summary.text:
        return Overview(bare)
    tokens = await count(summary)
    if tokens - bare > room_for_summary(budget - bare):
        return Overview(bare, dropped=summary, dropped_tokens=tokens - bare)
    return Overview(tokens, included=summary)


def room_for_summary(room: int) -> int:
    """The tokens that a summary may take of those that there are."""
    return room // _SHARE


def outlined(summary: Summary | None) -> str:
    """The summary as the system message has it; "" without one."""
    if summary is None:
        return ""
    turns = f"turns {summary.first} to {summary.last}"
    return f"Summary of {turns} of this conversation:\n{summary.text}"
