"""Sessions of a Redis of someone else's: copied key by key, from any kind into any kind."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

import pytest
from groundwire_index.errors import FailedPreconditionError, NotFoundError, UnavailableError
from groundwire_server.backup import session_keys
from groundwire_server.backup.restoring import restore
from groundwire_server.backup.session_keys import connected, copy_keys
from groundwire_server.backup.sessions import require_no_sessions, save_sessions, send_sessions
from groundwire_server.engines.engine import Role
from groundwire_server.memory.redis_sessions import RedisSessions
from groundwire_server.memory.session import NewTurn
from groundwire_server.usage.counts import Counts
from groundwire_server.usage.redis_usage import RedisUsage
from groundwire_server.usage.store import Batch, Row, TenantDay
from redis.asyncio import Redis

from tests.conformance.sessions.servers import closing, cluster, free_port, sessions_at, tcp_server
from tests.patience import PATIENCE_S
from tests.unit.backup.stored import TENANTS, assert_filled, assert_stored, backed_up, fill, names


def restored(backup: Path, data_dir: Path, redis_url: str) -> None:
    restore(backup, data_dir, redis_url, lambda _: None, replacing=False)


async def test_from_a_redis_to_a_cluster(tmp_path: Path) -> None:
    (tmp_path / "staging").mkdir()
    async with tcp_server(tmp_path / "from") as port, cluster(tmp_path / "to") as first:
        source, target = f"redis://127.0.0.1:{port}/3", f"redis://127.0.0.1:{first}"
        async with closing(sessions_at(source)) as sessions:
            await fill(sessions)
        log, count = await asyncio.to_thread(
            save_sessions, tmp_path / "unused", source, tmp_path / "staging"
        )
        assert count == len(TENANTS)
        await asyncio.to_thread(require_no_sessions, target)
        await asyncio.to_thread(send_sessions, log.parent, target)
        async with closing(sessions_at(target)) as sessions:
            await assert_filled(sessions)
        with pytest.raises(FailedPreconditionError, match="holds sessions already"):
            await asyncio.to_thread(require_no_sessions, target)


async def test_they_are_backed_up_and_restored_with_all_else(data: Path, tmp_path: Path) -> None:
    async with tcp_server(tmp_path / "from") as port, tcp_server(tmp_path / "to") as other:
        source, target = (f"redis://127.0.0.1:{each}" for each in (port, other))
        async with closing(sessions_at(source)) as sessions:
            await fill(sessions)
        backup, new = tmp_path / "b.tar", tmp_path / "new"
        manifest = await asyncio.to_thread(backed_up, data, backup, source)
        assert manifest.sessions == len(TENANTS)
        with pytest.raises(FailedPreconditionError, match="holds sessions already"):
            await asyncio.to_thread(restored, backup, new, source)
        assert not new.exists()
        await asyncio.to_thread(restored, backup, new, target)
        assert names(new) == ["index"]
        async with closing(sessions_at(target)) as sessions:
            await assert_filled(sessions)
        # What came from elsewhere serves as a server's own, too.
        await asyncio.to_thread(restored, backup, tmp_path / "own", "")
        await asyncio.to_thread(assert_stored, tmp_path / "own")


async def test_from_a_cluster_to_a_redis(tmp_path: Path) -> None:
    (tmp_path / "staging").mkdir()
    async with cluster(tmp_path / "from") as first, tcp_server(tmp_path / "to") as port:
        source, target = f"redis://127.0.0.1:{first}", f"redis://127.0.0.1:{port}"
        async with closing(sessions_at(source)) as sessions:
            await fill(sessions)
        log, _ = await asyncio.to_thread(
            save_sessions, tmp_path / "unused", source, tmp_path / "staging"
        )
        await asyncio.to_thread(send_sessions, log.parent, target)
        async with closing(sessions_at(target)) as sessions:
            await assert_filled(sessions)


async def test_usage_comes_along_for_as_long_as_it_is_kept(tmp_path: Path) -> None:
    of, row = TenantDay("acme", datetime.now(UTC).date()), Row("ada", "turns")
    counts = Counts(requests=3, latency_us=7, latencies=Counter({5: 3}))
    async with tcp_server(tmp_path / "from") as port, cluster(tmp_path / "to") as first:
        source, target = f"redis://127.0.0.1:{port}", f"redis://127.0.0.1:{first}"
        usage, copied = (
            RedisUsage(url, days=30, subjects=10, timeout_s=PATIENCE_S) for url in (source, target)
        )
        await usage.add(Batch(of, 1, {row: counts}))
        async with connected(source) as theirs, connected(target) as own:
            await copy_keys(theirs, own)
            assert await copied.rows(of) == [row]
            assert await copied.counts(of, [row]) == [counts]
            lives = [await own.ttl(key) async for key in own.scan_iter(match="gw:*")]
            assert len(lives) == 3
            assert all(29 * 86_400 < life < 32 * 86_400 for life in lives)
        await usage.close()
        await copied.close()


async def test_while_they_are_used_each_is_whole(tmp_path: Path) -> None:
    async with tcp_server(tmp_path / "from") as port, tcp_server(tmp_path / "to") as other:
        source, target = f"redis://127.0.0.1:{port}", f"redis://127.0.0.1:{other}"
        async with (
            closing(sessions_at(source)) as sessions,
            closing(sessions_at(target)) as copies,
            connected(source) as theirs,
            connected(target) as own,
        ):
            await fill(sessions)
            stop = asyncio.Event()

            async def use() -> None:
                number = 0
                while not stop.is_set():
                    number += 1
                    turn = NewTurn(Role.USER, f"more {number}")
                    await sessions.append(TENANTS[0], "s", [turn], idempotency_key=f"u{number}")
                    await sessions.delete(TENANTS[1], "s")
                    await sessions.create(TENANTS[1], "bob", session_id="s")
                    await sessions.append(TENANTS[1], "s", [turn, turn])

            using = asyncio.create_task(use())
            await copy_keys(theirs, own)
            stop.set()
            await using
            kept = await copies.get(TENANTS[0], "s")
            found = await copies.turns(TENANTS[0], "s", after=0, limit=1000)
            assert [turn.number for turn in found.turns] == list(range(1, kept.head + 1))
            turn = NewTurn(Role.USER, "next")
            assert await copies.append(TENANTS[0], "s", [turn]) == kept.head + 1
            try:
                remade = await copies.get(TENANTS[1], "s")
            except NotFoundError:
                return
            read = await copies.turns(TENANTS[1], "s", after=0, limit=1000)
            assert [turn.number for turn in read.turns] == list(range(1, remade.head + 1))


async def contents(sessions: RedisSessions, session_id: str) -> str:
    page = await sessions.turns(TENANTS[0], session_id, after=0, limit=1000)
    assert [turn.number for turn in page.turns] == list(range(1, page.head + 1))
    return "".join(turn.content for turn in page.turns)


def say(*contents: str) -> list[NewTurn]:
    return [NewTurn(Role.USER, content) for content in contents]


async def test_forks_come_with_what_they_share_and_lists_with_what_they_list(
    tmp_path: Path,
) -> None:
    async with tcp_server(tmp_path / "from") as port, cluster(tmp_path / "to") as first:
        source, target = f"redis://127.0.0.1:{port}", f"redis://127.0.0.1:{first}"
        async with closing(sessions_at(source)) as sessions:
            await sessions.create(TENANTS[0], "ada", session_id="s")
            await sessions.append(TENANTS[0], "s", say(*"abcd"))
            await sessions.fork(TENANTS[0], "ada", "s", 3, new_session_id="fork")
            await sessions.append(TENANTS[0], "fork", say("x"))
            await sessions.fork(TENANTS[0], "ada", "fork", 4, new_session_id="below")
            await sessions.delete(TENANTS[0], "s")
            await sessions.delete(TENANTS[0], "fork")
            await sessions.create(TENANTS[0], "ada", session_id="s", title="another")
        async with (
            connected(source) as theirs,
            connected(target) as own,
            closing(sessions_at(target)) as copies,
        ):
            await copy_keys(theirs, own)
            assert await contents(copies, "below") == "abcx"
            listed = (await copies.list(TENANTS[0], "ada", limit=10)).sessions
            assert {one.id for one in listed} == {"s", "below"}
            assert await copies.delete(TENANTS[0], "s") == 0
            assert await contents(copies, "below") == "abcx"
            await copies.delete(TENANTS[0], "below")
            assert [key async for key in own.scan_iter(match="gw:*")] == []


async def test_forks_that_are_made_and_deleted_meanwhile_are_whole_or_not_there(
    tmp_path: Path,
) -> None:
    async with tcp_server(tmp_path / "from") as port, tcp_server(tmp_path / "to") as other:
        source, target = f"redis://127.0.0.1:{port}", f"redis://127.0.0.1:{other}"
        async with (
            closing(sessions_at(source)) as sessions,
            closing(sessions_at(target)) as copies,
            connected(source) as theirs,
            connected(target) as own,
        ):
            for number in range(60):
                await sessions.create(TENANTS[0], "ada", session_id=f"s{number}")
                await sessions.append(TENANTS[0], f"s{number}", say("a"))
            stop = asyncio.Event()
            made = 0

            async def use() -> None:
                nonlocal made
                while not stop.is_set():
                    parent = f"s{made % 60}"
                    head = await sessions.append(TENANTS[0], parent, say("b"))
                    await sessions.fork(TENANTS[0], "ada", parent, head, new_session_id=f"f{made}")
                    if made % 2:
                        await sessions.delete(TENANTS[0], f"f{made - 1}")
                    made += 1

            using = asyncio.create_task(use())
            await copy_keys(theirs, own)
            stop.set()
            await using
            assert made > 1
            listed = (await copies.list(TENANTS[0], "ada", limit=1000)).sessions
            assert {f"s{number}" for number in range(60)} <= {one.id for one in listed}
            async for key in own.scan_iter(match="gw:*:session"):
                session_id = key.decode().partition("}")[0].rpartition(":")[2]
                there = await copies.get(TENANTS[0], session_id)
                assert len(await contents(copies, session_id)) == there.head
                if there.parent:
                    forks = await copies.forks(TENANTS[0], there.parent.session_id)
                    assert session_id in {fork.id for fork in forks}


async def test_a_fork_that_changes_after_its_parent_was_copied_comes_with_what_it_shares(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with tcp_server(tmp_path / "from") as port, tcp_server(tmp_path / "to") as other:
        source, target = f"redis://127.0.0.1:{port}", f"redis://127.0.0.1:{other}"
        async with (
            closing(sessions_at(source)) as sessions,
            closing(sessions_at(target)) as copies,
            connected(source) as theirs,
            connected(target) as own,
        ):
            await sessions.create(TENANTS[0], "ada", session_id="parent")
            await sessions.append(TENANTS[0], "parent", say("a"))
            await sessions.fork(TENANTS[0], "ada", "parent", 1, new_session_id="fork")
            by_slot, copy_slot = session_keys._by_slot, session_keys._copy_slot

            async def parent_first(redis: Redis) -> Mapping[bytes, set[bytes]]:
                found = await by_slot(redis)
                return {
                    tag: found[tag] for tag in sorted(found, key=lambda t: b":parent}" not in t)
                }

            async def and_then_change(redis: Redis, to: Redis, keys: set[bytes]) -> None:
                await copy_slot(redis, to, keys)
                if (await sessions.get(TENANTS[0], "parent")).head == 1:
                    await sessions.delete(TENANTS[0], "fork")
                    await sessions.append(TENANTS[0], "parent", say("b"))
                    await sessions.fork(TENANTS[0], "ada", "parent", 2, new_session_id="fork")

            monkeypatch.setattr(session_keys, "_by_slot", parent_first)
            monkeypatch.setattr(session_keys, "_copy_slot", and_then_change)
            await copy_keys(theirs, own)
            assert await contents(copies, "fork") == "ab"
            await copies.delete(TENANTS[0], "parent")
            assert await contents(copies, "fork") == "ab"


async def test_one_that_does_not_answer_is_told(tmp_path: Path) -> None:
    (tmp_path / "staging").mkdir()
    url = f"redis://:secret@127.0.0.1:{free_port()}"
    with pytest.raises(UnavailableError, match=r"check that the Redis at 127\.0\.0\.1") as raised:
        await asyncio.to_thread(save_sessions, tmp_path, url, tmp_path / "staging")
    assert "secret" not in raised.value.message
