"""What sessions look like from outside: described, listed, as a tree of forks."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from groundwire_index.errors import NotFoundError

from groundwire_server.memory.births import Birth, Life, ms_of, time_of_ms
from groundwire_server.memory.keys import SessionKeys, SubjectKeys
from groundwire_server.memory.redis_link import RedisLink, load_script
from groundwire_server.memory.session import Parent, Session, SessionPage, SessionStats
from groundwire_server.memory.session_errors import not_found
from groundwire_server.memory.shared_turns import SharedTurns, life_of
from groundwire_server.memory.subject_list import Listed, SubjectLists
from groundwire_server.memory.summaries.summary import Summary, summary_of
from groundwire_server.memory.uses import Clock

GHOST_MS = 3_600_000
"""What is not there after so long is not about to be created either."""

MAX_THREAD = 1000
_ALL = 2**31
# So that one long list leaves connections to other calls.
_AT_ONCE = 16


@dataclass(frozen=True, slots=True)
class Described:
    """A session, and what is known of it."""

    session: Session
    stats: SessionStats
    life: Life
    up: Life | None
    """What it was forked from."""
    own_turns: int
    """Those that it does not share with that."""
    own_bytes: int
    """What these take."""
    summary: Summary | None = None
    extracted: int = 0
    """The last turn that was looked at for memories, or that it shares."""

    @property
    def token_count(self) -> int:
        """Tokens of all its turns."""
        return self.session.token_count


class SessionViews:
    """Describes sessions, one or many; that is no use of them."""

    def __init__(
        self, link: RedisLink, lists: SubjectLists, shared: SharedTurns, clock: Clock
    ) -> None:
        self._link = link
        self._lists = lists
        self._shared = shared
        self._clock = clock
        self._describe = load_script("describe", writes=False)

    async def described(self, tenant: str, session_id: str) -> Described:
        """Describe a session; NotFoundError if there is none."""
        keys = SessionKeys(tenant, session_id)
        *fields, ttl_ms = await self._link.run(self._describe, [keys.session], repeatable=True)
        if fields[0] is None:
            raise not_found(session_id)
        expire_time = None if ttl_ms < 0 else self._clock() + timedelta(milliseconds=ttl_ms)
        return _described(
            session_id, [None if field is None else field.decode() for field in fields], expire_time
        )

    async def page(self, tenant: str, subject: str, cursor: str, limit: int) -> SessionPage:
        """A page of a subject's list, without those that have ended."""
        keys = SubjectKeys(tenant, subject)
        page = await self._lists.page(keys, cursor, limit)
        found = await self.living(tenant, (listed.life for listed in page.listed))
        await self.prune(keys, (one for one in page.listed if one.life not in found))
        sessions = (found[one.life].session for one in page.listed if one.life in found)
        return SessionPage(tuple(sessions), page.cursor, page.removals)

    async def prune(self, keys: SubjectKeys, ghosts: Iterable[Listed]) -> None:
        """Take sessions off the list that are not there, and not about to be."""
        latest = ms_of(self._clock()) - GHOST_MS
        for ghost in ghosts:
            if ghost.used_ms < latest:
                await self._lists.unlist(keys, ghost.life, used_ms=ghost.used_ms)

    async def living(
        self, tenant: str, lives: Iterable[Life], *, at_once: int = _AT_ONCE
    ) -> dict[Life, Described]:
        """Those that are there, in this order."""
        turns = asyncio.Semaphore(at_once)

        async def look(life: Life) -> Described | None:
            async with turns:
                try:
                    found = await self.described(tenant, life.session_id)
                except NotFoundError:
                    return None
            return found if found.life == life else None

        async with asyncio.TaskGroup() as looks:
            tasks = {life: looks.create_task(look(life)) for life in lives}
        return {life: found for life, task in tasks.items() if (found := task.result())}

    async def forks(self, tenant: str, session_id: str) -> tuple[Session, ...]:
        """The forks of a session that are there, by the turn where they were made."""
        life = (await self.described(tenant, session_id)).life
        found = await self.living(tenant, await self._holders(tenant, life))
        return tuple(fork.session for fork in found.values())

    async def thread(self, tenant: str, session_id: str) -> tuple[Session, ...]:
        """All sessions of the tree that one is in, each before its forks.

        At most `MAX_THREAD`, those nearest to the root.
        """
        described = await self.described(tenant, session_id)
        return await self._tree(tenant, await self._root(tenant, described), MAX_THREAD)

    async def related(self, tenant: str, session_id: str) -> tuple[Session, ...]:
        """All of them; of a session that is gone, those that share turns with it, and theirs."""
        try:
            root = await self._root(tenant, await self.described(tenant, session_id))
        except NotFoundError:
            birth = await self._shared.birth_held(tenant, session_id)
            if not birth:
                return ()
            root = Life(session_id, Birth(birth))
        return await self._tree(tenant, root, _ALL)

    async def _tree(self, tenant: str, root: Life, most: int) -> tuple[Session, ...]:
        found: list[Session] = []
        row = [root]
        while row and len(found) < most:
            there = await self.living(tenant, row)
            found += [one.session for one in there.values()]
            row = [fork for life in row for fork in await self._holders(tenant, life)]
        return tuple(found[:most])

    async def _root(self, tenant: str, session: Described) -> Life:
        life, up = session.life, session.up
        while up is not None:
            life = up
            # What a fork holds is known of those, too, that are gone.
            _, up = await self._shared.holders(tenant, life)
        return life

    async def _holders(self, tenant: str, life: Life) -> list[Life]:
        holders, _ = await self._shared.holders(tenant, life)
        return sorted(holders, key=lambda fork: (holders[fork], fork.birth))


def _described(
    session_id: str, fields: list[str | None], expire_time: datetime | None
) -> Described:
    subject, title, time, head, tokens, birth, listed, base, up, first, last, *more = fields
    answers, size, summary, extracted = more
    create_time = datetime.fromisoformat(time or "")
    above = life_of(up) if up else None
    session = Session(
        id=session_id,
        subject=subject or "",
        title=title or "",
        head=int(head or 0),
        turn_count=int(head or 0),
        token_count=int(tokens or 0),
        create_time=create_time,
        expire_time=expire_time,
        use_time=time_of_ms(int(listed)) if listed else create_time,
        parent=Parent(above.session_id, int(base or 0)) if above else None,
    )
    return Described(
        session,
        _stats(session, first, last, answers),
        Life(session_id, Birth(birth or "")),
        above,
        own_turns=session.head - int(base or 0),
        own_bytes=int(size or 0),
        summary=summary_of(summary or ""),
        extracted=int(extracted or base or 0),
    )


def _stats(
    session: Session, first: str | None, last: str | None, answers: str | None
) -> SessionStats:
    sums = json.loads(answers) if answers else {}
    latency = _average(*sums.get("latency", (0, 0)))
    return SessionStats(
        turns=session.turn_count,
        tokens=session.token_count,
        first_time=datetime.fromisoformat(first) if first else None,
        last_time=datetime.fromisoformat(last) if last else None,
        answers_by_model=sums.get("models", {}),
        average_latency_s=None if latency is None else latency / 1e6,
        average_confidence=_average(*sums.get("confidence", (0, 0))),
    )


def _average(count: int, total: float) -> float | None:
    return total / count if count else None
