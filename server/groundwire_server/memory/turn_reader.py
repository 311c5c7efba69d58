"""Reading turns of a session: its own, and those that it shares with what it was forked from."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace

from groundwire_server.memory.births import Birth, Life
from groundwire_server.memory.keys import SessionKeys
from groundwire_server.memory.redis_link import RedisLink, load_script
from groundwire_server.memory.session_errors import not_found
from groundwire_server.memory.shared_turns import Segment, SharedTurns, lineage_of
from groundwire_server.memory.summaries.summary import Summary, summary_of
from groundwire_server.memory.turn_codec import Entry
from groundwire_server.memory.uses import Clock, Uses

MAX_READ_BYTES = 3 * 2**20
"""Turns of one read together; a client that is not told otherwise takes 4 MiB."""

AFTER = "after"
BEFORE = "before"
LAST = 2**53
"""A number past every head."""


@dataclass(frozen=True, slots=True)
class Found:
    """What was read of a session, and what was known of it at that moment."""

    head: int
    entries: list[Entry]
    subject: str
    token_count: int
    summary: Summary | None
    """Only where so many tokens were asked for."""
    birth: Birth


@dataclass(frozen=True, slots=True)
class _Own:
    """What was read in the session's own slot."""

    found: Found
    limit: int
    """Turns that were asked for."""
    shared: int
    """The last that it shares, if it was asked for such; else 0."""
    lineage: tuple[Segment, ...]


@dataclass(slots=True)
class _Read:
    """What was read, and how much more may be."""

    limit: int
    room: int = MAX_READ_BYTES
    entries: list[Entry] = field(default_factory=list)

    @property
    def goes_on(self) -> bool:
        return self.limit > 0 and self.room > 0

    @property
    def least(self) -> int:
        """A page has at least one turn, whatever its size."""
        return 0 if self.entries else 1

    def take(self, entries: list[Entry], wanted: int) -> None:
        """Take what was read of ``wanted`` turns; nothing follows if it is not all."""
        self.entries += entries
        self.limit = self.limit - len(entries) if len(entries) == wanted else 0
        self.room -= sum(len(stored) for _, stored in entries)


class TurnReader:
    """Reads upwards or downwards, from one slot after another."""

    def __init__(self, link: RedisLink, shared: SharedTurns, uses: Uses, clock: Clock) -> None:
        self._link = link
        self._shared = shared
        self._uses = uses
        self._clock = clock
        self._read = load_script("read", writes=False, after="turns")

    async def read(
        self,
        tenant: str,
        session_id: str,
        direction: str,
        number: int,
        limit: int,
        *,
        tokens: int | None = None,
    ) -> Found:
        """Turns `AFTER` a number upwards, or `BEFORE` it downwards.

        Fewer than ``limit`` if they would be more than `MAX_READ_BYTES`, but at least one if
        there is one; with ``tokens``, about as many as have so many. Raises NotFoundError.
        """
        own = await self._own(tenant, session_id, direction, number, _Read(limit), tokens)
        if not own.shared:
            return own.found
        done, head, shared = _Read(own.limit), own.found.head, own.shared
        if direction == BEFORE:
            last = min(number - 1, head)
            done.take(own.found.entries, min(own.limit, max(0, last - shared)))
            await self._add(tenant, done, direction, 1, min(last, shared), reversed(own.lineage))
            return replace(own.found, entries=done.entries)
        await self._add(tenant, done, direction, number + 1, shared, own.lineage)
        if done.goes_on and shared < head:
            # What was appended since the head was read is left to the next page.
            done.limit = min(done.limit, head - shared)
            rest = await self._own(tenant, session_id, direction, shared, done)
            done.entries += rest.found.entries
        return replace(own.found, entries=done.entries)

    async def _add(
        self,
        tenant: str,
        done: _Read,
        direction: str,
        first: int,
        last: int,
        lineage: Iterable[Segment],
    ) -> None:
        for segment in lineage:
            span = max(first, segment.first), min(last, segment.last)
            if done.goes_on and span[0] <= span[1]:
                entries = await self._shared.read(
                    tenant,
                    segment.life,
                    direction,
                    span,
                    limit=done.limit,
                    room=done.room,
                    least=done.least,
                )
                done.take(entries, min(done.limit, span[1] - span[0] + 1))

    async def _own(
        self,
        tenant: str,
        session_id: str,
        direction: str,
        number: int,
        done: _Read,
        tokens: int | None = None,
    ) -> _Own:
        keys = SessionKeys(tenant, session_id)
        now = self._clock()
        answer = await self._link.run(
            self._read,
            [keys.session, keys.turns],
            [
                direction,
                number,
                done.limit,
                done.room,
                self._uses.moment(now),
                self._uses.period_ms,
                done.least,
                "" if tokens is None else tokens,
            ],
            repeatable=True,
        )
        if not answer:
            raise not_found(session_id)
        head, numbers, turns, shared, lineage, birth, subject, token_count, *more = answer
        limit, summary, born = more
        subject = subject.decode()
        if birth:
            life = Life(session_id, Birth(birth.decode()))
            await self._uses.note(tenant, subject, life, now)
        entries = list(zip(map(int, numbers.split()), turns, strict=True))
        found = Found(
            head,
            entries,
            subject,
            int(token_count),
            summary_of(summary.decode()),
            Birth(born.decode()),
        )
        return _Own(found, limit, shared, lineage_of(lineage) if shared else ())
