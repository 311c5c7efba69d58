"""Sessions that something is to be done for in the background, tenants in turn."""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

MOST = 10_000


@dataclass(frozen=True, slots=True)
class Named:
    """A session of a tenant."""

    tenant: str
    session_id: str


class Due:
    """Whoever finds that something may have to be done notes it, and one worker takes it.

    It is in memory alone, and has room for `MOST` sessions: what is lost here is found again by
    whoever goes over all sessions. To be used on one event loop.
    """

    def __init__(self, *, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        self._lines: OrderedDict[str, OrderedDict[str, None]] = OrderedDict()
        self._put_off: dict[Named, float] = {}
        self._count = 0
        self._changed = asyncio.Event()

    def __len__(self) -> int:
        return self._count + len(self._put_off)

    def note(self, tenant: str, session_id: str) -> None:
        """Have a session looked at in its turn. Costs next to nothing."""
        line = self._lines.get(tenant)
        known = line is not None and session_id in line
        if known or Named(tenant, session_id) in self._put_off or len(self) >= MOST:
            return
        self._join(tenant, session_id)

    def put_off(self, named: Named, seconds: float) -> None:
        """Have a session looked at later, and not before, whoever notes it meanwhile."""
        self._leave(named)
        if len(self) < MOST:
            self._put_off[named] = self._now() + seconds
            self._changed.set()

    async def next(self) -> Named:
        """Wait for a session; of the tenant who has waited longest since the last one of its."""
        while True:
            self._bring_back()
            if self._lines:
                return self._take()
            self._changed.clear()
            first = min(self._put_off.values(), default=None)
            try:
                async with asyncio.timeout(None if first is None else first - self._now()):
                    await self._changed.wait()
            except TimeoutError:
                continue

    def _join(self, tenant: str, session_id: str) -> None:
        self._lines.setdefault(tenant, OrderedDict())[session_id] = None
        self._count += 1
        self._changed.set()

    def _leave(self, named: Named) -> None:
        line = self._lines.get(named.tenant)
        if line is None or named.session_id not in line:
            return
        del line[named.session_id]
        self._count -= 1
        if not line:
            del self._lines[named.tenant]

    def _take(self) -> Named:
        tenant, line = self._lines.popitem(last=False)
        session_id, _ = line.popitem(last=False)
        if line:
            # The others have their turns first.
            self._lines[tenant] = line
        self._count -= 1
        return Named(tenant, session_id)

    def _bring_back(self) -> None:
        now = self._now()
        for named in [one for one, when in self._put_off.items() if when <= now]:
            del self._put_off[named]
            self._join(named.tenant, named.session_id)
