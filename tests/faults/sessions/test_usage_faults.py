"""Usage while its Redis does not do its part: counted once, held within bounds, told of."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from groundwire_index.errors import ResourceExhaustedError, UnavailableError
from groundwire_server.identity import Identity
from groundwire_server.memory.redis_server import RedisServer
from groundwire_server.observability.metrics import Metrics
from groundwire_server.upkeep import USAGE_PERIOD_S, UsageUpkeep
from groundwire_server.usage.call import CallUsage
from groundwire_server.usage.keys import DayKeys
from groundwire_server.usage.ledger import Ledger
from groundwire_server.usage.redis_usage import RedisUsage
from groundwire_server.usage.report import Question, Reports
from groundwire_server.usage.store import Batch, Row, TenantDay
from prometheus_client import generate_latest
from redis.asyncio import Redis
from redis.exceptions import RedisError

from tests.conformance.sessions.servers import free_port, tcp_server
from tests.faults.server.application import Ticks
from tests.faults.sessions.lossy_network import LossyNetwork
from tests.patience import until

SUBJECTS = 100
ADA = Row("ada", "phi")
FAILURES = "groundwire_usage_failures_total"
DROPPED = "groundwire_usage_dropped_calls_total"


class Counting:
    """A server, as far as it counts."""

    def __init__(self, url: str, *, most_rows: int = 1000, store: RedisUsage | None = None) -> None:
        self.store = store or RedisUsage(url, days=30, subjects=SUBJECTS, timeout_s=5.0)
        self.metrics = Metrics()
        self.now = datetime.now(UTC)
        self.ledger = Ledger(
            self.store,
            subjects=SUBJECTS,
            most_rows=most_rows,
            on_dropped=self.metrics.usage.on_dropped,
            clock=lambda: self.now,
        )

    def count(self, tenant: str, subject: str = "ada") -> None:
        call = CallUsage()
        call.generates("phi")
        self.ledger.record(Identity(tenant, subject), call, 0.1, failed=False)

    async def requests(self, tenant: str, day: datetime | None = None) -> int:
        of = TenantDay(tenant, (day or self.now).date())
        (counts,) = await self.store.counts(of, [ADA])
        return counts.requests

    def exported(self, name: str) -> float:
        page = generate_latest(self.metrics.registry).decode()
        line = next(line for line in page.splitlines() if line.startswith(f"{name} "))
        return float(line.rpartition(" ")[2])


@asynccontextmanager
async def counting(
    url: str, *, most_rows: int = 1000, store: RedisUsage | None = None
) -> AsyncIterator[Counting]:
    made = Counting(url, most_rows=most_rows, store=store)
    yield made
    await made.store.close()


async def test_counts_whose_answer_is_lost_are_added_once(
    server: RedisServer, tenant: str, tmp_path: Path
) -> None:
    network = LossyNetwork(tmp_path / "redis/redis.sock")
    async with network.listening() as url, counting(url) as made:
        # A connection that is there: it is the answer that is lost.
        made.count(tenant)
        await made.ledger.flush()
        made.count(tenant)
        network.lose_answers(1)
        await made.ledger.flush()
        made.count(tenant)
        network.lose_answers(1000)
        with pytest.raises(UnavailableError):
            await made.ledger.flush()
        # Whether it is stored is not known, so what comes now cannot be added to it.
        made.count(tenant)
        with pytest.raises(UnavailableError):
            await made.ledger.flush()
        network.lose_answers(0)
        await made.ledger.flush()
        assert await made.requests(tenant) == 4
        assert made.ledger.held == 0


async def test_a_flush_that_is_cut_off_is_done_again_and_counts_once(
    server: RedisServer, tenant: str
) -> None:
    async with counting(server.url) as made:
        for number in range(1, 30):
            made.count(tenant)
            flush = asyncio.create_task(made.ledger.flush())
            for _ in range(number):
                await asyncio.sleep(0)
            flush.cancel()
            await asyncio.gather(flush, return_exceptions=True)
        await made.ledger.flush()
        assert await made.requests(tenant) == 29


async def test_what_is_counted_while_redis_is_away_is_stored_for_its_day_when_it_is_back(
    tmp_path: Path, tenant: str
) -> None:
    port, ticks = free_port(), Ticks()
    async with counting(f"redis://127.0.0.1:{port}") as made:
        upkeep = UsageUpkeep(made.ledger, made.metrics.usage.on_failure, sleep=ticks.sleep)
        await upkeep.start()
        made.count(tenant)
        await ticks.tick(USAGE_PERIOD_S)
        yesterday = made.now
        made.now += timedelta(days=1)
        for _ in range(2):
            made.count(tenant)
        await ticks.tick(USAGE_PERIOD_S)
        assert made.exported(FAILURES) == 2
        assert made.ledger.held == 2
        await upkeep.check()
        async with tcp_server(tmp_path, port=port):
            await ticks.tick(USAGE_PERIOD_S)
            assert await made.requests(tenant, yesterday) == 1
            assert await made.requests(tenant) == 2
            made.count(tenant)
            await upkeep.close()
            assert await made.requests(tenant) == 3
        assert made.exported(FAILURES) == 2


async def test_nothing_is_told_while_redis_is_away_and_nothing_of_it_is_lost(
    tmp_path: Path, tenant: str
) -> None:
    port = free_port()
    async with counting(f"redis://127.0.0.1:{port}") as made:
        reports = Reports(made.ledger, made.store, days=30, clock=lambda: made.now)
        made.count(tenant)
        with pytest.raises(UnavailableError):
            await reports.page(tenant, Question(), after=None, limit=10)
        async with tcp_server(tmp_path, port=port):
            page = await reports.page(tenant, Question(), after=None, limit=10)
    assert [one.counts.requests for one in page.rows] == [1]


async def test_what_a_server_that_stops_cannot_store_is_told(
    tenant: str, caplog: pytest.LogCaptureFixture
) -> None:
    async with counting(f"redis://127.0.0.1:{free_port()}") as made:
        upkeep = UsageUpkeep(made.ledger, made.metrics.usage.on_failure)
        await upkeep.start()
        made.count(tenant)
        await upkeep.close()
    (line,) = [record for record in caplog.records if "is lost" in record.message]
    assert (line.levelno, line.__dict__["rows"]) == (logging.ERROR, 1)


async def test_memory_is_bounded_while_redis_is_away_and_what_is_dropped_is_counted(
    tmp_path: Path,
) -> None:
    port = free_port()
    async with counting(f"redis://127.0.0.1:{port}", most_rows=10) as made:
        for number in range(25):
            made.count(f"tenant-{number}")
            with pytest.raises(UnavailableError):
                await made.ledger.flush()
        assert made.ledger.held == 10
        assert made.exported(DROPPED) == 15
        async with tcp_server(tmp_path, port=port):
            await made.ledger.flush()
            assert [await made.requests(f"tenant-{number}") for number in (0, 9, 10)] == [1, 1, 0]
            made.count("tenant-10")
            await made.ledger.flush()
            assert await made.requests("tenant-10") == 1


async def test_a_full_redis_takes_all_of_a_batch_later_or_nothing_of_it_now(
    server: RedisServer, tenant: str
) -> None:
    async with counting(server.url) as made, Redis.from_url(server.url) as redis:
        await redis.config_set("maxmemory", "1")
        for subject in ("ada", "bob"):
            made.count(tenant, subject)
        with pytest.raises(ResourceExhaustedError):
            await made.ledger.flush()
        assert await redis.dbsize() == 0
        await redis.config_set("maxmemory", "0")
        await made.ledger.flush()
        assert await made.requests(tenant) == 1


async def test_what_redis_refuses_of_one_tenant_keeps_nothing_else_from_being_stored(
    server: RedisServer, tenant: str, caplog: pytest.LogCaptureFixture
) -> None:
    ticks, others = Ticks(), [f"{tenant}-{number}" for number in range(20)]
    async with counting(server.url) as made, Redis.from_url(server.url) as redis:
        upkeep = UsageUpkeep(made.ledger, made.metrics.usage.on_failure, sleep=ticks.sleep)
        await upkeep.start()
        key = DayKeys(TenantDay(tenant, made.now.date())).last
        await redis.set(key, "none of ours")
        made.count(tenant)
        for other in others:
            made.count(other)
        await ticks.tick(USAGE_PERIOD_S)
        await upkeep.check()
        assert [await made.requests(other) for other in others] == [1] * 20
        assert (made.ledger.held, made.exported(FAILURES)) == (1, 1)
        assert "WRONGTYPE" in caplog.text
        await redis.delete(key)
        await ticks.tick(USAGE_PERIOD_S)
        assert await made.requests(tenant) == 1
        await upkeep.close()


async def test_a_batch_of_which_redis_refuses_a_part_is_added_whole_and_once_later(
    server: RedisServer, tenant: str
) -> None:
    bob = Row("bob", "phi")
    async with counting(server.url) as made, Redis.from_url(server.url) as redis:
        of = TenantDay(tenant, made.now.date())
        for subject in ("ada", "bob"):
            made.count(tenant, subject)
        await redis.set(DayKeys(of).row(bob), "none of ours")
        for _ in range(2):
            with pytest.raises(RedisError, match="WRONGTYPE"):
                await made.ledger.flush()
            assert await made.requests(tenant) == 0
        await redis.delete(DayKeys(of).row(bob))
        await made.ledger.flush()
        found = await made.store.counts(of, [ADA, bob])
        assert [counts.requests for counts in found] == [1, 1]


class PartlyAway(RedisUsage):
    """A cluster of which some tenants' shards are away, and which counts what it is asked."""

    def __init__(self, url: str) -> None:
        super().__init__(url, days=30, subjects=SUBJECTS, timeout_s=5.0)
        self.away: set[str] = set()
        self.refused = 0

    async def add(self, batch: Batch) -> None:
        if batch.of.tenant in self.away:
            self.refused += 1
            raise UnavailableError("the shard is down")
        await super().add(batch)


async def test_tenants_whose_shard_is_away_hold_up_no_others_and_are_tried_again_after_them(
    server: RedisServer, tenant: str
) -> None:
    away = [f"{tenant}-away-{number}" for number in range(30)]
    there = [f"{tenant}-there-{number}" for number in range(30)]
    async with counting(server.url, store=(store := PartlyAway(server.url))) as made:
        store.away = set(away)
        for name in (*away, *there):
            made.count(name)
        for _ in range(4):
            with pytest.raises(UnavailableError):
                await made.ledger.flush()
        assert [await made.requests(name) for name in there] == [1] * 30
        # From now on they come after the others, wherever these are in the order of coming.
        made.count(there[-1])
        with pytest.raises(UnavailableError):
            await made.ledger.flush()
        assert await made.requests(there[-1]) == 2
        assert made.ledger.held == 30
        # A store that hangs makes none of these wait long: few are tried each time.
        assert store.refused < 60
        store.away = set()
        await made.ledger.flush()
        assert [await made.requests(name) for name in away] == [1] * 30


async def test_a_redis_that_was_killed_has_what_it_has_acknowledged(
    server: RedisServer, tenant: str
) -> None:
    async with counting(server.url) as made:
        for number in range(3):
            made.count(tenant)
            await made.ledger.flush()
            os.kill(server.pid, signal.SIGKILL)
            await until(lambda: _answers(server.url), "redis-server is started again")
            assert await made.requests(tenant) == number + 1


async def _answers(url: str) -> bool:
    async with Redis.from_url(url) as client:
        try:
            return bool(await client.ping())
        except RedisError:
            return False
