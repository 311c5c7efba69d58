"""How much there is of a tenant's sessions, and which are past what may be kept of them."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from groundwire_server.memory.births import Life
from groundwire_server.memory.keys import SubjectKeys
from groundwire_server.memory.subject_list import Listed


@dataclass(frozen=True, slots=True)
class Size:
    """Of turns: how many they are, and what they take."""

    turns: int = 0
    bytes: int = 0

    def __add__(self, other: Size) -> Size:
        return Size(self.turns + other.turns, self.bytes + other.bytes)


@dataclass(frozen=True, slots=True)
class Sized:
    """A session that is there, and the turns that it does not share."""

    keys: SubjectKeys
    listed: Listed
    own: Size


@dataclass(slots=True)
class TenantSizes:
    """What one pass has met of a tenant."""

    # By session, because Redis may name a key twice.
    sessions: dict[Life, Sized] = field(default_factory=dict)
    forks: dict[Life, tuple[Life, ...]] = field(default_factory=dict)
    """Of each session that has any, also of one that is gone, those that hold turns of it."""
    left: dict[Life, Size] = field(default_factory=dict)
    """What forks hold of sessions that are gone."""

    def past(self, turns: int | None, size: int | None) -> Iterator[Sized]:
        """The sessions used least recently, past those that fit.

        Turns count once: with the session where they were said, and when that is gone, with the
        one used last of those that hold them, which are the last to go.
        """
        turns_left = math.inf if turns is None else turns
        bytes_left = math.inf if size is None else size
        extra = self._held_by()
        for one in sorted(self.sessions.values(), key=_last_used):
            total = one.own + extra.get(one.listed.life, Size())
            turns_left -= total.turns
            bytes_left -= total.bytes
            if turns_left < 0 or bytes_left < 0:
                yield one

    def _held_by(self) -> dict[Life, Size]:
        found: dict[Life, Size] = {}
        for life, size in self.left.items():
            holder = min(self._there_below(life), key=_last_used, default=None)
            if holder is not None:
                held = found.get(holder.listed.life, Size())
                found[holder.listed.life] = held + size
        return found

    def _there_below(self, life: Life) -> Iterable[Sized]:
        """The sessions that are there of those forked from one, and from these."""
        met, due = {life}, [life]
        while due:
            for fork in self.forks.get(due.pop(), ()):
                if fork not in met:
                    met.add(fork)
                    due.append(fork)
                    if fork in self.sessions:
                        yield self.sessions[fork]


def _last_used(session: Sized) -> int:
    return -session.listed.used_ms
