"""Which memories are meant, as filters of the index."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime

from groundwire_index.filter_checks import MAX_ALTERNATIVES
from groundwire_index.filters import RECORD_ID, All, Any, Condition, Filter, Operator

from groundwire_server.memory.memories.memory import (
    Matching,
    MemoryKind,
    OfIds,
    OfSession,
    OfSubject,
    Target,
)
from groundwire_server.memory.memories.stored import (
    CREATED,
    EXPIRES,
    FROM,
    KIND,
    LINEAGE,
    NOW,
    SESSIONS,
    SUBJECT,
    UNTIL,
    micros,
)


def current(subject: str, kinds: Sequence[MemoryKind]) -> Filter:
    """What a subject has now; it may have expired, or hold from later on."""
    return All((Condition(NOW, Operator.EQ, subject), *_of_kinds(kinds)))


def versions(subject: str, kinds: Sequence[MemoryKind]) -> Filter:
    """The same with all that was superseded."""
    return All((Condition(SUBJECT, Operator.EQ, subject), *_of_kinds(kinds)))


def held(among: Filter, at: datetime, now: datetime) -> Filter:
    """As `Memory.is_held`."""
    return All(
        (
            among,
            Condition(FROM, Operator.LTE, micros(at)),
            Condition(UNTIL, Operator.GT, micros(at)),
            Condition(EXPIRES, Operator.GT, micros(max(at, now))),
        )
    )


def expired(now: datetime) -> Filter:
    """What nobody is to see any more."""
    return Condition(EXPIRES, Operator.LTE, micros(now))


def targeted(target: Target) -> Filter:
    """What a target names; of what was superseded, only where that is named itself."""
    match target:
        case OfIds(ids):
            return Condition(RECORD_ID, Operator.IN, ids)
        case OfSubject(subject):
            return Condition(SUBJECT, Operator.EQ, subject)
        case OfSession(session_id):
            return Condition(SESSIONS, Operator.EQ, session_id)
        case Matching(subject, kinds, created_from, created_before):
            chosen = (
                Condition(NOW, Operator.EQ, subject)
                if subject
                else Condition(NOW, Operator.EXISTS, True)
            )
            return All((chosen, *_of_kinds(kinds), *_created(created_from, created_before)))


def of_lineages(lineages: Iterable[str]) -> Filter:
    """Every version of these memories."""
    ids = sorted(lineages)
    starts = range(0, len(ids), MAX_ALTERNATIVES)
    parts = (tuple(ids[start : start + MAX_ALTERNATIVES]) for start in starts)
    return Any(tuple(Condition(LINEAGE, Operator.IN, part) for part in parts))


def _of_kinds(kinds: Sequence[MemoryKind]) -> Iterable[Filter]:
    if kinds:
        yield Condition(KIND, Operator.IN, tuple(sorted({kind.value for kind in kinds})))


def _created(since: datetime | None, before: datetime | None) -> Iterable[Filter]:
    if since is not None:
        yield Condition(CREATED, Operator.GTE, micros(since))
    if before is not None:
        yield Condition(CREATED, Operator.LT, micros(before))
