"""The list of a subject's sessions, in a slot of its own beside the sessions."""

from __future__ import annotations

import re
import uuid
from collections.abc import Sequence
from dataclasses import dataclass

from groundwire_server.memory.births import Life, life_named, time_of_ms
from groundwire_server.memory.keys import SubjectKeys
from groundwire_server.memory.redis_link import RedisLink, load_script
from groundwire_server.memory.session import Removals
from groundwire_server.memory.session_errors import bad_cursor

_COPY_TTL_MS = 600_000
_CURSOR = re.compile(r"([0-9a-f]{32})\.(\d{1,12})")


@dataclass(frozen=True, slots=True)
class Listed:
    """A session as its list has it: another life of an id is another entry."""

    life: Life
    used_ms: int


@dataclass(frozen=True, slots=True)
class ListPage:
    """A page of a list, latest use first."""

    listed: tuple[Listed, ...]
    cursor: str
    removals: Removals


class SubjectLists:
    """Lists of sessions by last use.

    A session is on its list before it is there, and until after it is gone, so that none that is
    there is missing: whoever reads a list looks whether each is there, and takes those off that
    are not. A session that is used is put on its list anew, should it not be there.
    """

    def __init__(self, link: RedisLink) -> None:
        self._link = link
        self._enlist = load_script("enlist", writes=True)
        self._unlist = load_script("unlist", writes=True)
        self._list = load_script("list", writes=True)

    async def enlist(self, keys: SubjectKeys, listed: Listed) -> None:
        """Put a session on the list, or note its use."""
        arguments: list[str | int] = [listed.used_ms, listed.life.name]
        await self._link.run(self._enlist, [keys.listed], arguments, repeatable=True)

    async def unlist(self, keys: SubjectKeys, life: Life, *, used_ms: int | None = None) -> None:
        """Take a session off; with ``used_ms``, only if it was not used since."""
        seen = "" if used_ms is None else str(used_ms)
        await self._link.run(self._unlist, [keys.listed], [life.name, seen, ""], repeatable=True)

    async def retire(self, keys: SubjectKeys, life: Life, now_ms: int) -> None:
        """Take a session off, and count it as removed by retention."""
        names = [keys.listed, keys.removals]
        await self._link.run(self._unlist, names, [life.name, "", now_ms], repeatable=True)

    async def page(self, keys: SubjectKeys, cursor: str, limit: int) -> ListPage:
        """A page; InvalidArgumentError for a cursor that leads nowhere."""
        name, offset = _cursor_parts(cursor) if cursor else (uuid.uuid4().hex, None)
        answer = await self._link.run(
            self._list,
            [keys.listed, keys.copy(name), keys.removals],
            ["" if offset is None else offset, limit, _COPY_TTL_MS],
            repeatable=True,
        )
        if answer[0] == b"expired":
            raise bad_cursor()
        _, entries, more, removed, removed_ms = answer
        listed = listed_of(entries)
        following = f"{name}.{(offset or 0) + limit}" if more else ""
        time = time_of_ms(removed_ms) if removed else None
        return ListPage(listed, following, Removals(removed, time))


def listed_of(entries: Sequence[bytes]) -> tuple[Listed, ...]:
    """Read entries and their times of use, in turn."""
    return tuple(
        Listed(life_named(entry.decode()), int(float(used)))
        for entry, used in zip(entries[::2], entries[1::2], strict=True)
    )


def _cursor_parts(cursor: str) -> tuple[str, int]:
    found = _CURSOR.fullmatch(cursor)
    if found is None:
        raise bad_cursor()
    return found[1], int(found[2])
