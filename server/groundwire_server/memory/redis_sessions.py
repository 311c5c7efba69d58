"""The session store on Redis."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime

from groundwire_server.blocking import run_blocking
from groundwire_server.memory.births import Birth, Life, ms_of
from groundwire_server.memory.keys import SessionKeys, SubjectKeys, digest_of
from groundwire_server.memory.redis_keeper import RedisKeeper, SomeoneElse
from groundwire_server.memory.redis_link import RedisLink, load_script
from groundwire_server.memory.retention import SessionRetention
from groundwire_server.memory.session import (
    LatestTurns,
    NewTurn,
    Parent,
    Session,
    SessionPage,
    SessionStats,
    Turn,
    Turns,
)
from groundwire_server.memory.session_births import ANSWER_TTL_MS, SessionBirths, left_to_upkeep
from groundwire_server.memory.session_errors import head_moved, key_taken, not_found
from groundwire_server.memory.session_summaries import SessionSummaries
from groundwire_server.memory.session_views import SessionViews
from groundwire_server.memory.shared_turns import SharedTurns
from groundwire_server.memory.subject_list import SubjectLists
from groundwire_server.memory.turn_codec import StoredTurns, encoded, text_of_time, turns_of
from groundwire_server.memory.turn_reader import (
    AFTER,
    BEFORE,
    LAST,
    MAX_READ_BYTES,
    Found,
    TurnReader,
)
from groundwire_server.memory.uses import Clock, NoUses, Uses

__all__ = ["MAX_READ_BYTES", "Clock", "CountTokens", "RedisSessions", "utc_now"]

# Characters that take longer to encode than to hand to another thread.
_LARGE = 2**16

CountTokens = Callable[[str], Awaitable[int]]


def utc_now() -> datetime:
    """The time, aware, in UTC."""
    return datetime.now(UTC)


class RedisSessions:
    """Sessions on a Redis from 6.2, a Valkey, or a cluster of either.

    Each write to a session is one script on one slot, so it happens as a whole or not at all; it
    is as durable as Redis is told to be. An idempotency key is remembered for 24 hours, apart for
    each session, and for `create` and `fork` apart for each subject. A time to live counts from
    the last use. Ids may hold any characters.
    """

    name = "sessions"

    def __init__(
        self,
        url: str,
        *,
        count_tokens: CountTokens,
        keeper: RedisKeeper | None = None,
        clock: Clock = utc_now,
        timeout_s: float = 2.0,
        max_connections: int = 64,
        on_append: Callable[[str, str], None] = lambda _tenant, _session_id: None,
        on_step: Callable[[float], None] = lambda _seconds: None,
    ) -> None:
        """Take a redis://, rediss://, unix:// or Sentinel URL; InvalidArgumentError for any other.

        ``count_tokens`` counts the tokens of one content. ``keeper`` runs the Redis, if it is one
        of our own. ``timeout_s`` bounds each step of a call: see `RedisLink`. ``on_append`` is told
        the tenant and the session, ``on_step`` how long each command has taken.
        """
        self._link = RedisLink(
            url,
            keeper or SomeoneElse(url),
            timeout_s=timeout_s,
            max_connections=max_connections,
            on_step=on_step,
        )
        self._count_tokens = count_tokens
        self._clock = clock
        self._on_append = on_append
        self._append = load_script("append", writes=True)
        self._appended = load_script("appended", writes=False)
        lists, shared = SubjectLists(self._link), SharedTurns(self._link)
        self._uses = Uses(lists)
        self._births = SessionBirths(self._link, lists, shared, clock)
        self._reader = TurnReader(self._link, shared, self._uses, clock)
        self._views = SessionViews(self._link, lists, shared, clock)
        self.summaries = SessionSummaries(
            self._link, self._views, TurnReader(self._link, shared, NoUses(lists), clock), clock
        )
        self._lists = lists
        self.retention = SessionRetention(
            self._link, lists, shared, self._births, self._views, clock
        )

    async def start(self) -> None:
        """Do nothing: connections are made when they are used, and again after a failure."""

    async def check(self) -> None:
        """Raise UnavailableError if calls would fail now."""
        await self._link.ping()

    async def close(self) -> None:
        """Close the connections. Idempotent."""
        await self._link.close()

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
        return await self._births.create(
            tenant,
            subject,
            session_id=session_id,
            title=title,
            ttl_s=ttl_s,
            idempotency_key=idempotency_key,
        )

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
        """Make a session that shares another's turns up to ``at_turn``, which are stored once."""
        parent = Parent(session_id, at_turn)
        fork = await self._births.fork(
            tenant,
            subject,
            parent,
            session_id=new_session_id,
            title=title,
            ttl_s=ttl_s,
            idempotency_key=idempotency_key,
        )
        await self.summaries.forget_with(tenant, parent, fork.id)
        return fork

    async def get(self, tenant: str, session_id: str) -> Session:
        """Describe a session."""
        return (await self._views.described(tenant, session_id)).session

    async def list(self, tenant: str, subject: str, *, cursor: str = "", limit: int) -> SessionPage:
        """A page of a subject's sessions, latest use first."""
        return await self._views.page(tenant, subject, cursor, limit)

    async def forks(self, tenant: str, session_id: str) -> tuple[Session, ...]:
        """The forks of a session that are there, by the turn where they were made."""
        return await self._views.forks(tenant, session_id)

    async def thread(self, tenant: str, session_id: str) -> tuple[Session, ...]:
        """All sessions that have a turn or a fork in common with one: each before its forks."""
        return await self._views.thread(tenant, session_id)

    async def stats(self, tenant: str, session_id: str) -> SessionStats:
        """What the turns add up to, in constant time."""
        return (await self._views.described(tenant, session_id)).stats

    async def delete(self, tenant: str, session_id: str) -> int:
        """Delete a session; the number of turns removed, without those that forks share."""
        gone = await self._births.delete(tenant, session_id)
        if gone is None:
            return 0
        with left_to_upkeep(gone.life):
            await self._lists.unlist(SubjectKeys(tenant, gone.subject), gone.life)
        return gone.turns

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
        keys = SessionKeys(tenant, session_id)
        now = self._clock()
        counts = [await self._count_tokens(turn.text) for turn in turns]
        stored = await _encoded(turns, counts, now)
        outcome, *found = await self._link.run(
            self._append,
            [
                keys.session,
                keys.turns,
                *([keys.answer("append", idempotency_key)] if idempotency_key else []),
            ],
            [
                "" if expected_head is None else expected_head,
                digest_of(expected_head, stored.digest) if idempotency_key else "",
                ANSWER_TTL_MS,
                ms_of(now),
                self._uses.period_ms,
                text_of_time(now),
                expected_birth,
                *(
                    part
                    for three in zip(counts, stored.answers, stored.values, strict=True)
                    for part in three
                ),
            ],
            repeatable=bool(idempotency_key),
        )
        match outcome:
            case b"missing":
                raise not_found(session_id)
            case b"clash":
                raise key_taken()
            case b"moved":
                raise head_moved(session_id, expected_head, found[0])
        head, *use = found
        if use:
            birth, subject = (value.decode() for value in use)
            await self._uses.note(tenant, subject, Life(session_id, Birth(birth)), now)
        self._on_append(tenant, session_id)
        return int(head)

    async def appended(self, tenant: str, session_id: str, idempotency_key: str) -> int | None:
        """The head that an append with this key gave; None if there was none."""
        keys = SessionKeys(tenant, session_id)
        found = await self._link.run(
            self._appended,
            [keys.session, keys.answer("append", idempotency_key)],
            repeatable=True,
        )
        return int(found[0]) if found else None

    async def turns(self, tenant: str, session_id: str, *, after: int, limit: int) -> Turns:
        """Read at most ``limit`` turns with numbers above ``after``, oldest first.

        Fewer if they would be more than `MAX_READ_BYTES`, but at least one if there is one.
        """
        found = await self._reader.read(tenant, session_id, AFTER, after, limit)
        return Turns(turns_of(found.entries, first=after + 1, due=after < found.head), found.head)

    async def recent(
        self, tenant: str, session_id: str, *, limit: int, before: int | None = None
    ) -> Turns:
        """Read the last ``limit`` turns, or the last with numbers below ``before``, oldest first.

        Fewer if they would be more than `MAX_READ_BYTES`, but at least one if there is one.
        """
        number = LAST if before is None else before
        found = await self._reader.read(tenant, session_id, BEFORE, number, limit)
        return Turns(_downwards(found, min(found.head, number - 1)), found.head)

    async def latest(
        self, tenant: str, session_id: str, *, tokens: int, limit: int = 512
    ) -> LatestTurns:
        """Read about as many of the last turns as have so many tokens, oldest first.

        A few more, but at most ``limit``, and fewer if they would be more than `MAX_READ_BYTES`.
        """
        found = await self._reader.read(tenant, session_id, BEFORE, LAST, limit, tokens=tokens)
        turns = _downwards(found, found.head)
        return LatestTurns(
            turns, found.head, found.token_count, found.subject, found.summary, found.birth
        )


def _downwards(found: Found, last: int) -> tuple[Turn, ...]:
    first = last - len(found.entries) + 1
    return turns_of(found.entries[::-1], first=first, due=last > 0)


async def _encoded(
    turns: Sequence[NewTurn], token_counts: Sequence[int], time: datetime
) -> StoredTurns:
    if sum(len(turn.content) for turn in turns) < _LARGE:
        return encoded(turns, token_counts, time)
    return await run_blocking(encoded, turns, token_counts, time)
