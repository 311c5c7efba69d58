"""How much of its time a call has left.

gRPC cancels the task of a call when its deadline passes, so work that is awaited stops by
itself; what runs elsewhere, such as a wait in a thread, is given this as its limit.
"""

from __future__ import annotations

from typing import Protocol


class Deadlined(Protocol):
    """The context of a call, as far as it is needed here."""

    def time_remaining(self) -> float | None:
        """Seconds, or None without a deadline."""
        ...


def seconds_left(context: Deadlined, *, at_most: float) -> float:
    """Seconds until the call's deadline; ``at_most`` if it is later, or if there is none."""
    remaining = context.time_remaining()
    return at_most if remaining is None else min(max(remaining, 0.0), at_most)


def is_past_deadline(context: Deadlined) -> bool:
    """Whether the call's deadline has passed."""
    remaining = context.time_remaining()
    return remaining is not None and remaining <= 0
