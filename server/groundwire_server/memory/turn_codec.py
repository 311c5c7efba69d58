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

Entry = tuple[bytes, Sequence[bytes]]
"""An entry of a stream: its id, then names and values in turn."""


def fields_of(turn: NewTurn, token_count: int) -> tuple[str, str, str, str, int]:
    """Role, content, metadata, source ids and tokens, as ``append.lua`` takes them."""
    return (
        turn.role.value,
        turn.content,
        _json(dict(turn.metadata)) if turn.metadata else "",
        _json(turn.source_ids) if turn.source_ids else "",
        token_count,
    )


def turn_of(entry: Entry) -> Turn:
    """Read a turn."""
    entry_id, flat = entry
    fields = dict(zip(flat[::2], flat[1::2], strict=True))
    metadata, sources = fields[b"metadata"], fields[b"sources"]
    return Turn(
        number=int(entry_id.partition(b"-")[0]),
        role=Role(fields[b"role"].decode()),
        content=fields[b"content"].decode(),
        create_time=datetime.fromisoformat(fields[b"time"].decode()),
        metadata=json.loads(metadata) if metadata else {},
        source_ids=tuple(json.loads(sources)) if sources else (),
        token_count=int(fields[b"tokens"]),
    )


def turns_of(entries: Sequence[Entry], *, first: int, due: bool) -> tuple[Turn, ...]:
    """Read consecutive turns from ``first`` on; with ``due``, there is at least one.

    Raises DataLossError if one is missing.
    """
    turns = tuple(map(turn_of, entries))
    expected = range(first, first + max(len(turns), int(due)))
    for number, turn in zip_longest(expected, turns):
        if turn is None or turn.number != number:
            raise DataLossError(
                f"turn {number} of the session is missing: restore the session store from a "
                "backup, and give it the policy noeviction",
                reason="TURN_MISSING",
            )
    return turns


def digest_of_turns(turns: Sequence[NewTurn], expected_head: int | None) -> str:
    """What makes two appends the same request."""
    return digest_of(
        expected_head,
        [[t.role.value, t.content, dict(t.metadata), list(t.source_ids)] for t in turns],
    )


def text_of_time(time: datetime) -> str:
    """ISO 8601 in UTC, to the microsecond."""
    return time.astimezone(UTC).isoformat()


def _json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
