"""Turns as Redis keeps them, and back."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import zip_longest
from typing import Any

from groundwire_index.errors import DataLossError

from groundwire_server.engines.engine import Role
from groundwire_server.memory.session import Answer, NewTurn, Turn

Entry = tuple[int, bytes]
"""A turn's number and what is stored under it."""


@dataclass(frozen=True, slots=True)
class StoredTurns:
    """Turns as they are stored: each one value, because a client reads many of them slowly."""

    values: tuple[bytes, ...]
    digest: str
    """SHA-256 of what was said, in hex: equal for a retry, whenever it comes."""
    answers: tuple[str, ...]
    """What is known of each as an answer, as JSON; empty for a turn that is none."""


def encoded(turns: Sequence[NewTurn], token_counts: Sequence[int], time: datetime) -> StoredTurns:
    """Turns as they are stored; the counts are theirs, in order."""
    spoken = [_spoken(turn) for turn in turns]
    digest = hashlib.sha256(str(len(spoken)).encode())
    for each in spoken:
        digest.update(hashlib.sha256(each).digest())
    values = [
        b'["%b",%d,%b]' % (text_of_time(time).encode(), count, each)
        for count, each in zip(token_counts, spoken, strict=True)
    ]
    return StoredTurns(tuple(values), digest.hexdigest(), tuple(map(_answer_text, turns)))


def _spoken(turn: NewTurn) -> bytes:
    parts: list[Any] = [turn.role.value, turn.content, dict(turn.metadata), turn.source_ids]
    if turn.answer is not None:
        parts.append(_answer_parts(turn.answer))
    text = json.dumps(parts, ensure_ascii=False, sort_keys=True, separators=(",", ":"))
    return text.encode()


def _answer_text(turn: NewTurn) -> str:
    return "" if turn.answer is None else json.dumps(_answer_parts(turn.answer))


def _answer_parts(answer: Answer) -> dict[str, str | int | float]:
    parts: dict[str, str | int | float] = {
        "model": answer.model,
        "latency": round(answer.latency_s * 1e6),
    }
    if answer.confidence is not None:
        parts["confidence"] = answer.confidence
    return parts


def _answer_of(parts: dict[str, Any]) -> Answer:
    return Answer(parts["model"], parts["latency"] / 1e6, parts.get("confidence"))


def decoded(entry: Entry) -> Turn:
    """Read a turn."""
    number, stored = entry
    time, token_count, spoken = json.loads(stored.decode())
    role, content, metadata, source_ids, *answer = spoken
    return Turn(
        number=number,
        role=Role(role),
        content=content,
        create_time=datetime.fromisoformat(time),
        metadata=metadata,
        source_ids=tuple(source_ids),
        token_count=token_count,
        answer=_answer_of(answer[0]) if answer else None,
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


def text_of_time(time: datetime) -> str:
    """ISO 8601 in UTC, to the microsecond."""
    return time.astimezone(UTC).isoformat()
