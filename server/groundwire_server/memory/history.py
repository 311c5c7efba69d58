"""A session read backwards, as far as someone wants to know."""

from __future__ import annotations

from collections.abc import Sequence

from groundwire_server.engines.engine import Role
from groundwire_server.memory.exchange import Exchange, exchanges_of
from groundwire_server.memory.session import LatestTurns, Sessions, Turn

_MOST_READ = 512


class History:
    """The end of a session as it was at one time; what is appended meanwhile is not seen."""

    def __init__(
        self, sessions: Sessions, tenant: str, session_id: str, latest: LatestTurns
    ) -> None:
        """Take the session as it was, and its end."""
        self._sessions = sessions
        self._tenant = tenant
        self._session_id = session_id
        self._next_read = min(2 * max(1, len(latest.turns)), _MOST_READ)
        self.head = latest.head
        self.token_count = latest.token_count
        self.subject = latest.subject
        self.summary = latest.summary
        self._take(latest.turns)

    @property
    def turns(self) -> tuple[Turn, ...]:
        """What was read, oldest first."""
        return self._turns

    @property
    def is_complete(self) -> bool:
        """Whether all turns were read."""
        return len(self._turns) == self.head

    @property
    def stored_tokens(self) -> int:
        """Tokens of what was read, as counted when it was stored; at least one for each turn."""
        return Exchange(self._turns).stored_tokens

    def exchanges(self) -> Sequence[Exchange]:
        """The exchanges that were read as a whole, newest first."""
        return self._newest_first if self._begins_whole else self._newest_first[:-1]

    def unfinished_tokens(self) -> int:
        """Stored tokens of the exchange of which only the end was read; 0 if there is none."""
        if self._begins_whole or not self._turns:
            return 0
        return self._newest_first[-1].stored_tokens

    async def read_more(self) -> None:
        """Read turns before those that were read, more each time."""
        first = self.head + 1 - len(self._turns)
        older = await self._sessions.recent(
            self._tenant, self._session_id, limit=self._next_read, before=first
        )
        self._take(older.turns + self._turns)
        self._next_read = min(self._next_read * 2, _MOST_READ)

    def _take(self, turns: tuple[Turn, ...]) -> None:
        self._turns = turns
        self._newest_first = exchanges_of(turns)[::-1]

    @property
    def _begins_whole(self) -> bool:
        return self.is_complete or bool(self._turns and self._turns[0].role is Role.USER)
