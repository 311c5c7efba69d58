"""What stores need now and then, whether or not anyone uses them."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable

from groundwire_index.errors import GroundwireError

from groundwire_server.background_task import BackgroundTask
from groundwire_server.blocking import run_blocking
from groundwire_server.memory.retention import Policies, SessionRetention, Swept
from groundwire_server.memory.session_views import Described
from groundwire_server.usage.ledger import Ledger

log = logging.getLogger(__name__)

PURGE_PERIOD_S = 300.0
"""By so much can deleted text outlive its retention of an hour; a look costs microseconds."""

SWEEP_FIRST_S = 60.0
SWEEP_PERIOD_S = 3600.0
"""By so much can sessions outlive their retention; a look at each costs a fraction of a
millisecond."""

USAGE_PERIOD_S = 1.0
"""What was counted for so long is lost with a process that is killed."""

Sleep = Callable[[float], Awaitable[None]]


class Upkeep(BackgroundTask):
    """Does something now and then, from `start` to `close`; what fails is done the next time.

    Work in a thread that has begun is finished by whoever closes the store.
    """

    def __init__(
        self,
        name: str,
        work: Callable[[], Awaitable[None]],
        *,
        period_s: float,
        first_s: float | None = None,
        sleep: Sleep = asyncio.sleep,
    ) -> None:
        """Wait ``first_s`` before the first time, if that is not ``period_s``."""
        super().__init__(name, self._now_and_then)
        self._work = work
        self._period_s = period_s
        self._first_s = period_s if first_s is None else first_s
        self._sleep = sleep

    async def _now_and_then(self) -> None:
        await self._sleep(self._first_s)
        while True:
            try:
                await self._work()
            except GroundwireError as error:
                log.warning("%s has failed, and is tried again: %s", self.name, error)
            await self._sleep(self._period_s)


def index_upkeep(purge: Callable[[], int], *, sleep: Sleep = asyncio.sleep) -> Upkeep:
    """Overwrites deleted text after its retention, in collections that nobody writes to.

    Takes `Index.purge`, of an index that is open from `start` to `close`.
    """

    async def work() -> None:
        log.debug("%d deleted records were purged", await run_blocking(purge))

    return Upkeep("index upkeep", work, period_s=PURGE_PERIOD_S, sleep=sleep)


def session_upkeep(
    retention: SessionRetention,
    policies: Policies,
    on_swept: Callable[[Swept], None],
    *,
    on_kept: Callable[[str, Described], None] = lambda _tenant, _session: None,
    sleep: Sleep = asyncio.sleep,
) -> Upkeep:
    """Removes sessions that are too old or too many, and what forks that are gone have held.

    ``on_kept`` is told of every session that it meets.
    """

    async def work() -> None:
        swept = await retention.sweep(policies, on_kept=on_kept)
        on_swept(swept)
        if swept.idle or swept.surplus or swept.size:
            log.info(
                "retention has removed sessions",
                extra={"idle": swept.idle, "surplus": swept.surplus, "size": swept.size},
            )

    return Upkeep(
        "session upkeep", work, period_s=SWEEP_PERIOD_S, first_s=SWEEP_FIRST_S, sleep=sleep
    )


class UsageUpkeep(Upkeep):
    """Hands the counts of usage to the store every second, and those of the last one at the end."""

    def __init__(
        self, ledger: Ledger, on_failure: Callable[[], None], *, sleep: Sleep = asyncio.sleep
    ) -> None:
        """``on_failure`` is told each time that the store does not take them."""
        self._ledger = ledger
        self._on_failure = on_failure
        super().__init__("usage upkeep", self._flush, period_s=USAGE_PERIOD_S, sleep=sleep)

    async def close(self) -> None:
        """Hand over what is left."""
        await super().close()
        await self._flush()
        if self._ledger.held:
            log.error(
                "usage that the store did not take is lost", extra={"rows": self._ledger.held}
            )

    async def _flush(self) -> None:
        try:
            await self._ledger.flush()
        except GroundwireError:
            # The store has told the log why, once.
            self._on_failure()
        except Exception:
            # No call is to fail, and no store to be taken for broken, for want of being counted.
            log.exception("usage could not be stored, and is tried again")
            self._on_failure()
