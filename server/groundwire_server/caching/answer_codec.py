"""Answers as they are kept: their events in JSON, with text that came piece by piece in one."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import replace

from pydantic import TypeAdapter, ValidationError

from groundwire_server.grounding.events import (
    AnswerEvent,
    CitationAdded,
    Finished,
    ReasoningDelta,
    Sources,
    Started,
    TextDelta,
    Timings,
    ToolCallDelta,
)

# What is longer is not worth its room.
MAX_BYTES = 2**20
# Changes with what is written here, and with the events.
FORMAT = 1

_KINDS: dict[str, TypeAdapter[AnswerEvent]] = {
    kind.__name__: TypeAdapter(kind)
    for kind in (
        Started,
        Sources,
        TextDelta,
        ReasoningDelta,
        ToolCallDelta,
        CitationAdded,
        Finished,
    )
}


def encoded(events: Iterable[AnswerEvent]) -> bytes | None:
    """An answer, without whose request it was and how long it took; None if it is too long."""
    items = [
        [type(event).__name__, _KINDS[type(event).__name__].dump_python(event, mode="json")]
        for event in map(_anonymous, joined(events))
    ]
    data = json.dumps(items, ensure_ascii=False, separators=(",", ":")).encode()
    return data if len(data) <= MAX_BYTES else None


def decoded(data: bytes | None) -> list[AnswerEvent]:
    """What `encoded` made; nothing for anything else, which someone else has put there."""
    if data is None:
        return []
    try:
        return [_KINDS[kind].validate_python(fields) for kind, fields in json.loads(data)]
    except (ValidationError, ValueError, TypeError, KeyError):
        return []


def joined(events: Iterable[AnswerEvent]) -> list[AnswerEvent]:
    """The same with pieces of one choice that follow one another as one."""
    made: list[AnswerEvent] = []
    for event in events:
        both = _both(made[-1], event) if made else None
        if both is None:
            made.append(event)
        else:
            made[-1] = both
    return made


def _both(first: AnswerEvent, second: AnswerEvent) -> AnswerEvent | None:
    match first, second:
        case TextDelta(), TextDelta() if first.choice == second.choice:
            tokens = first.token_count + second.token_count
            logprobs = first.logprobs + second.logprobs
            return TextDelta(first.text + second.text, tokens, first.choice, logprobs)
        case ReasoningDelta(), ReasoningDelta() if first.choice == second.choice:
            return replace(first, text=first.text + second.text)
        case ToolCallDelta(), ToolCallDelta() if (first.choice, first.index) == (
            second.choice,
            second.index,
        ):
            return replace(first, arguments=first.arguments + second.arguments)
    return None


def _anonymous(event: AnswerEvent) -> AnswerEvent:
    match event:
        case Started():
            return replace(event, request_id="")
        case Finished():
            return replace(event, timings=Timings())
    return event
