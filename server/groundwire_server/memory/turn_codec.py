"""Turns as Redis keeps them, and back."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from itertools import zip_longest

from groundwire_index.errors import DataLossError

from groundwire_server.engines.engine import Role
from groundwire_server.memory.keys import digest_of
from groundwire_server.memory.session import NewTurn, Turn

Entry = tuple[int, bytes]
"""A turn's number and what is stored under it."""


def encoded(turn: NewTurn, time: datetime, token_count: int) -> str:
    """A turn as it is stored: one value, because a client reads many of them slowly."""
    parts = [
        text_of_time(time),
        turn.role.value,
        turn.content,
        dict(turn.metadata),
        turn.source_ids,
        token_count,
    ]
    return json.dumps(parts, ensure_ascii=False, separators=(",", ":"))


def decoded(entry: Entry) -> Turn:
    """Read a turn."""
    number, stored = entry
    time, role, content, metadata, source_ids, token_count = json.loads(stored.decode())
    return Turn(
        number=number,
        role=Role(role),
        content=content,
        create_time=datetime.fromisoformat(time),
        metadata=metadata,
        source_ids=tuple(source_ids),
        token_count=token_count,
    )


def turns_of(entries: Sequence[Entry], *, first: int, due: bool) -> tuple[Turn, ...]:
    """Read consecutive turns from ``first`` on; with ``due``, there is at least one.

    Raises DataLossError if one is missing.
    """
    numbers = [number for number, _ in entries]
    expected = range(first, first + max(len(entries), int(due)))
    for number, found in zip_longest(expected, numbers):
        if found != number:
            raise DataLossError(
                f"turn {number} of the session is missing: restore the session store from a "
                "backup, and give it the policy noeviction",
                reason="TURN_MISSING",
            )
    return tuple(map(decoded, entries))


def digest_of_turns(turns: Sequence[NewTurn], expected_head: int | None) -> str:
    """What makes two appends the same request."""
    return digest_of(
        expected_head,
        [[t.role.value, t.content, dict(t.metadata), list(t.source_ids)] for t in turns],
    )


def text_of_time(time: datetime) -> str:
    """ISO 8601 in UTC, to the microsecond."""
    return time.astimezone(UTC).isoformat()
