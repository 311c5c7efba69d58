"""What was used, page by page."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Protocol

from groundwire_index.errors import FailedPreconditionError

from groundwire_server.usage.counts import Counts
from groundwire_server.usage.ledger import Ledger
from groundwire_server.usage.store import OTHERS, Row, TenantDay, UsageStore

_ROWS_AT_ONCE = 200


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked about; what is None or empty is not asked for."""

    subject: str = ""
    model: str = ""
    first: date | None = None
    last: date | None = None


@dataclass(frozen=True, slots=True, order=True)
class Position:
    """Where a row comes: by date, the others after the subjects with names, then by model."""

    day: date
    others: bool
    subject: str
    model: str


@dataclass(frozen=True, slots=True)
class Used:
    """The counts of one subject and model on one day."""

    position: Position
    counts: Counts


@dataclass(frozen=True, slots=True)
class UsagePage:
    """Rows in order, and whether there are more after them."""

    rows: Sequence[Used]
    more: bool


class UsageReports(Protocol):
    """Whoever can be asked."""

    async def page(
        self, tenant: str, question: Question, *, after: Position | None, limit: int
    ) -> UsagePage:
        """At most ``limit`` rows after a position, or the first ones.

        Raises FailedPreconditionError where no usage is kept, and what the store raises.
        """
        ...


class NoReports:
    """In a server that keeps no usage."""

    async def page(self, *_: object, **__: object) -> UsagePage:
        """Say so."""
        raise FailedPreconditionError(
            "this server keeps no usage: its setting usage_days is 0", reason="USAGE_NOT_KEPT"
        )


class Reports:
    """Reports from the store, after what this server has counted is in it."""

    def __init__(
        self,
        ledger: Ledger,
        store: UsageStore,
        *,
        days: int,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        """``days`` before today are kept."""
        self._ledger = ledger
        self._store = store
        self._days = days
        self._clock = clock

    async def page(
        self, tenant: str, question: Question, *, after: Position | None, limit: int
    ) -> UsagePage:
        """At most ``limit`` rows after a position, or the first ones."""
        await self._ledger.flush(tenant)
        today = self._clock().date()
        day = max(today - timedelta(days=self._days), question.first or date.min)
        if after is not None:
            day = max(day, after.day)
        found: list[Used] = []
        while day <= min(today, question.last or date.max) and len(found) <= limit:
            found += await self._of_day(TenantDay(tenant, day), question, after, limit + 1)
            day += timedelta(days=1)
        return UsagePage(found[:limit], more=len(found) > limit)

    async def _of_day(
        self, of: TenantDay, question: Question, after: Position | None, limit: int
    ) -> Sequence[Used]:
        asked = (row for row in await self._store.rows(of) if _is_asked(row, question))
        positions = sorted(_position(of.day, row) for row in asked)
        wanted = [one for one in positions if after is None or one > after][:limit]
        found: list[Used] = []
        for at in range(0, len(wanted), _ROWS_AT_ONCE):
            part = wanted[at : at + _ROWS_AT_ONCE]
            counts = await self._store.counts(of, [Row(one.subject, one.model) for one in part])
            found += map(Used, part, counts)
        return found


def _is_asked(row: Row, question: Question) -> bool:
    return question.subject in ("", row.subject) and question.model in ("", row.model)


def _position(day: date, row: Row) -> Position:
    return Position(day, row.subject == OTHERS, row.subject, row.model)
