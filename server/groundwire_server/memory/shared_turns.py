"""Turns that sessions share with their forks: stored once, in the slot where they were written.

A fork holds the session that it was made from: the turns up to where it was made stay, though the
session be deleted or expire. What is left of a session that is gone holds on to what that was
forked from in turn, and goes with the last fork that holds it. Holding and letting go are one
script each in the slot of what is held; a fork is there only after it holds. A crash in between
leaves something held by nobody, which upkeep finds.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass

from groundwire_server.memory.births import Birth, Life, life_named
from groundwire_server.memory.keys import SessionKeys
from groundwire_server.memory.redis_link import RedisLink, load_script
from groundwire_server.memory.session_errors import (
    not_found,
    past_the_head,
    too_deep,
    too_many_forks,
)
from groundwire_server.memory.sizes import Size
from groundwire_server.memory.summaries.summary import Summary, summary_of
from groundwire_server.memory.turn_codec import Entry

MAX_FORKS = 1000
MAX_LINEAGE = 256
_HOLDER = "h:"
# Redis does nothing else while it looks at them: some milliseconds.
_PART_TURNS = 1000
_PART_BYTES = 2**22


@dataclass(frozen=True, slots=True)
class Segment:
    """Consecutive turns that one session has written."""

    life: Life
    first: int
    last: int


@dataclass(frozen=True, slots=True)
class Hold:
    """Who holds turns of whom."""

    held: Life
    holder: Life


@dataclass(frozen=True, slots=True)
class Held:
    """A session as it is when turns of it are held."""

    life: Life
    lineage: tuple[Segment, ...]
    """Where the turns up to the fork are, oldest first."""
    ttl_ms: str
    tokens: int
    answers: str
    first: str
    last: str
    summary: Summary | None
    """What of it the fork has too."""


class SharedTurns:
    """Holds turns for forks, reads them, and lets go of them."""

    def __init__(self, link: RedisLink) -> None:
        self._link = link
        self._hold = load_script("hold", writes=True, after="turns")
        self._release = load_script("release", writes=True, after="turns")
        self._read = load_script("read_held", writes=False, after="turns")
        self._sums = load_script("sums", writes=False, after="turns")
        self._forks = load_script("forks", writes=False, after="turns")
        self._lives = load_script("lives", writes=False, after="turns")
        self._left = load_script("left", writes=False, after="turns")
        self._set_aside = load_script("set_aside", writes=True)

    async def hold(self, tenant: str, session_id: str, turn: int, holder: Life) -> Held:
        """Keep the turns of a session, up to ``turn``, for a fork that is going to be.

        Raises NotFoundError, LimitExceededError past the head, ResourceExhaustedError with
        `MAX_FORKS` forks already, FailedPreconditionError with `MAX_LINEAGE` sessions in a row.
        """
        keys = SessionKeys(tenant, session_id)
        outcome, *found = await self._link.run(
            self._hold,
            [keys.session, keys.turns, keys.held],
            [turn, holder.name, MAX_FORKS],
            repeatable=True,
        )
        match outcome:
            case b"missing":
                raise not_found(session_id)
            case b"beyond":
                raise past_the_head(session_id, turn, found[0])
            case b"full":
                raise too_many_forks(session_id, MAX_FORKS)
        birth, base, lineage_text, ttl_ms, first, summary, *sums = found
        life = Life(session_id, Birth(birth.decode()))
        lineage = _cut(lineage_of(lineage_text), turn)
        if turn > base:
            lineage = (*lineage, Segment(life, base + 1, turn))
        elif lineage:
            sums = await self._sums_of(tenant, lineage[-1])
        if len(lineage) > MAX_LINEAGE:
            await self.release(tenant, Hold(life, holder))
            raise too_deep(session_id, MAX_LINEAGE)
        tokens, answers, last = (value.decode() for value in sums)
        known = summary_of(summary.decode())
        return Held(
            life,
            lineage,
            ttl_ms.decode(),
            int(tokens or 0),
            answers,
            first.decode(),
            last,
            known.at(turn, int(tokens or 0)) if known else None,
        )

    async def release(self, tenant: str, hold: Hold | None) -> None:
        """Let go of what a fork held, and of what that held, if it goes with it."""
        while hold is not None:
            up = await self._link.run(
                self._release,
                _keys(tenant, hold.held, session=True),
                [hold.held.birth, hold.holder.name],
                repeatable=True,
            )
            hold = hold_of(up, hold.held)

    async def settle(self, tenant: str, life: Life) -> None:
        """Remove the turns of a session that is gone which no fork needs."""
        keys = _keys(tenant, life, session=True)
        up = await self._link.run(self._release, keys, [life.birth, ""], repeatable=True)
        await self.release(tenant, hold_of(up, life))

    async def read(
        self,
        tenant: str,
        life: Life,
        direction: str,
        span: tuple[int, int],
        *,
        limit: int,
        room: int,
        least: int,
    ) -> list[Entry]:
        """Turns of a segment, in order of the direction."""
        numbers, turns = await self._link.run(
            self._read,
            _keys(tenant, life),
            [life.birth, direction, *span, limit, room, least],
            repeatable=True,
        )
        return list(zip(map(int, numbers.split()), turns, strict=True))

    async def holders(self, tenant: str, life: Life) -> tuple[dict[Life, int], Life | None]:
        """The forks that hold a session, each with its last turn of it; and what it holds."""
        fields = await self._fields(tenant, life)
        up = life_of(fields["up"]) if fields.get("up") else None
        holders = {
            life_named(field.removeprefix(_HOLDER)): int(turn)
            for field, turn in fields.items()
            if field.startswith(_HOLDER)
        }
        return holders, up

    async def birth_held(self, tenant: str, session_id: str) -> str:
        """Of which session the turns are that are held and not set aside; empty: of none."""
        return (await self._fields(tenant, Life(session_id, Birth("")))).get("birth", "")

    async def lives(self, tenant: str, life: Life) -> bool:
        """Whether a session is there, or at least turns of it that forks hold."""
        keys = _keys(tenant, life, session=True)
        return bool(await self._link.run(self._lives, keys, [life.birth], repeatable=True))

    async def left(self, tenant: str, life: Life) -> Size:
        """How much forks hold of a session that is gone; nothing of one that is there."""
        keys = _keys(tenant, life, session=True)
        size, last = Size(), b"0"
        while last:
            turns, length, last = await self._link.run(
                self._left, keys, [life.birth, last, _PART_TURNS, _PART_BYTES], repeatable=True
            )
            size += Size(turns, length)
        return size

    async def set_aside(self, tenant: str, life: Life) -> None:
        """Let a new session have the id of one that is gone, and whose turns are held."""
        keys = _keys(tenant, life, session=True)
        await self._link.run(self._set_aside, keys, [life.birth], repeatable=True)

    async def _fields(self, tenant: str, life: Life) -> dict[str, str]:
        keys = _keys(tenant, life)
        answer = await self._link.run(self._forks, keys, [life.birth], repeatable=True)
        texts = [each.decode() for each in answer]
        return dict(zip(texts[::2], texts[1::2], strict=True))

    async def _sums_of(self, tenant: str, segment: Segment) -> list[bytes]:
        sums: list[bytes] = await self._link.run(
            self._sums,
            _keys(tenant, segment.life),
            [segment.life.birth, segment.last],
            repeatable=True,
        )
        return sums


def lineage_of(text: bytes) -> tuple[Segment, ...]:
    """Read where the turns are that a session shares."""
    return tuple(
        Segment(Life(session_id, Birth(birth)), first, last)
        for session_id, birth, first, last in json.loads(text)
    )


def lineage_text(lineage: Sequence[Segment]) -> str:
    """Write where the turns are that a session shares."""
    return json.dumps(
        [[each.life.session_id, each.life.birth, each.first, each.last] for each in lineage]
    )


def life_of(text: str | bytes) -> Life:
    """Read what a session was forked from."""
    session_id, birth = json.loads(text)
    return Life(session_id, Birth(birth))


def life_text(life: Life) -> str:
    """Write what a session was forked from."""
    return json.dumps([life.session_id, life.birth])


def hold_of(up: bytes, holder: Life) -> Hold | None:
    """What a session holds, by what it was forked from; empty: nothing."""
    return Hold(life_of(up), holder) if up else None


def _cut(lineage: tuple[Segment, ...], turn: int) -> tuple[Segment, ...]:
    return tuple(
        Segment(each.life, each.first, min(each.last, turn))
        for each in lineage
        if each.first <= turn
    )


def _keys(tenant: str, life: Life, *, session: bool = False) -> list[str]:
    keys = SessionKeys(tenant, life.session_id)
    own = [keys.session] if session else []
    return [*own, keys.turns, keys.held, *keys.aside(life.birth)]
