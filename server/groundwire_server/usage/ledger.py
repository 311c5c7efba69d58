"""Counts calls in memory, and hands the counts to the store every now and then."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import count, islice

from groundwire_server.identity import Identity
from groundwire_server.usage.call import CallUsage
from groundwire_server.usage.counts import Counts
from groundwire_server.usage.store import OTHERS, Batch, Row, TenantDay, UsageStore

# A batch is one step of the store, which does nothing else meanwhile: some milliseconds.
BATCH_ROWS = 100
# Days that are handed over at the same time.
_AT_ONCE = 8
# So many may each take as long as a store that hangs: all at the same time.
_MOST_FAILURES = _AT_ONCE

Clock = Callable[[], datetime]


@dataclass(slots=True)
class _Account:
    """What of one day the store does not have yet."""

    rows: dict[Row, Counts] = field(default_factory=dict)
    subjects: set[str] = field(default_factory=set)
    due: deque[Batch] = field(default_factory=deque)
    """On their way, the first perhaps stored already: they are not changed any more."""
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    tries: int = 0
    """Since the store has last taken all of it."""


class Ledger:
    """Counts are held until the store has them, within bounds; then calls are dropped."""

    def __init__(
        self,
        store: UsageStore,
        *,
        subjects: int,
        most_rows: int = 20_000,
        on_dropped: Callable[[], None] = lambda: None,
        clock: Clock = lambda: datetime.now(UTC),
    ) -> None:
        """Keep so many subjects of a day apart, and so many rows at most for the store.

        ``on_dropped`` is told of each call that is not counted.
        """
        self._store = store
        self._subjects = subjects
        self._most_rows = most_rows
        self._on_dropped = on_dropped
        self._clock = clock
        self._accounts: dict[TenantDay, _Account] = {}
        self._numbers = count(1)
        self._held = 0

    @property
    def held(self) -> int:
        """Rows that the store does not have yet."""
        return self._held

    def record(
        self, caller: Identity, call: CallUsage, latency_s: float | None, *, failed: bool
    ) -> None:
        """Count a call that has ended, on the day that it is. Waits for nothing."""
        of = TenantDay(caller.tenant, self._clock().date())
        account = self._accounts.get(of) or _Account()
        row = Row(self._subject(account, caller.subject), call.model)
        counts = account.rows.get(row)
        if counts is None:
            if self._held >= self._most_rows:
                self._on_dropped()
                return
            self._accounts[of] = account
            counts = account.rows[row] = Counts()
            account.subjects.add(row.subject)
            self._held += 1
        counts.add(call, latency_s, failed=failed)

    async def flush(self, tenant: str | None = None) -> None:
        """Hand over everything, or what there is of one tenant.

        Raises the first error of the store; what it does not have is held until the next time.
        A day that it did not take comes after those that it may take, because the store may be
        away for some tenants alone; where it takes none of several, the rest is left for later.
        """
        days = [of for of in self._accounts if tenant in (None, of.tenant)]
        due = iter(sorted(days, key=lambda of: self._accounts[of].tries))
        failures: list[Exception] = []

        async def hand_over() -> None:
            for of in due:
                if len(failures) >= _MOST_FAILURES:
                    return
                try:
                    await self._hand_over(of)
                except Exception as error:  # noqa: BLE001 - it is raised when the others were tried
                    failures.append(error)

        await asyncio.gather(*(hand_over() for _ in range(_AT_ONCE)))
        if failures:
            raise failures[0]

    async def _hand_over(self, of: TenantDay) -> None:
        account = self._accounts.get(of)
        if account is None:
            return
        async with account.lock:
            account.tries += 1
            await self._send(account)
            account.due.extend(self._batches(of, account))
            await self._send(account)
            account.tries = 0
            if not account.rows and self._accounts.get(of) is account:
                del self._accounts[of]

    async def _send(self, account: _Account) -> None:
        while account.due:
            await self._store.add(account.due[0])
            self._held -= len(account.due.popleft().rows)

    def _batches(self, of: TenantDay, account: _Account) -> Iterator[Batch]:
        rows = iter(account.rows.items())
        account.rows, account.subjects = {}, set()
        while part := dict(islice(rows, BATCH_ROWS)):
            yield Batch(of, next(self._numbers), part)

    def _subject(self, account: _Account, subject: str) -> str:
        if subject in account.subjects or len(account.subjects) < self._subjects:
            return subject
        return OTHERS
