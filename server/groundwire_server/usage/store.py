"""What keeps usage, and what it is given."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Protocol

from groundwire_server.usage.counts import Counts

OTHERS = ""
"""In the place of the subjects that are too many to be kept apart; nobody is called so."""


@dataclass(frozen=True, slots=True)
class TenantDay:
    """One day (UTC) of one tenant."""

    tenant: str
    day: date


@dataclass(frozen=True, slots=True)
class Row:
    """Whose counts, and of which model; both may be empty."""

    subject: str
    model: str


@dataclass(frozen=True, slots=True)
class Batch:
    """Counts to be added to those of a day, all of them or none."""

    of: TenantDay
    number: int
    """Above those of all earlier batches of the same day from this server."""
    rows: Mapping[Row, Counts]


class UsageStore(Protocol):
    """Keeps the sums of all servers, each day's for as long as it was told.

    Raises UnavailableError or ResourceExhaustedError where it cannot.
    """

    async def add(self, batch: Batch) -> None:
        """Add a batch; one whose number is not above the last one's was added before.

        After an error it may have been added or not, and is to be given again as it is.
        """
        ...

    async def rows(self, of: TenantDay) -> Sequence[Row]:
        """What there is of a day, in any order."""
        ...

    async def counts(self, of: TenantDay, rows: Sequence[Row]) -> Sequence[Counts]:
        """The counts of rows, in order."""
        ...
