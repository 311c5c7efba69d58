"""Usage on every kind of Redis: what is counted adds up, is read by page, and expires."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from groundwire_server.identity import Identity
from groundwire_server.memory.redis_server import RedisServer
from groundwire_server.usage.call import CallUsage
from groundwire_server.usage.counts import Counts
from groundwire_server.usage.ledger import BATCH_ROWS, Ledger
from groundwire_server.usage.redis_usage import RedisUsage
from groundwire_server.usage.report import Question, Reports, Used
from groundwire_server.usage.store import Batch, Row, TenantDay
from redis.asyncio import Redis
from redis.asyncio.cluster import RedisCluster

from tests.conformance.sessions.servers import SetClock
from tests.patience import PATIENCE_S

DAYS, SUBJECTS = 30, 5
EVERYTHING = Question()


@pytest.fixture(scope="session")
async def private_url(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[str]:
    server = RedisServer(tmp_path_factory.mktemp("usage") / "redis", fsync="everysec")
    await server.start()
    yield server.url
    await server.close()


@pytest.fixture(params=["private_url", "cluster_url"])
def url(request: pytest.FixtureRequest) -> str:
    found: str = request.getfixturevalue(request.param)
    return found


@pytest.fixture
async def redis(url: str) -> AsyncIterator[Any]:
    kind = Redis if url.startswith("unix") else RedisCluster
    async with kind.from_url(url) as client:
        yield client


class Counting:
    """A server, as far as it counts."""

    def __init__(self, store: RedisUsage, clock: Callable[[], datetime]) -> None:
        self.store = store
        self.ledger = Ledger(store, subjects=SUBJECTS, clock=clock)
        self.reports = Reports(self.ledger, store, days=DAYS, clock=clock)

    def count(
        self,
        tenant: str,
        subject: str,
        *,
        model: str = "",
        latency_s: float | None = 0.1,
        failed: bool = False,
        **used: Any,
    ) -> None:
        call = CallUsage()
        if model:
            call.generates(model)
        call.prompted(used.get("prompt_tokens", 0))
        call.completion_tokens = used.get("completion_tokens", 0)
        call.confidence = used.get("confidence")
        self.ledger.record(Identity(tenant, subject), call, latency_s, failed=failed)

    async def all(self, tenant: str, question: Question = EVERYTHING) -> list[Used]:
        page = await self.reports.page(tenant, question, after=None, limit=1000)
        assert not page.more
        return list(page.rows)


Start = Callable[[], Counting]


@pytest.fixture
async def start(url: str, clock: SetClock) -> AsyncIterator[Start]:
    """Starts servers on one Redis."""
    stores: list[RedisUsage] = []

    def started() -> Counting:
        stores.append(RedisUsage(url, days=DAYS, subjects=SUBJECTS, timeout_s=PATIENCE_S))
        return Counting(stores[-1], clock)

    yield started
    for store in stores:
        await store.close()


async def test_what_two_servers_count_adds_up(start: Start, tenant: str) -> None:
    first, second = start(), start()
    for server in (first, second):
        server.count(tenant, "ada", model="phi", prompt_tokens=10, completion_tokens=3)
        server.count(tenant, "ada", model="phi", confidence=0.5, latency_s=0.3)
        await server.ledger.flush()
    first.count(tenant, "ada", model="phi", confidence=1.0, failed=True, latency_s=None)
    (used,) = await first.all(tenant)
    counts = used.counts
    assert (used.position.subject, used.position.model) == ("ada", "phi")
    assert (counts.requests, counts.errors) == (5, 1)
    assert (counts.prompt_tokens, counts.completion_tokens) == (20, 6)
    assert counts.average_latency_s == pytest.approx(0.2)
    assert counts.p95_latency_s == pytest.approx(0.3, rel=0.05)
    assert counts.average_confidence == pytest.approx(2 / 3, abs=1e-6)


async def test_a_reader_sees_at_once_what_its_own_server_has_counted(
    start: Start, tenant: str
) -> None:
    server = start()
    for requests in (1, 2, 3):
        server.count(tenant, "ada")
        (used,) = await server.all(tenant)
        assert used.counts.requests == requests
    assert server.ledger.held == 0


async def test_rows_come_by_date_subject_and_model_and_can_be_asked_for(
    start: Start, tenant: str, clock: SetClock
) -> None:
    server = start()
    for _ in range(2):
        for subject in ("bob", "ada"):
            for model in ("phi", "", "llama"):
                server.count(tenant, subject, model=model)
        clock.advance(86_400)
    rows = await server.all(tenant)
    places = [(one.position.day, one.position.subject, one.position.model) for one in rows]
    assert places == sorted(places)
    assert len(places) == 12
    first, last = rows[0].position.day, rows[-1].position.day
    assert last - first == timedelta(days=1)

    async def count(question: Question) -> int:
        return len(await server.all(tenant, question))

    assert await count(Question(subject="ada")) == 6
    assert await count(Question(subject="ada", model="phi")) == 2
    assert await count(Question(first=last)) == 6
    assert await count(Question(last=first)) == 6
    assert await count(Question(first=last, last=first)) == 0
    assert await count(Question(subject="eve")) == 0


@pytest.mark.parametrize("limit", [1, 2, 5, 100])
async def test_pages_follow_one_another(
    start: Start, tenant: str, clock: SetClock, limit: int
) -> None:
    server = start()
    for _ in range(3):
        for subject in ("ada", "bob"):
            server.count(tenant, subject)
        clock.advance(86_400)
    expected = await server.all(tenant)
    found: list[Used] = []
    more, after = True, None
    while more:
        page = await server.reports.page(tenant, Question(), after=after, limit=limit)
        assert 0 < len(page.rows) <= limit
        found += page.rows
        more, after = page.more, page.rows[-1].position
    assert found == expected


async def test_subjects_beyond_the_limit_are_one_row_that_says_so_whichever_server_saw_them(
    start: Start, tenant: str
) -> None:
    servers = [start(), start()]
    for number in range(SUBJECTS + 4):
        server = servers[number % 2]
        server.count(tenant, f"s{number}", model="phi", prompt_tokens=1)
        await server.ledger.flush()
    # One that is known stays apart, with another model too.
    servers[0].count(tenant, "s0", model="llama")
    rows = await servers[0].all(tenant)
    assert [one.position.subject for one in rows] == ["s0", "s0", "s1", "s2", "s3", "s4", ""]
    assert [one.position.others for one in rows] == [False] * 6 + [True]
    assert rows[-1].counts.prompt_tokens == 4


async def test_subjects_that_come_all_at_once_are_bounded_in_memory_too(
    start: Start, tenant: str
) -> None:
    server = start()
    for number in range(10 * SUBJECTS):
        server.count(tenant, f"s{number}")
    assert server.ledger.held == SUBJECTS + 1
    rows = await server.all(tenant)
    assert sum(one.counts.requests for one in rows) == 10 * SUBJECTS
    assert len(rows) == SUBJECTS + 1


async def test_a_large_batch_goes_in_parts(start: Start, tenant: str, url: str) -> None:
    store = RedisUsage(url, days=DAYS, subjects=1000, timeout_s=PATIENCE_S)
    ledger = Ledger(store, subjects=1000)
    for number in range(3 * BATCH_ROWS + 1):
        call = CallUsage()
        ledger.record(Identity(tenant, f"s{number}"), call, 0.1, failed=False)
    await ledger.flush()
    rows = await store.rows(TenantDay(tenant, datetime.now(UTC).date()))
    assert len(rows) == 3 * BATCH_ROWS + 1
    await store.close()


async def test_a_batch_that_comes_again_is_not_counted_again(
    start: Start, tenant: str, clock: SetClock
) -> None:
    store = start().store
    of = TenantDay(tenant, clock().date())
    row = Row("ada", "phi")
    for number in (1, 1, 2, 1, 2):
        await store.add(Batch(of, number, {row: Counts(requests=1)}))
    assert await store.counts(of, [row]) == [Counts(requests=2)]


async def test_a_tenant_sees_its_own(start: Start, tenant: str) -> None:
    server = start()
    # Names that would meet in one key if nothing were done about it.
    for name in (tenant, f"{tenant}:usage", f"{tenant}:", tenant.upper()):
        server.count(name, "ada", model="a:b;c{d}")
    (used,) = await server.all(tenant)
    assert (used.counts.requests, used.position.model) == (1, "a:b;c{d}")


async def test_everything_of_a_day_expires_when_its_retention_ends(
    start: Start, tenant: str, clock: SetClock, redis: Any
) -> None:
    server = start()
    server.count(tenant, "ada", model="phi")
    await server.ledger.flush()
    keys = [key async for key in redis.scan_iter(match=f"gw:{{{tenant}:*")]
    assert len(keys) == 3
    end = datetime.combine(clock().date(), datetime.min.time(), UTC) + timedelta(days=DAYS + 1)
    left_s = (end - clock()).total_seconds()
    for key in keys:
        assert await redis.ttl(key) == pytest.approx(left_s, abs=600)


async def test_a_day_whose_retention_is_over_is_neither_kept_nor_read(
    start: Start, tenant: str, clock: SetClock
) -> None:
    server = start()
    server.count(tenant, "ada")
    await server.ledger.flush()
    clock.advance(86_400 * DAYS)
    assert len(await server.all(tenant)) == 1
    clock.advance(86_400)
    assert await server.all(tenant) == []
    clock.reset()
    clock.advance(-86_400 * (DAYS + 1))
    server.count(tenant, "ada")
    await server.ledger.flush()
    assert await server.store.rows(TenantDay(tenant, clock().date())) == []


async def test_calls_that_end_while_counts_are_stored_are_not_lost(
    start: Start, tenant: str
) -> None:
    server = start()

    async def flush_often() -> None:
        for _ in range(20):
            await server.ledger.flush()

    async def count_often() -> None:
        for number in range(400):
            server.count(tenant, "ada")
            if number % 10 == 0:
                await asyncio.sleep(0)

    await asyncio.gather(flush_often(), count_often(), flush_often())
    (used,) = await server.all(tenant)
    assert used.counts.requests == 400
