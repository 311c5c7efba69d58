"""The session store on Redis."""

from __future__ import annotations

import uuid
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime, timedelta

from groundwire_index.errors import AlreadyExistsError, ConflictError, NotFoundError

from groundwire_server.blocking import run_blocking
from groundwire_server.memory.keys import SessionKeys, claim_key, digest_of
from groundwire_server.memory.redis_keeper import RedisKeeper, SomeoneElse
from groundwire_server.memory.redis_link import RedisLink, load_script
from groundwire_server.memory.session import NewTurn, Session, Turns
from groundwire_server.memory.turn_codec import (
    Entry,
    StoredTurns,
    encoded,
    text_of_time,
    turns_of,
)

MAX_READ_BYTES = 3 * 2**20
"""Turns of one read together; a client that is not told otherwise takes 4 MiB."""

_ANSWER_TTL_MS = 24 * 3600 * 1000
# A key is forgotten as a whole: what it created answers longer than the claim that leads there.
_CREATED_TTL_MS = _ANSWER_TTL_MS + 3600 * 1000
_NO_NUMBER = 2**53
# Characters that take longer to encode than to hand to another thread.
_LARGE = 2**16

CountTokens = Callable[[str], Awaitable[int]]
Clock = Callable[[], datetime]


def utc_now() -> datetime:
    """The time, aware, in UTC."""
    return datetime.now(UTC)


class RedisSessions:
    """Sessions on a Redis from 6.2, a Valkey, or a cluster of either.

    Each write is one script on one slot, so it happens as a whole or not at all; it is as
    durable as Redis is told to be. An idempotency key is remembered for 24 hours, apart for
    each session, and for `create` apart for each subject. A time to live counts from the last
    append or reading of turns. Ids may hold any characters.
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
    ) -> None:
        """Take a redis://, rediss:// or unix:// URL; InvalidArgumentError for any other.

        ``count_tokens`` counts the tokens of one content. ``keeper`` runs the Redis, if it is one
        of our own. ``timeout_s`` bounds each step of a call: see `RedisLink`.
        """
        self._link = RedisLink(
            url,
            keeper or SomeoneElse(url),
            timeout_s=timeout_s,
            max_connections=max_connections,
        )
        self._count_tokens = count_tokens
        self._clock = clock
        self._claim = load_script("claim", writes=True)
        self._create = load_script("create", writes=True)
        self._describe = load_script("describe", writes=False)
        self._append = load_script("append", writes=True)
        self._read = load_script("read", writes=False)
        self._delete = load_script("delete", writes=True)

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
        now = self._clock()
        ttl_ms = "" if ttl_s is None else str(round(ttl_s * 1000))
        digest = digest_of(subject, session_id, title, ttl_ms)
        session_id = session_id or uuid.uuid4().hex
        if idempotency_key:
            session_id, now = await self._claimed(
                claim_key(tenant, subject, idempotency_key), digest, session_id, now
            )
        keys = SessionKeys(tenant, session_id)
        outcome = await self._link.run(
            self._create,
            [keys.session, keys.turns, *_answers(keys, "create", idempotency_key)],
            [
                uuid.uuid4().hex,
                subject,
                title,
                text_of_time(now),
                ttl_ms,
                digest,
                _CREATED_TTL_MS,
            ],
            repeatable=bool(idempotency_key),
        )
        if outcome == b"clash":
            raise _key_taken()
        if outcome == b"taken":
            raise AlreadyExistsError(
                f'session "{session_id}" exists already: choose another id, or use that one',
                reason="SESSION_EXISTS",
                metadata=_resource(session_id),
            )
        expire_time = None if ttl_s is None else now + timedelta(seconds=ttl_s)
        return Session(session_id, subject, title, 0, 0, 0, now, expire_time)

    async def get(self, tenant: str, session_id: str) -> Session:
        """Describe a session."""
        keys = SessionKeys(tenant, session_id)
        subject, title, time, head, tokens, ttl_ms = await self._link.run(
            self._describe, [keys.session], repeatable=True
        )
        if subject is None:
            raise _not_found(session_id)
        return Session(
            id=session_id,
            subject=subject.decode(),
            title=title.decode(),
            head=int(head),
            turn_count=int(head),
            token_count=int(tokens),
            create_time=datetime.fromisoformat(time.decode()),
            expire_time=None if ttl_ms < 0 else self._clock() + timedelta(milliseconds=ttl_ms),
        )

    async def delete(self, tenant: str, session_id: str) -> int:
        """Delete a session; the number of turns removed."""
        keys = SessionKeys(tenant, session_id)
        head = await self._link.run(self._delete, [keys.session, keys.turns])
        if head is None:
            raise _not_found(session_id)
        return int(head)

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
        keys = SessionKeys(tenant, session_id)
        counts = [await self._count_tokens(turn.content) for turn in turns]
        stored = await _encoded(turns, counts, self._clock())
        outcome, *head = await self._link.run(
            self._append,
            [keys.session, keys.turns, *_answers(keys, "append", idempotency_key)],
            [
                "" if expected_head is None else expected_head,
                digest_of(expected_head, stored.digest),
                _ANSWER_TTL_MS,
                sum(counts),
                *stored.values,
            ],
            repeatable=bool(idempotency_key),
        )
        match outcome:
            case b"missing":
                raise _not_found(session_id)
            case b"clash":
                raise _key_taken()
            case b"moved":
                raise _head_moved(session_id, expected_head, head[0])
        return int(head[0])

    async def turns(self, tenant: str, session_id: str, *, after: int, limit: int) -> Turns:
        """Read at most ``limit`` turns with numbers above ``after``, oldest first.

        Fewer if they would be more than `MAX_READ_BYTES`, but at least one if there is one.
        """
        head, entries = await self._entries(tenant, session_id, "after", after, limit)
        return Turns(turns_of(entries, first=after + 1, due=after < head), head)

    async def recent(
        self, tenant: str, session_id: str, *, limit: int, before: int | None = None
    ) -> Turns:
        """Read the last ``limit`` turns, or the last with numbers below ``before``, oldest first.

        Fewer if they would be more than `MAX_READ_BYTES`, but at least one if there is one.
        """
        number = _NO_NUMBER if before is None else before
        head, entries = await self._entries(tenant, session_id, "before", number, limit)
        last = min(head, number - 1)
        turns = turns_of(entries[::-1], first=last - len(entries) + 1, due=last > 0)
        return Turns(turns, head)

    async def _entries(
        self, tenant: str, session_id: str, direction: str, number: int, limit: int
    ) -> tuple[int, list[Entry]]:
        keys = SessionKeys(tenant, session_id)
        answer = await self._link.run(
            self._read,
            [keys.session, keys.turns],
            [direction, number, limit, MAX_READ_BYTES],
            repeatable=True,
        )
        if not answer:
            raise _not_found(session_id)
        head, numbers, turns = answer
        return head, list(zip(map(int, numbers.split()), turns, strict=True))

    async def _claimed(
        self, key: str, digest: str, session_id: str, now: datetime
    ) -> tuple[str, datetime]:
        """The session id and time of the first request with this idempotency key."""
        first_digest, first_id, first_time = await self._link.run(
            self._claim,
            [key],
            [digest, session_id, text_of_time(now), _ANSWER_TTL_MS],
            repeatable=True,
        )
        if first_digest.decode() != digest:
            raise _key_taken()
        return first_id.decode(), datetime.fromisoformat(first_time.decode())


async def _encoded(
    turns: Sequence[NewTurn], token_counts: Sequence[int], time: datetime
) -> StoredTurns:
    if sum(len(turn.content) for turn in turns) < _LARGE:
        return encoded(turns, token_counts, time)
    return await run_blocking(encoded, turns, token_counts, time)


def _answers(keys: SessionKeys, operation: str, idempotency_key: str) -> list[str]:
    return [keys.answer(operation, idempotency_key)] if idempotency_key else []


def _resource(session_id: str) -> dict[str, str]:
    return {"resource_type": "session", "resource_name": session_id}


def _not_found(session_id: str) -> NotFoundError:
    return NotFoundError(
        f'there is no session "{session_id}": create it, or look whether it has expired',
        reason="SESSION_NOT_FOUND",
        metadata=_resource(session_id),
    )


def _key_taken() -> AlreadyExistsError:
    return AlreadyExistsError(
        "this idempotency_key was used for another request: use a new one",
        reason="IDEMPOTENCY_KEY_REUSED",
    )


def _head_moved(session_id: str, expected_head: int | None, head: int) -> ConflictError:
    return ConflictError(
        f"the head of the session is {head}, not {expected_head}: read the turns after yours "
        "and append again",
        reason="HEAD_MOVED",
        metadata={**_resource(session_id), "head": str(head)},
    )
