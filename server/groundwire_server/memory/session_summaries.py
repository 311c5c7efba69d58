"""Summaries where sessions are: kept with them, and gone with them."""

from __future__ import annotations

from collections.abc import Iterable

from groundwire_index.errors import NotFoundError

from groundwire_server.memory.keys import SessionKeys
from groundwire_server.memory.redis_link import RedisLink, load_script
from groundwire_server.memory.session import Parent, Turns
from groundwire_server.memory.session_errors import not_found
from groundwire_server.memory.session_views import Described, SessionViews
from groundwire_server.memory.summaries.summary import Summary, stored_text
from groundwire_server.memory.turn_codec import turns_of
from groundwire_server.memory.turn_reader import AFTER, TurnReader
from groundwire_server.memory.uses import Clock

# Of a summary that somebody else replaces at the same time.
_TRIES = 20
_PAGE = 1000


class SessionSummaries:
    """Reads, replaces and forgets them; none of that is a use of a session."""

    def __init__(
        self, link: RedisLink, views: SessionViews, reader: TurnReader, clock: Clock
    ) -> None:
        """``reader`` is one that notes no use."""
        self._link = link
        self._views = views
        self._reader = reader
        self._clock = clock
        self._summarize = load_script("summarize", writes=True)
        self._advance = load_script("advance", writes=True)

    async def look(self, tenant: str, session_id: str) -> Described:
        """A session and its summary. Raises NotFoundError."""
        return await self._views.described(tenant, session_id)

    async def turns(self, tenant: str, session_id: str, *, after: int, limit: int) -> Turns:
        """Turns after a number, oldest first; see `Sessions.turns`."""
        found = await self._reader.read(tenant, session_id, AFTER, after, limit)
        turns = turns_of(found.entries, first=after + 1, due=after < found.head)
        return Turns(turns, found.head)

    async def put(
        self,
        tenant: str,
        session_id: str,
        before: Described,
        summary: Summary,
        *,
        forgotten: int | None = None,
    ) -> bool:
        """Put a summary in the place of that which was there before; False if another is there.

        Turns up to ``forgotten`` are not looked at for memories from then on. Raises
        NotFoundError if the session is not the one that it was.
        """
        (outcome,) = await self._link.run(
            self._summarize,
            [SessionKeys(tenant, session_id).session],
            [
                before.life.birth,
                stored_text(before.summary),
                stored_text(summary),
                "" if forgotten is None else forgotten,
            ],
        )
        if outcome == b"missing":
            raise not_found(session_id)
        return bool(outcome == b"stored")

    async def advance(self, tenant: str, before: Described, turn: int) -> bool:
        """Note that a session was looked at for memories up to a turn; False if it is noted.

        Raises NotFoundError if the session is not the one that it was.
        """
        session_id = before.life.session_id
        (outcome,) = await self._link.run(
            self._advance,
            [SessionKeys(tenant, session_id).session],
            [before.life.birth, before.extracted, turn],
        )
        if outcome == b"missing":
            raise not_found(session_id)
        return bool(outcome == b"noted")

    async def forget(self, tenant: str, session_ids: Iterable[str]) -> int:
        """Remove the summaries of sessions, and of all that have turns in common with them.

        What they stand for is not summarised again, nor looked at for memories. How many there
        were.
        """
        forgotten: set[str] = set()
        removed = 0
        for session_id in session_ids:
            # Until there are no others, which may have been forked meanwhile.
            while new := await self._related(tenant, session_id) - forgotten:
                forgotten |= new
                for one in new:
                    removed += await self._forget(tenant, one)
        return removed

    async def forget_subject(self, tenant: str, subject: str) -> int:
        """The same for all sessions of a subject."""
        removed, cursor = 0, ""
        while True:
            page = await self._views.page(tenant, subject, cursor, _PAGE)
            removed += await self.forget(tenant, [session.id for session in page.sessions])
            if not (cursor := page.cursor):
                return removed

    async def forget_with(self, tenant: str, parent: Parent, fork: str) -> None:
        """Forget of a fork that was just made what was forgotten of its parent meanwhile."""
        try:
            above = (await self.look(tenant, parent.session_id)).summary
            forgotten = min(above.forgotten, parent.turn) if above else 0
            if not forgotten:
                return
            own = (await self.look(tenant, fork)).summary
        except NotFoundError:
            return
        if own is None or own.forgotten < forgotten:
            await self._forget(tenant, fork)

    async def _related(self, tenant: str, session_id: str) -> set[str]:
        return {session.id for session in await self._views.related(tenant, session_id)}

    async def _forget(self, tenant: str, session_id: str) -> int:
        for _ in range(_TRIES):
            try:
                found = await self.look(tenant, session_id)
                if not found.session.head:
                    return 0
                if await self.put(
                    tenant,
                    session_id,
                    found,
                    self._nothing(found),
                    forgotten=found.session.head,
                ):
                    return int(bool(found.summary and found.summary.text))
            except NotFoundError:
                return 0
        return 0

    def _nothing(self, found: Described) -> Summary:
        head, tokens = found.session.head, found.session.token_count
        return Summary("", head, head, tokens, "", self._clock())
