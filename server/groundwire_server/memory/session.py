"""The nouns of the session store, and what every store guarantees."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

from groundwire_index.records import Metadata

from groundwire_server.engines.engine import Role


@dataclass(frozen=True, slots=True)
class NewTurn:
    """A message to append."""

    role: Role
    content: str
    metadata: Metadata = field(default_factory=dict)
    source_ids: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Turn:
    """A message of a session; never changes once written."""

    number: int
    role: Role
    content: str
    create_time: datetime
    metadata: Metadata
    source_ids: tuple[str, ...]
    token_count: int


@dataclass(frozen=True, slots=True)
class Session:
    """A conversation of one subject."""

    id: str
    subject: str
    title: str
    head: int
    turn_count: int
    token_count: int
    create_time: datetime
    expire_time: datetime | None


@dataclass(frozen=True, slots=True)
class Turns:
    """Consecutive turns, in order, and the head at the time they were read."""

    turns: tuple[Turn, ...]
    head: int


class Sessions(Protocol):
    """Sessions of all tenants.

    Turns are append-only and numbered from 1 without gaps. Every write is atomic, and durable
    when it returns. With an idempotency key, the same call gives the first answer again and
    another payload raises AlreadyExistsError; a retry after a lost answer is therefore safe.
    Appending to a session and reading its turns move its expiry forward; describing does not.
    Raises NotFoundError for an unknown session (also another tenant's), UnavailableError when
    the store cannot be reached: with the reason OUTCOME_UNKNOWN a write may have taken place,
    otherwise it has not. ResourceExhaustedError when the store is full.
    """

    async def create(
        self,
        tenant: str,
        subject: str,
        *,
        session_id: str = "",
        title: str = "",
        ttl_s: float | None = None,
        idempotency_key: str = "",
    ) -> Session:
        """Create an empty session; AlreadyExistsError if the id is taken."""
        ...

    async def get(self, tenant: str, session_id: str) -> Session:
        """Describe a session."""
        ...

    async def delete(self, tenant: str, session_id: str) -> int:
        """Delete a session; the number of turns removed."""
        ...

    async def append(
        self,
        tenant: str,
        session_id: str,
        turns: Sequence[NewTurn],
        *,
        expected_head: int | None = None,
        idempotency_key: str = "",
    ) -> int:
        """Append turns; the new head.

        Raises ConflictError, with the current head in ``metadata["head"]``, if
        ``expected_head`` is given and is not the head.
        """
        ...

    async def turns(self, tenant: str, session_id: str, *, after: int, limit: int) -> Turns:
        """Read at most ``limit`` turns with numbers above ``after``, oldest first.

        Fewer if they are large together, but at least one if there is one.
        """
        ...

    async def recent(
        self, tenant: str, session_id: str, *, limit: int, before: int | None = None
    ) -> Turns:
        """Read the last ``limit`` turns, or the last with numbers below ``before``, oldest first.

        Fewer if they are large together, but at least one if there is one. Takes as long
        however many turns there are.
        """
        ...

    async def check(self) -> None:
        """Raise UnavailableError if calls would fail now."""
        ...
