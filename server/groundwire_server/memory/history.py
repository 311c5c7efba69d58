"""A session read backwards, as far as someone wants to know."""

from __future__ import annotations

from groundwire_server.engines.engine import Role
from groundwire_server.memory.exchange import Exchange, exchanges_of
from groundwire_server.memory.session import Session, Sessions, Turn

_LEAST_READ = 8
_MOST_READ = 512


class History:
    """The end of a session as it was at one time; what is appended meanwhile is not seen."""

    def __init__(self, sessions: Sessions, tenant: str, session: Session, tokens: int) -> None:
        """Take the session as it was; about ``tokens`` of it are going to be wanted."""
        self._sessions = sessions
        self._tenant = tenant
        self._session = session
        self._turns: tuple[Turn, ...] = ()
        average = max(1.0, session.token_count / max(1, session.head))
        self._next_read = min(max(_LEAST_READ, int(tokens / average * 1.1) + 2), _MOST_READ)

    @property
    def turns(self) -> tuple[Turn, ...]:
        """What was read, oldest first."""
        return self._turns

    @property
    def is_complete(self) -> bool:
        """Whether all turns were read."""
        return len(self._turns) == self._session.head

    @property
    def stored_tokens(self) -> int:
        """Tokens of what was read, as counted when it was stored; at least one for each turn."""
        return Exchange(self._turns).stored_tokens

    def exchanges(self) -> list[Exchange]:
        """The exchanges that were read as a whole, newest first."""
        groups = exchanges_of(self._turns)
        return (groups if self._begins_whole else groups[1:])[::-1]

    def unfinished_tokens(self) -> int:
        """Stored tokens of the exchange of which only the end was read; 0 if there is none."""
        if self._begins_whole or not self._turns:
            return 0
        return exchanges_of(self._turns)[0].stored_tokens

    async def read_more(self) -> None:
        """Read turns before those that were read, more each time."""
        first = self._session.head + 1 - len(self._turns)
        older = await self._sessions.recent(
            self._tenant, self._session.id, limit=self._next_read, before=first
        )
        self._turns = older.turns + self._turns
        self._next_read = min(self._next_read * 2, _MOST_READ)

    @property
    def _begins_whole(self) -> bool:
        return self.is_complete or bool(self._turns and self._turns[0].role is Role.USER)
