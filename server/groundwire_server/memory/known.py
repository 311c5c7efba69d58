"""What is known of whom a context is for: the memories that go into it, and those that do not.

They go into the system message, best first, and take at most a quarter of what the system prompt
and the query leave of the budget: turns say more about what is being talked of.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from groundwire_index.errors import FailedPreconditionError, UnavailableError

from groundwire_server.memory.fit import Fit, largest_fit
from groundwire_server.memory.memories.memory import Memory

HEADING = "What is known about the user:"
_SHARE = 4

Recall = Callable[[str, str, str], Awaitable[Sequence[Memory]]]
"""Gives what matters, of a tenant and a subject, for a query; best first."""
Count = Callable[[Sequence[Memory]], Awaitable[int]]
"""Tokens of the context with these memories, and without turns."""

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Known:
    """The memories of a context."""

    included: Sequence[Memory]
    tokens: int
    """Of the context with them, and without turns."""
    dropped: Sequence[Memory] = ()
    dropped_tokens: int = 0
    is_lost: bool = False
    """They could not be recalled."""


async def nothing(tenant: str, subject: str, query: str) -> Sequence[Memory]:
    """Recall nothing."""
    del tenant, subject, query
    return ()


async def recalled(
    recall: Recall, tenant: str, subject: str, query: str
) -> Sequence[Memory] | None:
    """What matters for a query; None if that cannot be found out.

    A context without memories is better than none: what keeps them from being recalled is logged.
    """
    try:
        return await recall(tenant, subject, query) if query else ()
    except (FailedPreconditionError, UnavailableError) as error:
        log.warning("a context goes without memories: %s", error.message)
        return None


async def choose(found: Sequence[Memory] | None, count: Count, *, bare: int, budget: int) -> Known:
    """Choose of what was `recalled`; ``bare`` is what the context takes without any."""
    if found is None:
        return Known((), bare, is_lost=True)
    room = bare + share_of(budget - bare)
    fit = await largest_fit(
        lambda pieces: count(found[:pieces]),
        [len(memory.text) for memory in found],
        known=Fit(0, bare),
        budget=room,
    )
    dropped = found[fit.pieces :]
    dropped_tokens = await count(found) - fit.tokens if dropped else 0
    return Known(found[: fit.pieces], fit.tokens, dropped, dropped_tokens)


def share_of(room: int) -> int:
    """The tokens that memories may take of those that there are."""
    return room // _SHARE


def told(memories: Sequence[Memory]) -> str:
    """The memories as the system message has them, each on a line of its own; "" if none."""
    return "\n".join([HEADING, *map(line_of, memories)]) if memories else ""


def line_of(memory: Memory) -> str:
    """A memory in one line."""
    return f"- {' '.join(memory.text.split())}"
