"""How sessions come to be and end: created, forked, deleted."""

from __future__ import annotations

import json
import logging
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from groundwire_index.errors import ResourceExhaustedError, UnavailableError

from groundwire_server.memory.births import Birth, Life, ms_of, new_birth, time_of_ms
from groundwire_server.memory.keys import SessionKeys, SubjectKeys, claim_key, digest_of
from groundwire_server.memory.redis_link import RedisLink, load_script
from groundwire_server.memory.session import Parent, Session
from groundwire_server.memory.session_errors import id_taken, key_taken, not_found
from groundwire_server.memory.shared_turns import (
    Held,
    Hold,
    SharedTurns,
    hold_of,
    life_text,
    lineage_text,
)
from groundwire_server.memory.subject_list import Listed, SubjectLists
from groundwire_server.memory.summaries.summary import stored_text
from groundwire_server.memory.turn_codec import text_of_time
from groundwire_server.memory.uses import Clock

log = logging.getLogger(__name__)

ANSWER_TTL_MS = 24 * 3600 * 1000
# A key is forgotten as a whole: what it created answers longer than the claim that leads there.
_CREATED_TTL_MS = ANSWER_TTL_MS + 3600 * 1000
# Sessions of one id that came and went while one was created.
_TRIES = 5


@dataclass(frozen=True, slots=True)
class _Asked:
    """A session that someone asks for."""

    tenant: str
    subject: str
    session_id: str
    title: str
    idempotency_key: str
    digest: str
    time: datetime

    @property
    def keys(self) -> SessionKeys:
        """Of the session."""
        return SessionKeys(self.tenant, self.session_id)

    @property
    def answers(self) -> list[str]:
        """The key of what the first call was answered."""
        key = self.idempotency_key
        return [self.keys.answer("create", key)] if key else []


@dataclass(frozen=True, slots=True)
class Gone:
    """A session that was deleted."""

    turns: int
    life: Life
    subject: str


class SessionBirths:
    """Creates, forks and deletes sessions, in an order in which a crash leaves none lost.

    On the list first, then what a fork holds, then the session; the other way round when it is
    deleted. What a crash leaves behind on a list or held is found by whoever reads the list, and
    by upkeep.
    """

    def __init__(
        self, link: RedisLink, lists: SubjectLists, shared: SharedTurns, clock: Clock
    ) -> None:
        self._link = link
        self._lists = lists
        self._shared = shared
        self._clock = clock
        self._claim = load_script("claim", writes=True)
        self._create = load_script("create", writes=True)
        self._answered = load_script("answered", writes=False)
        self._delete = load_script("delete", writes=True, after="turns")

    async def create(
        self,
        tenant: str,
        subject: str,
        *,
        session_id: str,
        title: str,
        ttl_s: float | None,
        idempotency_key: str,
    ) -> Session:
        """Create an empty session; AlreadyExistsError if the id is taken."""
        ttl_ms = _ms_text(ttl_s)
        digest = digest_of(subject, session_id, title, ttl_ms)
        asked = await self._asked(tenant, subject, session_id, title, idempotency_key, digest)
        await self._born(asked, self._life(asked), ttl_ms)
        return _session(asked, ttl_ms)

    async def fork(
        self,
        tenant: str,
        subject: str,
        parent: Parent,
        *,
        session_id: str,
        title: str,
        ttl_s: float | None,
        idempotency_key: str,
    ) -> Session:
        """Create a session that shares turns; see `SharedTurns.hold` for what it raises."""
        ttl_ms = _ms_text(ttl_s)
        digest = digest_of(
            "fork", subject, parent.session_id, parent.turn, session_id, title, ttl_ms
        )
        asked = await self._asked(tenant, subject, session_id, title, idempotency_key, digest)
        said = await self._said(asked) if idempotency_key else None
        if said is None:
            fork = self._life(asked)
            held = await self._shared.hold(tenant, parent.session_id, parent.turn, fork)
            said = await self._born(asked, fork, ttl_ms if ttl_s else held.ttl_ms, parent, held)
        tokens, ttl_ms = json.loads(said)
        return _session(asked, ttl_ms, parent, tokens)

    async def delete(
        self, tenant: str, session_id: str, *, unused_since_ms: int | None = None
    ) -> Gone | None:
        """Delete a session, and let go of what it held; None if it was used since then.

        Its entry on the list is left. Raises NotFoundError.
        """
        keys = SessionKeys(tenant, session_id)
        outcome = await self._link.run(
            self._delete,
            [keys.session, keys.turns, keys.held],
            ["" if unused_since_ms is None else unused_since_ms],
        )
        if not outcome:
            raise not_found(session_id)
        if outcome[0] == b"used":
            return None
        turns, birth, subject, up = outcome
        life = Life(session_id, Birth(birth.decode()))
        with left_to_upkeep(life):
            await self._shared.release(tenant, hold_of(up, life))
        return Gone(turns, life, subject.decode())

    async def _asked(
        self,
        tenant: str,
        subject: str,
        session_id: str,
        title: str,
        idempotency_key: str,
        digest: str,
    ) -> _Asked:
        """The request; where an idempotency key ties it to its first try, as that was."""
        now = self._clock()
        session_id = session_id or uuid.uuid4().hex
        asked = _Asked(tenant, subject, session_id, title, idempotency_key, digest, now)
        if not idempotency_key:
            return asked
        first_digest, first_id, first_time = await self._link.run(
            self._claim,
            [claim_key(tenant, subject, idempotency_key)],
            [digest, session_id, text_of_time(now), ANSWER_TTL_MS],
            repeatable=True,
        )
        if first_digest.decode() != digest:
            raise key_taken()
        time = datetime.fromisoformat(first_time.decode())
        return replace(asked, session_id=first_id.decode(), time=time)

    def _life(self, asked: _Asked) -> Life:
        return Life(asked.session_id, new_birth(self._clock()))

    async def _said(self, asked: _Asked) -> str | None:
        """What the first call was answered, if it was."""
        digest, said = await self._link.run(self._answered, asked.answers, repeatable=True)
        if digest is not None and digest.decode() != asked.digest:
            raise key_taken()
        return None if digest is None else said.decode()

    async def _born(
        self,
        asked: _Asked,
        life: Life,
        ttl_ms: str,
        parent: Parent | None = None,
        held: Held | None = None,
    ) -> str:
        """Put a session on its list, then create it; what the first call was answered."""
        keys = SubjectKeys(asked.tenant, asked.subject)
        await self._lists.enlist(keys, Listed(life, ms_of(self._clock())))
        outcome, said = await self._created(asked, life, ttl_ms, parent, held)
        if outcome != b"created":
            with left_to_upkeep(life):
                await self._lists.unlist(keys, life)
                if held is not None:
                    await self._shared.release(asked.tenant, Hold(held.life, life))
        match outcome:
            case b"clash":
                raise key_taken()
            case b"taken":
                raise id_taken(asked.session_id)
        return said

    async def _created(
        self, asked: _Asked, life: Life, ttl_ms: str, parent: Parent | None, held: Held | None
    ) -> tuple[bytes, str]:
        keys = asked.keys
        said = json.dumps([held.tokens if held else 0, ttl_ms])
        for _ in range(_TRIES):
            outcome, *more = await self._link.run(
                self._create,
                [keys.session, keys.turns, keys.held, *asked.answers],
                [
                    life.birth,
                    asked.subject,
                    asked.title,
                    text_of_time(asked.time),
                    ttl_ms,
                    asked.digest,
                    _CREATED_TTL_MS,
                    ms_of(asked.time),
                    said,
                    *(_shared_fields(parent, held) if parent and held else []),
                ],
                repeatable=bool(asked.idempotency_key),
            )
            if outcome == b"again":
                return outcome, more[0].decode()
            if outcome != b"held":
                return outcome, said
            former = Life(asked.session_id, Birth(more[0].decode()))
            await self._shared.set_aside(asked.tenant, former)
        return b"taken", said


def _shared_fields(parent: Parent, held: Held) -> list[str | int]:
    fields: dict[str, str | int] = {
        "head": parent.turn,
        "base": parent.turn,
        "tokens": held.tokens,
        "lineage": lineage_text(held.lineage),
        "up": life_text(held.life),
        "first": held.first,
        "last": held.last,
    }
    if held.answers:
        fields["answers"] = held.answers
    if held.summary:
        fields["summary"] = stored_text(held.summary)
    return [part for field in fields.items() for part in field]


def _session(asked: _Asked, ttl_ms: str, parent: Parent | None = None, tokens: int = 0) -> Session:
    head = parent.turn if parent else 0
    return Session(
        id=asked.session_id,
        subject=asked.subject,
        title=asked.title,
        head=head,
        turn_count=head,
        token_count=tokens,
        create_time=asked.time,
        expire_time=asked.time + timedelta(milliseconds=int(ttl_ms)) if ttl_ms else None,
        use_time=time_of_ms(ms_of(asked.time)),
        parent=parent,
    )


def _ms_text(ttl_s: float | None) -> str:
    return "" if ttl_s is None else str(round(ttl_s * 1000))


@contextmanager
def left_to_upkeep(life: Life) -> Iterator[None]:
    """Go on when what is done besides fails: upkeep does it later."""
    try:
        yield
    except (UnavailableError, ResourceExhaustedError) as error:
        log.info("what session %s held or listed is left to upkeep: %s", life.session_id, error)
