"""One thing that was looked at."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class Finding:
    """What was found, and what it means."""

    name: str
    state: Literal["ok", "note", "problem"]
    """"note" is worth knowing; a "problem" keeps the server from working."""
    value: str
    meaning: str


Probe = Callable[[], Finding]
