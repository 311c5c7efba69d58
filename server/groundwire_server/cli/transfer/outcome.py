"""What came of one source, for the report."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from groundwire_server.cli.transfer.source import Refused
from groundwire_server.cli.transfer.tally import Tally

Status = Literal["copied", "empty", "incomplete", "failed"]


@dataclass(frozen=True, slots=True)
class Verified:
    """What was found when the collection was looked at again, after the last write."""

    records: int
    """In the collection."""
    compared: int
    """Compared in full."""
    problems: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of one source. ``copied`` is the only status in which nothing is missing."""

    source: str
    collection: str
    status: Status
    read: int = 0
    added: int = 0
    replaced: int = 0
    unchanged: int = 0
    repeated: int = 0
    refused: tuple[Refused, ...] = ()
    verified: Verified | None = None
    notes: tuple[str, ...] = ()
    error: str = ""
    seconds: float = 0.0

    @property
    def went_well(self) -> bool:
        """Everything that the source has is in the collection."""
        return self.status in ("copied", "empty")


def counted(
    source: str, collection: str, tally: Tally, verified: Verified, notes: tuple[str, ...]
) -> Outcome:
    """The outcome of a copy that came to its end."""
    whole = not tally.refused and not verified.problems
    return Outcome(
        source,
        collection,
        "copied" if whole else "incomplete",
        tally.read,
        tally.added,
        tally.replaced,
        tally.unchanged,
        tally.repeated,
        tuple(tally.refused),
        verified,
        notes,
    )
