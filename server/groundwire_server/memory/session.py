"""The nouns of the session store, and what every store guarantees."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

from groundwire_index.records import Metadata

from groundwire_server.engines.engine import Message, Role
from groundwire_server.engines.tools import ToolCall
from groundwire_server.memory.summaries.summary import Summary


@dataclass(frozen=True, slots=True)
class Answer:
    """How an answer of a model came about."""

    model: str
    latency_s: float
    confidence: float | None = None
    """0 to 1; None for an answer without sources."""


@dataclass(frozen=True, slots=True)
class NewTurn:
    """A message to append."""

    role: Role
    content: str
    metadata: Metadata = field(default_factory=dict)
    source_ids: tuple[str, ...] = ()
    answer: Answer | None = None
    tool_calls: tuple[ToolCall, ...] = ()
    """Of an assistant's message; each with a JSON object as its arguments."""
    name: str = ""
    """Of a tool's message, the id of the call that it answers."""

    @property
    def text(self) -> str:
        """All that a model may read of it."""
        return " ".join([self.content, *(part for call in self.tool_calls for part in call.texts)])


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
    answer: Answer | None = None
    tool_calls: tuple[ToolCall, ...] = ()
    name: str = ""

    @property
    def message(self) -> Message:
        """As a model reads it."""
        return Message(self.role, self.content, self.name, self.tool_calls)


@dataclass(frozen=True, slots=True)
class Parent:
    """Where a session was forked."""

    session_id: str
    turn: int
    """The last turn that is shared."""


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
    use_time: datetime
    """To a second; see `Sessions`."""
    parent: Parent | None = None


@dataclass(frozen=True, slots=True)
class SessionStats:
    """What the turns of a session add up to, those that it shares included."""

    turns: int
    tokens: int
    first_time: datetime | None
    last_time: datetime | None
    answers_by_model: Mapping[str, int] = field(default_factory=dict)
    average_latency_s: float | None = None
    average_confidence: float | None = None
    """Of the answers that have one."""


@dataclass(frozen=True, slots=True)
class Removals:
    """What retention has removed of a subject's sessions."""

    sessions: int
    time: datetime | None
    """Of the last."""


@dataclass(frozen=True, slots=True)
class SessionPage:
    """Sessions of a subject, latest use first."""

    sessions: tuple[Session, ...]
    cursor: str
    """Of the next page; empty on the last."""
    removals: Removals


@dataclass(frozen=True, slots=True)
class Turns:
    """Consecutive turns, in order, and the head at the time they were read."""

    turns: tuple[Turn, ...]
    head: int


@dataclass(frozen=True, slots=True)
class LatestTurns:
    """The last turns of a session, in order, and what it was when they were read."""

    turns: tuple[Turn, ...]
    head: int
    token_count: int
    """Of all its turns."""
    subject: str
    summary: Summary | None = None
    birth: str = ""
    """Tells it from another session that has its id later."""


class Sessions(Protocol):
    """Sessions of all tenants.

    Turns are append-only and numbered from 1 without gaps. Every write is atomic, and durable
    when it returns. With an idempotency key, the same call gives the first answer again and
    another payload raises AlreadyExistsError; a retry after a lost answer is therefore safe.
    Appending to a session and reading its turns are uses of it: they move its expiry forward, and
    itself to the front of its subject's list; describing and forking it are none.
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

    async def list(self, tenant: str, subject: str, *, cursor: str = "", limit: int) -> SessionPage:
        """A page of a subject's sessions, latest use first.

        All pages that follow one another are of the list as it was at the first: each session is
        met once, however it is used meanwhile; those that have ended are left out. Raises
        InvalidArgumentError for a cursor that is not one, or is older than ten minutes.
        """
        ...

    async def fork(
        self,
        tenant: str,
        subject: str,
        session_id: str,
        at_turn: int,
        *,
        new_session_id: str = "",
        title: str = "",
        ttl_s: float | None = None,
        idempotency_key: str = "",
    ) -> Session:
        """Make a session that shares another's turns up to ``at_turn``, which are stored once.

        In constant time. The shared turns outlive the other session. ``ttl_s`` None: as the
        other. Raises LimitExceededError past the head, AlreadyExistsError if the id is taken.
        """
        ...

    async def forks(self, tenant: str, session_id: str) -> tuple[Session, ...]:
        """The forks of a session that are there, by the turn where they were made."""
        ...

    async def thread(self, tenant: str, session_id: str) -> tuple[Session, ...]:
        """All sessions that have a turn or a fork in common with one: each before its forks."""
        ...

    async def stats(self, tenant: str, session_id: str) -> SessionStats:
        """What the turns add up to, in constant time."""
        ...

    async def append(
        self,
        tenant: str,
        session_id: str,
        turns: Sequence[NewTurn],
        *,
        expected_head: int | None = None,
        expected_birth: str = "",
        idempotency_key: str = "",
    ) -> int:
        """Append turns; the new head.

        Raises ConflictError, with the current head in ``metadata["head"]``, if
        ``expected_head`` is given and is not the head, and NotFoundError if ``expected_birth``
        is given and is that of another session.
        """
        ...

    async def appended(self, tenant: str, session_id: str, idempotency_key: str) -> int | None:
        """The head that an append with this key gave; None if there was none."""
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

    async def latest(
        self, tenant: str, session_id: str, *, tokens: int, limit: int = 512
    ) -> LatestTurns:
        """Read about as many of the last turns as have so many tokens, oldest first.

        A few more, but at most ``limit``; fewer if they are large together, but at least one if
        there is one. In one step, and in as much time however many turns there are.
        """
        ...

    async def check(self) -> None:
        """Raise UnavailableError if calls would fail now."""
        ...
