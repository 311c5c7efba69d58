"""What calls do when Redis does not do its part: an error in bounded time, and nothing lost."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path

import pytest
from groundwire_index.errors import (
    DataLossError,
    InvalidArgumentError,
    NotFoundError,
    ResourceExhaustedError,
    UnavailableError,
)
from groundwire_server.engines.engine import Role
from groundwire_server.memory.keys import SessionKeys
from groundwire_server.memory.redis_server import RedisServer
from groundwire_server.memory.redis_sessions import RedisSessions
from groundwire_server.memory.session import NewTurn, Sessions
from redis.asyncio import Redis

from tests.conformance.sessions.servers import (
    closing,
    free_port,
    sessions_at,
    tcp_server,
)
from tests.faults.sessions.lossy_network import LossyNetwork
from tests.patience import PATIENCE_S, until

SAY = [NewTurn(Role.USER, "hello there")]


@pytest.fixture
async def redis(server: RedisServer) -> AsyncIterator[Redis]:
    async with Redis.from_url(server.url) as client:
        yield client


async def works(store: RedisSessions) -> bool:
    try:
        await store.check()
    except UnavailableError:
        return False
    return True


async def contents_of(sessions: Sessions, tenant: str) -> list[str]:
    page = await sessions.turns(tenant, "s", after=0, limit=1000)
    return [turn.content for turn in page.turns]


# --- away ---


async def test_calls_fail_at_once_while_redis_is_away_and_work_when_it_is_back(
    tmp_path: Path, tenant: str
) -> None:
    options = ("--appendonly", "yes", "--appendfsync", "always")
    async with tcp_server(tmp_path, *options) as port:
        store = sessions_at(f"redis://127.0.0.1:{port}")
        await store.create(tenant, "ada", session_id="s")
        await store.append(tenant, "s", SAY)
    async with closing(store):
        for call in (
            lambda: store.check(),
            lambda: store.get(tenant, "s"),
            lambda: store.append(tenant, "s", SAY),
            lambda: store.recent(tenant, "s", limit=1),
            lambda: store.create(tenant, "ada", idempotency_key="k"),
        ):
            began = time.monotonic()
            with pytest.raises(UnavailableError) as raised:
                await call()
            # Nobody waited for the time of an answer to be over.
            assert time.monotonic() - began < PATIENCE_S
            assert raised.value.retry_after_s > 0
            assert f"check that the Redis at 127.0.0.1:{port} answers" in raised.value.message
            assert raised.value.reason == "SESSION_STORE_UNAVAILABLE"
        async with tcp_server(tmp_path, *options, port=port):
            assert await contents_of(store, tenant) == ["hello there"]
            assert await store.append(tenant, "s", SAY, expected_head=1) == 2


async def test_a_redis_that_was_never_there_is_said_to_be_unreachable(tenant: str) -> None:
    async with closing(sessions_at(f"redis://127.0.0.1:{free_port()}")) as store:
        with pytest.raises(UnavailableError, match="cannot be reached"):
            await store.get(tenant, "s")


@pytest.mark.parametrize(
    "url", ["", "localhost:6379", "http://h", "redis://h:x", "redis://h:70000"]
)
def test_a_url_that_is_none_is_refused_before_anything_starts(url: str) -> None:
    with pytest.raises(InvalidArgumentError, match="redis_url"):
        sessions_at(url)


async def test_a_wrong_password_is_named(tmp_path: Path, tenant: str) -> None:
    async with tcp_server(tmp_path) as port:
        async with Redis(port=port) as client:
            await client.config_set("requirepass", "right")
        for url in (f"redis://:wrong@127.0.0.1:{port}", f"redis://127.0.0.1:{port}"):
            async with closing(sessions_at(url)) as store:
                with pytest.raises(UnavailableError, match="user of redis_url"):
                    await store.get(tenant, "s")
        async with closing(sessions_at(f"redis://:right@127.0.0.1:{port}")) as store:
            await store.create(tenant, "ada")


# --- slow ---


async def test_a_stalled_redis_costs_a_bounded_time_and_a_retry_finds_out_what_was_stored(
    server: RedisServer, tenant: str
) -> None:
    async with closing(sessions_at(server.url)) as patient:
        await patient.create(tenant, "ada", session_id="s")
    async with closing(sessions_at(server.url, timeout_s=0.1)) as store:
        await until(partial(works, store), "it has a connection")
        assert server.pid
        os.kill(server.pid, signal.SIGSTOP)
        try:
            async with asyncio.timeout(PATIENCE_S):
                with pytest.raises(UnavailableError, match="idempotency_key") as unknown:
                    await store.append(tenant, "s", SAY, idempotency_key="k")
                with pytest.raises(UnavailableError) as unread:
                    await store.get(tenant, "s")
        finally:
            os.kill(server.pid, signal.SIGCONT)
        assert unread.value.reason == "SESSION_STORE_UNAVAILABLE"
        assert unknown.value.reason == "OUTCOME_UNKNOWN"

    async with closing(sessions_at(server.url)) as patient:
        assert await patient.append(tenant, "s", SAY, idempotency_key="k") == 1
        assert await contents_of(patient, tenant) == ["hello there"]


async def test_a_slow_redis_slows_calls_down_and_is_reported(
    server: RedisServer, tmp_path: Path, tenant: str
) -> None:
    steps: list[float] = []
    network = LossyNetwork(tmp_path / "redis/redis.sock")
    async with network.listening() as url:
        async with closing(sessions_at(url, timeout_s=PATIENCE_S, on_step=steps.append)) as patient:
            await patient.create(tenant, "ada", session_id="s")
            network.delay_s = 0.2
            steps.clear()
            heads = await asyncio.gather(*(patient.append(tenant, "s", SAY) for _ in range(20)))
            assert sorted(heads) == list(range(1, 21))
            assert len(steps) >= 20
            assert min(steps) >= 0.2
        async with closing(sessions_at(url, timeout_s=0.05, on_step=steps.append)) as hurried:
            steps.clear()
            with pytest.raises(UnavailableError) as raised:
                await hurried.get(tenant, "s")
            assert raised.value.reason == "SESSION_STORE_UNAVAILABLE"
            assert len(steps) == 1
    async with closing(sessions_at(server.url)) as store:
        assert await contents_of(store, tenant) == ["hello there"] * 20


async def test_callers_that_find_no_free_connection_wait_for_a_bounded_time(
    server: RedisServer, tenant: str
) -> None:
    async with closing(sessions_at(server.url, timeout_s=0.2)) as store:
        assert server.pid
        os.kill(server.pid, signal.SIGSTOP)
        try:
            async with asyncio.timeout(PATIENCE_S):
                tried = await asyncio.gather(
                    *(store.get(tenant, "s") for _ in range(300)), return_exceptions=True
                )
        finally:
            os.kill(server.pid, signal.SIGCONT)
    assert all(isinstance(outcome, UnavailableError) for outcome in tried)


async def test_callers_that_give_up_do_not_spoil_the_answers_of_others(
    sessions: RedisSessions, tenant: str
) -> None:
    for number in range(5):
        await sessions.create(tenant, "ada", session_id=str(number), title=str(number))
    for _ in range(50):
        calls = [asyncio.create_task(sessions.get(tenant, str(n % 5))) for n in range(20)]
        await asyncio.sleep(0)
        for call in calls[::2]:
            call.cancel()
        outcomes = await asyncio.gather(*calls, return_exceptions=True)
        for number, outcome in enumerate(outcomes):
            if not isinstance(outcome, asyncio.CancelledError):
                assert not isinstance(outcome, BaseException)
                assert outcome.title == str(number % 5)


# --- answers that are lost ---


@pytest.fixture
def network(server: RedisServer, tmp_path: Path) -> LossyNetwork:
    return LossyNetwork(tmp_path / "redis/redis.sock")


async def test_a_lost_answer_is_asked_for_again_where_that_is_safe(
    network: LossyNetwork, tenant: str
) -> None:
    async with network.listening() as url, closing(sessions_at(url)) as store:
        await store.create(tenant, "ada", session_id="s")
        network.lose_answers(1)
        assert await store.append(tenant, "s", SAY, idempotency_key="k") == 1
        network.lose_answers(1)
        assert (await store.get(tenant, "s")).head == 1
        network.lose_answers(1)
        created = await store.create(tenant, "ada", idempotency_key="k")
        assert network.lost == 3
        assert await contents_of(store, tenant) == ["hello there"]
        assert await store.create(tenant, "ada", idempotency_key="k") == created


async def test_a_write_without_a_key_is_sent_once_and_its_outcome_left_open(
    network: LossyNetwork, tenant: str
) -> None:
    async with network.listening() as url, closing(sessions_at(url)) as store:
        for session_id in ("old", "s"):
            await store.create(tenant, "ada", session_id=session_id)
            await store.append(tenant, session_id, SAY)
        await store.delete(tenant, "old")
        for passed, call in (
            (0, lambda: store.append(tenant, "s", SAY)),
            # Its place on the list may be taken twice.
            (1, lambda: store.create(tenant, "ada", session_id="new")),
            (0, lambda: store.delete(tenant, "new")),
        ):
            # A connection that is there: it is the answer that is lost.
            await store.check()
            network.lose_answers(1, after=passed)
            with pytest.raises(UnavailableError) as raised:
                await call()
            assert raised.value.reason == "OUTCOME_UNKNOWN"
        assert await contents_of(store, tenant) == ["hello there"] * 2
        with pytest.raises(NotFoundError):
            await store.get(tenant, "new")


async def test_answers_that_stay_lost_end_a_call(network: LossyNetwork, tenant: str) -> None:
    async with network.listening() as url, closing(sessions_at(url)) as store:
        await store.create(tenant, "ada", session_id="s")
        network.lose_answers(1000)
        with pytest.raises(UnavailableError):
            await store.append(tenant, "s", SAY, idempotency_key="k")
        with pytest.raises(UnavailableError):
            await store.get(tenant, "s")
        network.lose_answers(0)
        assert await store.append(tenant, "s", SAY, idempotency_key="k") == 1
        assert await contents_of(store, tenant) == ["hello there"]


# --- changed ---


async def test_scripts_that_redis_forgot_are_sent_again(
    sessions: RedisSessions, redis: Redis, tenant: str
) -> None:
    await sessions.create(tenant, "ada", session_id="s")
    await redis.script_flush()
    await sessions.append(tenant, "s", SAY)
    await redis.script_flush()
    assert await contents_of(sessions, tenant) == ["hello there"]
    await redis.script_flush()
    assert await sessions.delete(tenant, "s") == 1


async def test_connections_that_redis_closed_are_made_anew_unnoticed(
    sessions: RedisSessions, redis: Redis, tenant: str
) -> None:
    await sessions.create(tenant, "ada", session_id="s")
    for number in range(1, 20):
        await redis.execute_command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
        assert await sessions.append(tenant, "s", SAY, idempotency_key=str(number)) == number
        await redis.execute_command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
        assert (await sessions.get(tenant, "s")).head == number


async def test_a_redis_that_is_out_of_memory_refuses_writes_and_loses_nothing(
    sessions: RedisSessions, redis: Redis, tenant: str
) -> None:
    await sessions.create(tenant, "ada", session_id="s")
    await sessions.append(tenant, "s", SAY)
    await redis.config_set("maxmemory", "1")
    for call in (
        lambda: sessions.append(tenant, "s", SAY * 3),
        lambda: sessions.append(tenant, "s", SAY * 3, idempotency_key="k"),
        lambda: sessions.create(tenant, "ada", session_id="new"),
        lambda: sessions.create(tenant, "ada", idempotency_key="k"),
    ):
        with pytest.raises(ResourceExhaustedError, match="maxmemory") as raised:
            await call()
        assert raised.value.reason == "SESSION_STORE_FULL"
    assert await contents_of(sessions, tenant) == ["hello there"]
    await sessions.delete(tenant, "s")
    await redis.config_set("maxmemory", "0")
    await sessions.create(tenant, "ada", session_id="new")
    assert (await sessions.create(tenant, "ada", idempotency_key="k")).head == 0


async def test_a_replica_that_was_taken_for_a_primary_is_unavailable_until_it_is_one(
    sessions: RedisSessions, redis: Redis, tenant: str
) -> None:
    await sessions.create(tenant, "ada", session_id="s")
    await redis.config_set("replica-serve-stale-data", "yes")
    await redis.execute_command("REPLICAOF", "127.0.0.1", free_port())
    with pytest.raises(UnavailableError, match="replica") as raised:
        await sessions.append(tenant, "s", SAY)
    assert raised.value.reason == "SESSION_STORE_UNAVAILABLE"
    assert (await sessions.get(tenant, "s")).head == 0
    await redis.execute_command("REPLICAOF", "NO", "ONE")
    assert await sessions.append(tenant, "s", SAY) == 1


async def test_turns_that_redis_evicted_are_missed(
    sessions: RedisSessions, redis: Redis, tenant: str
) -> None:
    await sessions.create(tenant, "ada", session_id="s")
    await sessions.append(tenant, "s", SAY * 5)
    await redis.delete(SessionKeys(tenant, "s").turns)
    for _ in range(2):
        with pytest.raises(DataLossError, match="turn 1 "):
            await sessions.turns(tenant, "s", after=0, limit=5)
        with pytest.raises(DataLossError, match="noeviction"):
            await sessions.recent(tenant, "s", limit=5, before=6)
        await sessions.append(tenant, "s", SAY)


async def test_use_moves_the_expiry_of_all_that_a_session_has_to_one_point_in_time(
    sessions: RedisSessions, redis: Redis, tenant: str
) -> None:
    keys = SessionKeys(tenant, "s")

    async def expires() -> list[int]:
        return [await redis.pttl(key) for key in (keys.session, keys.turns)]

    async def age() -> None:
        for key in (keys.session, keys.turns):
            await redis.pexpire(key, 20_000)

    await sessions.create(tenant, "ada", session_id="s", ttl_s=1000)
    for use in (
        lambda: sessions.append(tenant, "s", SAY),
        lambda: sessions.turns(tenant, "s", after=0, limit=1),
        lambda: sessions.recent(tenant, "s", limit=1),
    ):
        await age()
        await use()
        assert all(900_000 < left <= 1_000_000 for left in await expires())
    await age()
    described = await sessions.get(tenant, "s")
    assert all(0 < left <= 20_000 for left in await expires())
    assert described.expire_time is not None


async def test_answers_to_keys_are_kept_a_day_and_not_for_ever(
    sessions: RedisSessions, redis: Redis, tenant: str
) -> None:
    await sessions.create(tenant, "ada", session_id="s", idempotency_key="k")
    await sessions.append(tenant, "s", SAY, idempotency_key="k")
    kept = [key async for key in redis.scan_iter() if b":claim" in key or b":answer:" in key]
    assert len(kept) == 3
    day = 24 * 3600 * 1000
    for key in kept:
        assert day - 60_000 < await redis.pttl(key) <= day + 3_600_000
