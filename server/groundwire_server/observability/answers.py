"""Answers while they are given, seen from around them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from typing import Protocol

from groundwire_index.errors import GroundwireError

from groundwire_server.errors import code_of
from groundwire_server.grounding.events import (
    AnswerEvent,
    CitationAdded,
    Finished,
    Sources,
    Started,
)

_NO_PIECES = frozenset({Started, Sources, CitationAdded, Finished})


class AnswerWatch(Protocol):
    """Whoever wants to know of one answer."""

    def on_first_token(self) -> None:
        """The first piece of what the model says has come."""
        ...

    def on(self, event: AnswerEvent) -> None:
        """An event has come that is no such piece."""
        ...

    def end(self, code: str) -> None:
        """Nothing more will come; how it ended, by the name of a status code."""
        ...


async def observed(
    events: AsyncGenerator[AnswerEvent, None],
    watches: Sequence[AnswerWatch],
    *,
    is_late: Callable[[], bool],
) -> AsyncGenerator[AnswerEvent, None]:
    """The same events; those who watch are told of them. Closed with this generator.

    ``is_late`` tells whether an answer that was cut off had no time left.
    """
    begun = False
    code = "CANCELLED"
    try:
        async with aclosing(events):
            async for event in events:
                # Of thousands of pieces of text only the first is told of.
                if type(event) in _NO_PIECES:
                    for watch in watches:
                        watch.on(event)
                elif not begun:
                    begun = True
                    for watch in watches:
                        watch.on_first_token()
                try:
                    yield event
                except asyncio.CancelledError as ended:
                    # Aborted while nobody reads: what is left is said by the answer.
                    last = await events.athrow(ended)
                    for watch in watches:
                        watch.on(last)
                    yield last
        code = "OK"
    except asyncio.CancelledError:
        code = "DEADLINE_EXCEEDED" if is_late() else "CANCELLED"
        raise
    except TimeoutError:
        code = "DEADLINE_EXCEEDED" if is_late() else "INTERNAL"
        raise
    except GroundwireError as error:
        code = code_of(type(error)).name
        raise
    except Exception:
        code = "INTERNAL"
        raise
    finally:
        for watch in watches:
            watch.end(code)
