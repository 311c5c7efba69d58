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
from groundwire_server.engines.tools import ToolCall
from groundwire_server.memory.session import Answer, NewTurn, Turn

_ENCODER = json.JSONEncoder(ensure_ascii=False, sort_keys=True, separators=(",", ":"))
_ROLES = {role.value: role for role in Role}

Entry = tuple[int, bytes]
"""A turn's number and what is stored under it."""


@dataclass(frozen=True, slots=True)
class StoredTurns:
    """Turns as they are stored: each one value, because a client reads many of them slowly."""

    values: tuple[bytes, ...]
    spoken: tuple[bytes, ...]
    """What was said in each."""
    answers: tuple[str, ...]
    """What is known of each as an answer, as JSON; empty for a turn that is none."""

    @property
    def digest(self) -> str:
        """SHA-256 of what was said, in hex: equal for a retry, whenever it comes."""
        digest = hashlib.sha256(str(len(self.spoken)).encode())
        for each in self.spoken:
            digest.update(hashlib.sha256(each).digest())
        return digest.hexdigest()


def encoded(turns: Sequence[NewTurn], token_counts: Sequence[int], time: datetime) -> StoredTurns:
    """Turns as they are stored; the counts are theirs, in order."""
    spoken = tuple(_spoken(turn) for turn in turns)
    at = text_of_time(time).encode()
    values = tuple(
        b'["%b",%d,%b]' % (at, count, each)
        for count, each in zip(token_counts, spoken, strict=True)
    )
    return StoredTurns(values, spoken, tuple(map(_answer_text, turns)))


def _spoken(turn: NewTurn) -> bytes:
    parts: list[Any] = [turn.role.value, turn.content, dict(turn.metadata), turn.source_ids]
    if turn.answer is not None or turn.tool_calls or turn.name:
        parts.append(None if turn.answer is None else _answer_parts(turn.answer))
    if turn.tool_calls or turn.name:
        calls = [(call.id, call.name, call.arguments) for call in turn.tool_calls]
        parts += [calls, turn.name]
    return _ENCODER.encode(parts).encode()


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


def _turn(number: int, stored: Any) -> Turn:
    time, token_count, (role, content, metadata, source_ids, *more) = stored
    answer = more[0] if more else None
    calls, name = more[1:] if len(more) > 1 else ((), "")
    return Turn(
        number=number,
        role=_ROLES[role],
        content=content,
        create_time=datetime.fromisoformat(time),
        metadata=metadata,
        source_ids=tuple(source_ids),
        token_count=token_count,
        answer=_answer_of(answer) if answer else None,
        tool_calls=tuple(ToolCall(*call) for call in calls),
        name=name,
    )


def turns_of(entries: Sequence[Entry], *, first: int, due: bool) -> tuple[Turn, ...]:
    """Read consecutive turns from ``first`` on; with ``due``, there is at least one.

    Raises DataLossError if one is missing.
    """
    expected = range(first, first + max(len(entries), int(due)))
    for number, found in zip_longest(expected, entries):
        if found is None or found[0] != number:
            raise DataLossError(
                f"turn {number} of the session is missing: restore the session store from a "
                "backup, and give it the policy noeviction",
                reason="TURN_MISSING",
            )
    # In one go: a call of the parser costs more than what it parses of a short turn.
    stored = json.loads((b"[%b]" % b",".join(stored for _, stored in entries)).decode())
    return tuple(map(_turn, expected, stored))


def text_of_time(time: datetime) -> str:
    """ISO 8601 in UTC, to the microsecond."""
    return time.astimezone(UTC).isoformat()
