"""The cache on a real redis-server, while that comes and goes."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from groundwire_index.errors import UnavailableError
from groundwire_server.caching.redis_cache import LEFT_ALONE_S, RedisCache
from groundwire_server.memory.redis_server import RedisServer
from redis.asyncio import Redis

from tests.patience import PATIENCE_S, until

CACHE_BYTES = 16 * 2**20


class Kept:
    """A cache, its server, its clock, and how often it was done without."""

    def __init__(
        self, folder: Path, *, ttl_s: float = 100.0, timeout_s: float = PATIENCE_S
    ) -> None:
        self.server = RedisServer(folder, cache_bytes=CACHE_BYTES, backoff_s=0.01)
        self.seconds = 0.0
        self.bypasses = 0
        self.cache = RedisCache(
            self.server.url,
            "answer",
            ttl_s=ttl_s,
            on_bypass=self._count,
            timeout_s=timeout_s,
            now=lambda: self.seconds,
        )

    def _count(self) -> None:
        self.bypasses += 1


@pytest.fixture
async def kept(tmp_path: Path) -> AsyncIterator[Kept]:
    kept = Kept(tmp_path / "cache")
    await kept.server.start()
    yield kept
    await kept.cache.close()
    await kept.server.close()


async def test_values_are_found_by_their_names_and_by_their_tenant_alone(kept: Kept) -> None:
    await kept.cache.put("alice", {b"a": b"1", b"\xff:{}": b"2"})
    assert await kept.cache.get("alice", [b"\xff:{}", b"b", b"a"]) == [b"2", None, b"1"]
    assert await kept.cache.get("bob", [b"a"]) == [None]
    assert await kept.cache.get("alice", []) == []
    assert kept.bypasses == 0


async def test_a_list_has_what_was_added_last_first_and_an_end(kept: Kept) -> None:
    for number in range(5):
        await kept.cache.add("alice", b"a", bytes([number]), most=3)
    assert list(await kept.cache.recent("alice", b"a")) == [b"\x04", b"\x03", b"\x02"]
    assert list(await kept.cache.recent("bob", b"a")) == []
    assert list(await kept.cache.recent("alice", b"b")) == []


async def test_one_tenant_is_cleared_and_counted_and_no_other(kept: Kept) -> None:
    await kept.cache.put("alice", {bytes([number]): b"1" for number in range(9)})
    await kept.cache.add("alice", b"a", b"1", most=3)
    await kept.cache.put("bob", {b"a": b"1"})
    assert [await kept.cache.count(one) for one in ("alice", "bob", "carol")] == [9, 1, 0]

    assert await kept.cache.clear("alice") == 9
    assert await kept.cache.clear("alice") == 0
    assert list(await kept.cache.recent("alice", b"a")) == []
    assert await kept.cache.count("bob") == 1


async def test_whoever_looks_after_one_that_is_away_is_told(tmp_path: Path) -> None:
    cache = Kept(tmp_path / "none").cache
    with pytest.raises(UnavailableError, match="done without"):
        await cache.count("alice")
    with pytest.raises(UnavailableError, match="done without"):
        await cache.clear("alice")
    assert list(await cache.recent("alice", b"a")) == []
    await cache.close()


async def test_calls_that_wait_for_each_other_are_no_failure_of_the_cache(tmp_path: Path) -> None:
    """All of them together take longer than any one may."""
    kept = Kept(tmp_path / "cache", timeout_s=0.5)
    await kept.server.start()

    async def all_have_answers() -> bool:
        """Unless one alone was slow, as on a machine that stood still."""
        kept.bypasses = 0
        kept.seconds += LEFT_ALONE_S
        await kept.cache.put("alice", {b"a": b"1"})
        found = await asyncio.gather(*(kept.cache.get("alice", [b"a"]) for _ in range(4000)))
        return found == [[b"1"]] * 4000 and kept.bypasses == 0

    await until(all_have_answers)
    await kept.cache.close()
    await kept.server.close()


async def test_a_caller_that_leaves_does_not_go_on(kept: Kept) -> None:
    """At whatever step of the call: who waits for its end would wait for an answer."""
    calls = (lambda: kept.cache.get("alice", [b"a"]), lambda: kept.cache.put("alice", {b"a": b"1"}))
    for steps in range(400):
        call = asyncio.ensure_future(calls[steps % 2]())
        for _ in range(steps // 20):
            await asyncio.sleep(0)
        if call.cancel():
            await asyncio.wait({call})
            assert call.cancelled()
    # Nor does the next one have its answer.
    await kept.cache.put("alice", {b"a": b"1"})
    assert await kept.cache.get("alice", [b"b", b"a"]) == [None, b"1"]
    assert kept.bypasses == 0


async def test_values_expire(tmp_path: Path) -> None:
    kept = Kept(tmp_path / "cache", ttl_s=0.05)
    await kept.server.start()
    await kept.cache.put("alice", {b"a": b"1"})

    async def is_gone() -> bool:
        return await kept.cache.get("alice", [b"a"]) == [None]

    await until(is_gone)
    assert kept.bypasses == 0
    await kept.cache.close()
    await kept.server.close()


async def test_it_is_bounded_by_memory_and_never_full(kept: Kept) -> None:
    for number in range(40):
        await kept.cache.put("alice", {bytes([number]): os.urandom(2**20)})
    found = await kept.cache.get("alice", [bytes([39])])
    assert found[0] is not None
    async with Redis.from_url(kept.server.url) as redis:
        assert (await redis.info("memory"))["used_memory"] <= CACHE_BYTES * 1.1
    assert kept.bypasses == 0


async def test_nothing_is_written_to_the_disk(kept: Kept, tmp_path: Path) -> None:
    await kept.cache.put("alice", {b"a": b"a secret that is long enough to be found" * 100})
    await kept.cache.close()
    await kept.server.close()
    stored = b"".join(
        path.read_bytes() for path in (tmp_path / "cache").rglob("*") if path.is_file()
    )
    assert b"a secret that" not in stored


async def test_one_that_is_away_is_done_without_and_used_again(tmp_path: Path) -> None:
    kept = Kept(tmp_path / "cache", timeout_s=0.2)
    await kept.server.start()
    pid = kept.server.pid
    assert pid is not None
    os.kill(pid, signal.SIGSTOP)
    assert await kept.cache.get("alice", [b"a"]) == [None]
    with pytest.raises(UnavailableError, match="done without"):
        await kept.cache.check()
    os.kill(pid, signal.SIGCONT)
    # For a moment nobody waits for it again.
    assert await kept.cache.get("alice", [b"a"]) == [None]
    await kept.cache.put("alice", {b"b": b"2"})
    assert kept.bypasses == 3

    async def is_used() -> bool:
        kept.seconds += LEFT_ALONE_S
        await kept.cache.put("alice", {b"a": b"1"})
        return await kept.cache.get("alice", [b"a"]) == [b"1"]

    await until(is_used)

    async def works() -> bool:
        try:
            await kept.cache.check()
        except UnavailableError:
            return False
        return True

    await until(works)
    await kept.cache.close()
    await kept.server.close()


async def test_one_that_was_killed_comes_back_empty(kept: Kept) -> None:
    await kept.cache.put("alice", {b"a": b"1"})
    pid = kept.server.pid
    assert pid is not None
    os.kill(pid, signal.SIGKILL)

    async def is_back() -> bool:
        return kept.server.pid != pid and not await _is_away(kept)

    await until(is_back)
    kept.seconds += 2 * LEFT_ALONE_S
    assert await kept.cache.get("alice", [b"a"]) == [None]
    await kept.cache.put("alice", {b"a": b"1"})
    assert await kept.cache.get("alice", [b"a"]) == [b"1"]


async def _is_away(kept: Kept) -> bool:
    try:
        await kept.server.check()
    except UnavailableError:
        return True
    return False
