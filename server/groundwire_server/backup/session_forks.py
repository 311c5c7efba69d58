"""Whether forks were copied with all that they share."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from redis.asyncio import Redis

from groundwire_server.memory.births import Life
from groundwire_server.memory.keys import SessionKeys, held_of
from groundwire_server.memory.shared_turns import life_of, lineage_of

_SESSIONS = "gw:*:session"
_PAGE = 500


async def incomplete_forks(target: Redis) -> set[bytes]:
    """The hash tags of forks of which turns are missing, or that do not hold what they share."""
    return {
        _tag(key)
        async for key in target.scan_iter(match=_SESSIONS, count=_PAGE)
        if not await _is_complete(target, key)
    }


async def needed_by(target: Redis, tags: Iterable[bytes]) -> set[bytes]:
    """The hash tags of what these forks share."""
    found = set()
    for tag in tags:
        fields: Any = await target.hmget((tag + b":session").decode(), ["up", "lineage"])
        up, lineage = fields
        lives = [segment.life for segment in lineage_of(lineage or b"[]")]
        lives += [life_of(up)] if up else []
        found |= {_tag(_keys(tag, life).session.encode()) for life in lives}
    return found


def turns_of(key: bytes) -> bytes:
    """The key of the turns that go with a session, or with what is held of one."""
    head, _, rest = key.partition(b"}:")
    _, _, birth = rest.partition(b":")
    aside = b":" + birth if rest.startswith(b"held:") else b""
    return head + b"}:turns" + aside


async def _is_complete(target: Redis, key: bytes) -> bool:
    fields: Any = await target.hmget(key.decode(), ["birth", "up", "lineage"])
    birth, up, lineage = fields
    if not up:
        return True
    tag, parent = _tag(key), life_of(up)
    own = _keys(tag, None).session_id
    held = await _held(target, tag, parent)
    if held is None or not await target.hexists(held, f"h:{birth.decode()}:{own}"):
        return False
    for segment in lineage_of(lineage):
        held = await _held(target, tag, segment.life)
        last = f"{segment.last}-0"
        if held is None or not await target.xrange(turns_of(held.encode()).decode(), last, last):
            return False
    return True


async def _held(target: Redis, tag: bytes, life: Life) -> str | None:
    """The key under which it says who holds a session."""
    keys = _keys(tag, life)
    for key in (keys.held, keys.aside(life.birth)[1]):
        if await target.hget(key, "birth") == life.birth.encode():
            return key
    return None


def _keys(tag: bytes, life: Life | None) -> SessionKeys:
    """Of a session of the same tenant; of the one with this tag for None."""
    found = held_of(tag.decode() + ":held")
    if found is None:
        raise ValueError(f"{tag!r} is no tag of a session")
    own, _ = found
    return own if life is None else SessionKeys(own.tenant, life.session_id)


def _tag(key: bytes) -> bytes:
    return key[: key.index(b"}") + 1]
