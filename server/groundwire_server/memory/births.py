"""What tells the sessions apart that had one id, one after another."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import NewType

Birth = NewType("Birth", str)
"""48 bits of milliseconds and 80 of chance, in hex."""


@dataclass(frozen=True, slots=True)
class Life:
    """One of the sessions that had an id, one after another."""

    session_id: str
    birth: Birth

    @property
    def name(self) -> str:
        """As it stands on lists of sessions."""
        return f"{self.birth}:{self.session_id}"


def life_named(name: str) -> Life:
    """The life of this name."""
    birth, _, session_id = name.partition(":")
    return Life(session_id, Birth(birth))


def new_birth(time: datetime) -> Birth:
    """A birth at this time."""
    return Birth(f"{ms_of(time):012x}{uuid.uuid4().hex[:20]}")


def born_ms(birth: str) -> int:
    """When that was, in milliseconds since 1970; 0 if it does not say."""
    try:
        return int(birth[:12], 16)
    except ValueError:
        return 0


def ms_of(time: datetime) -> int:
    """Milliseconds since 1970."""
    return int(time.timestamp() * 1000)


def time_of_ms(ms: int) -> datetime:
    """The time so many milliseconds after 1970."""
    return datetime.fromtimestamp(ms / 1000, UTC)
