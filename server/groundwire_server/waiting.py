"""What a model has not come to yet."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Waiting:
    """A queue's length at one moment."""

    requests: int = 0
    tokens: int = 0
