"""Bringing the summary of a session up to date, a step at a time."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Generic, Protocol, TypeVar

from groundwire_server.memory.background import Done
from groundwire_server.memory.due import Named
from groundwire_server.memory.session import Turn, Turns
from groundwire_server.memory.summaries.summary import Summary

_PAGE = 256


class Summarizer(Protocol):
    """Makes summaries."""

    @property
    def model(self) -> str:
        """What makes them."""
        ...

    @property
    def is_busy(self) -> bool:
        """Whether somebody waits for it."""
        ...

    async def summarized(self, tenant: str, former: str, turns: Sequence[Turn]) -> tuple[str, int]:
        """The summary of what ``former`` stands for and of some first turns; how many those are.

        At least one. Nothing else goes in.
        """
        ...


class Summarized(Protocol):
    """A session, as far as its summary goes."""

    @property
    def summary(self) -> Summary | None:
        """What it has."""
        ...

    @property
    def token_count(self) -> int:
        """Tokens of all turns."""
        ...


S = TypeVar("S", bound=Summarized)


class SummaryStore(Protocol[S]):
    """Where sessions and their summaries are."""

    async def look(self, tenant: str, session_id: str) -> S:
        """A session and its summary, which is no use of it. Raises NotFoundError."""
        ...

    async def turns(self, tenant: str, session_id: str, *, after: int, limit: int) -> Turns:
        """Turns after a number, which is no use of the session either."""
        ...

    async def put(self, tenant: str, session_id: str, before: S, summary: Summary) -> bool:
        """Put a summary in the place of that which was there before; False if another is there."""
        ...


class Summarizing(Generic[S]):
    """Looks whether a session needs a summary, and makes it."""

    def __init__(
        self,
        store: SummaryStore[S],
        summarizer: Summarizer,
        *,
        after_tokens: int,
        clock: Callable[[], datetime],
    ) -> None:
        """A summary is due when turns of ``after_tokens`` tokens are in none."""
        self._store = store
        self._summarizer = summarizer
        self._after_tokens = after_tokens
        self._clock = clock

    def is_due(self, session: Summarized) -> bool:
        """Whether so much was said since the last one."""
        before = session.summary.tokens if session.summary else 0
        return session.token_count - before >= self._after_tokens

    async def __call__(self, named: Named) -> Done:
        """Make one step of what is due."""
        session = await self._store.look(named.tenant, named.session_id)
        if not self.is_due(session):
            return Done.NOTHING
        if self._summarizer.is_busy:
            return Done.BUSY
        summary = await self._next(named, session.summary)
        if not await self._store.put(named.tenant, named.session_id, session, summary):
            # Of two servers the other was faster, or something was forgotten.
            return Done.AGAIN
        return (
            Done.AGAIN if session.token_count - summary.tokens >= self._after_tokens else Done.MADE
        )

    async def _next(self, named: Named, former: Summary | None) -> Summary:
        after, text, tokens = (former.last, former.text, former.tokens) if former else (0, "", 0)
        turns = await self._turns(named, after)
        text, taken = await self._summarizer.summarized(named.tenant, text, turns)
        return Summary(
            text=text,
            first=former.first if former and former.text else after + 1,
            last=turns[taken - 1].number,
            tokens=tokens + sum(turn.token_count for turn in turns[:taken]),
            model=self._summarizer.model,
            time=self._clock(),
        )

    async def _turns(self, named: Named, after: int) -> Sequence[Turn]:
        page = await self._store.turns(named.tenant, named.session_id, after=after, limit=_PAGE)
        return page.turns
