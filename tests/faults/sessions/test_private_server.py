"""The private redis-server: it comes back, leaves nothing behind, and loses nothing."""

from __future__ import annotations

import asyncio
import os
import signal
import stat
import sys
from contextlib import suppress
from functools import partial
from pathlib import Path

import pytest
from groundwire_index.errors import FailedPreconditionError, GroundwireError, UnavailableError
from groundwire_server.engines.engine import Role
from groundwire_server.memory import leftover, redis_server
from groundwire_server.memory.redis_folder import RedisFolder, bundled_executable
from groundwire_server.memory.redis_server import RedisServer
from groundwire_server.memory.redis_sessions import RedisSessions
from groundwire_server.memory.session import NewTurn
from redis.asyncio import Redis

from tests.conformance.sessions.servers import closing, sessions_at, sessions_on
from tests.patience import PATIENCE_S, in_time, longer_each_time, until

OWNER = """
import asyncio, sys
from pathlib import Path
from groundwire_server.memory.redis_server import RedisServer

async def main():
    server = RedisServer(Path(sys.argv[1]))
    await server.start()
    print(server.pid, flush=True)
    await asyncio.Event().wait()

asyncio.run(main())
"""


def is_running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


async def append_until_stored(sessions: RedisSessions, tenant: str, content: str) -> None:
    """What a client does: the same call with the same key until it is answered."""

    async def is_stored() -> bool:
        try:
            await sessions.append(
                tenant, "s", [NewTurn(Role.USER, content)], idempotency_key=content
            )
        except UnavailableError:
            return False
        return True

    await until(is_stored, f"turn {content} is stored")


async def is_ready(server: RedisServer) -> bool:
    try:
        await server.check()
    except UnavailableError:
        return False
    return True


async def contents_of(sessions: RedisSessions, tenant: str) -> list[str]:
    page = await sessions.turns(tenant, "s", after=0, limit=1000)
    return [turn.content for turn in page.turns]


async def start_again(server: RedisServer, tmp_path: Path) -> RedisServer:
    await server.close()
    again = RedisServer(tmp_path / "redis")
    await again.start()
    return again


async def test_when_it_is_killed_no_turn_is_lost_and_none_is_doubled_by_a_retry(
    server: RedisServer, sessions: RedisSessions, tenant: str
) -> None:
    await sessions.create(tenant, "ada", session_id="s")
    appends = [
        asyncio.create_task(append_until_stored(sessions, tenant, str(n))) for n in range(200)
    ]
    killed: set[int] = set()
    for threshold in (20, 80, 140):

        async def enough(threshold: int = threshold) -> bool:
            return sum(append.done() for append in appends) >= threshold

        await until(enough, f"{threshold} turns are stored")
        if server.pid and server.pid not in killed:
            killed.add(server.pid)
            os.kill(server.pid, signal.SIGKILL)
    await asyncio.gather(*appends)
    assert killed

    async def runs_again() -> bool:
        # The last of those killed may not have been missed yet.
        return server.pid not in killed and await is_ready(server)

    await until(runs_again, "redis-server runs")
    stored = await contents_of(sessions, tenant)
    assert sorted(stored, key=int) == [str(n) for n in range(200)]
    assert (await sessions.get(tenant, "s")).head == 200


async def test_what_was_acknowledged_is_there_after_a_kill(
    server: RedisServer, sessions: RedisSessions, tenant: str
) -> None:
    await sessions.create(tenant, "ada", session_id="s")
    first = server.pid
    for number in range(20):
        await append_until_stored(sessions, tenant, str(number))
    assert first
    os.kill(first, signal.SIGKILL)

    async def is_back() -> bool:
        return server.pid != first and await is_ready(server)

    await until(is_back, "redis-server runs again")
    assert await contents_of(sessions, tenant) == list(map(str, range(20)))


async def test_a_caller_is_told_what_to_do_while_it_is_down_and_not_where_it_was(
    tmp_path: Path, tenant: str, caplog: pytest.LogCaptureFixture
) -> None:
    server = RedisServer(tmp_path / "redis", backoff_s=1000)
    await server.start()
    async with closing(sessions_on(server)) as sessions:
        await sessions.create(tenant, "ada", session_id="s")
        assert server.pid
        os.kill(server.pid, signal.SIGKILL)

        async def is_down() -> bool:
            return not await is_ready(server)

        await until(is_down, "it is down")
        for call in (
            lambda: sessions.append(tenant, "s", [NewTurn(Role.USER, "x")], idempotency_key="k"),
            lambda: sessions.get(tenant, "s"),
        ):
            with pytest.raises(UnavailableError) as raised:
                await call()
            assert raised.value.message == (
                "the session store cannot be reached. Nothing of this call was written, and what "
                "was acknowledged is kept: the server starts it again by itself; retry in a moment"
            )
    assert any("redis.sock" in getattr(line, "cause", "") for line in caplog.records)
    await server.close()


async def test_its_check_fails_while_it_is_down(server: RedisServer) -> None:
    await server.check()
    assert server.pid
    os.kill(server.pid, signal.SIGKILL)

    async def fails() -> bool:
        return not await is_ready(server)

    await until(fails, "the check fails")


async def test_closing_ends_it_and_the_next_start_has_everything(
    server: RedisServer, sessions: RedisSessions, tenant: str, tmp_path: Path
) -> None:
    await sessions.create(tenant, "ada", session_id="s", title="kept")
    pid = server.pid
    assert pid
    again = await start_again(server, tmp_path)
    assert not is_running(pid)
    assert (await sessions.get(tenant, "s")).title == "kept"
    await again.close()
    with pytest.raises(UnavailableError):
        await again.check()
    await again.close()


async def test_closing_before_it_was_started_does_nothing(tmp_path: Path) -> None:
    await RedisServer(tmp_path / "redis").close()
    assert not (tmp_path / "redis").exists()


async def test_closing_while_it_starts_again_ends_it_though_a_cancellation_is_lost(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = asyncio.Event()

    async def deaf(client: Redis) -> bool:
        """As redis-py is where the answer comes in the same moment: three times in eighty."""
        asked.set()
        with suppress(asyncio.CancelledError):
            await asyncio.Event().wait()
        return True

    server = RedisServer(tmp_path / "redis", backoff_s=0)
    await server.start()
    monkeypatch.setattr(redis_server, "_is_loaded", deaf)
    assert server.pid
    os.kill(server.pid, signal.SIGKILL)
    await in_time(asked.wait(), "it is started again")
    pid = server.pid
    assert pid
    closing_it = asyncio.create_task(server.close())
    closed, _ = await asyncio.wait([closing_it], timeout=PATIENCE_S)
    closing_it.cancel()
    assert closed
    assert not is_running(pid)


async def test_the_server_of_an_owner_that_was_killed_is_taken_over(
    tmp_path: Path, tenant: str, request: pytest.FixtureRequest
) -> None:
    folder = tmp_path / "redis"
    owner = await asyncio.create_subprocess_exec(
        sys.executable, "-c", OWNER, str(folder), stdout=asyncio.subprocess.PIPE
    )
    assert owner.stdout
    orphan = int(await owner.stdout.readline())
    request.addfinalizer(lambda: is_running(orphan) and os.kill(orphan, signal.SIGKILL))
    async with closing(sessions_at(RedisFolder(folder).url)) as sessions:
        await sessions.create(tenant, "ada", session_id="s")
        await append_until_stored(sessions, tenant, "before")
        owner.kill()
        await owner.wait()
        assert is_running(orphan)

        server = RedisServer(folder)
        await server.start()
        try:
            assert not is_running(orphan)
            assert RedisFolder(folder).running() == [server.pid]
            await append_until_stored(sessions, tenant, "after")
            assert await contents_of(sessions, tenant) == ["before", "after"]
        finally:
            await server.close()
    assert RedisFolder(folder).running() == []


async def test_a_leftover_that_does_not_listen_is_killed(tmp_path: Path) -> None:
    folder = RedisFolder(tmp_path / "redis")
    folder.prepare()
    stuck = await asyncio.create_subprocess_exec(
        bundled_executable(), folder.config, cwd=folder.path, stdout=asyncio.subprocess.DEVNULL
    )

    async def is_seen() -> bool:
        return folder.running() == [stuck.pid]

    await until(is_seen, "the leftover runs")
    stuck.send_signal(signal.SIGSTOP)
    server = RedisServer(folder.path, stop_grace_s=0.05)
    await server.start()
    assert await stuck.wait() == -signal.SIGKILL
    await server.close()


async def test_no_other_process_in_the_folder_is_touched(tmp_path: Path) -> None:
    folder = tmp_path / "redis"
    folder.mkdir()
    bystander = await asyncio.create_subprocess_exec("sleep", "600", cwd=folder)
    server = RedisServer(folder)
    await server.start()
    await server.close()
    assert bystander.returncode is None
    bystander.kill()
    await bystander.wait()


async def test_it_does_not_start_beside_one_that_it_cannot_see(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(leftover, "_LET_GO_S", 0.0)
    folder = RedisFolder(tmp_path / "redis")
    folder.prepare()
    elsewhere = await asyncio.start_unix_server(lambda _, writer: writer.close(), folder.socket)
    server = RedisServer(folder.path)
    async with elsewhere:
        with pytest.raises(FailedPreconditionError, match="cannot see"):
            await server.start()
    await server.close()


async def test_it_is_killed_when_it_does_not_stop_within_its_grace(tmp_path: Path) -> None:
    server = RedisServer(tmp_path / "redis", stop_grace_s=0.05)
    await server.start()
    pid = server.pid
    assert pid
    os.kill(pid, signal.SIGSTOP)
    await server.close()
    assert not is_running(pid)


async def test_a_last_write_that_a_crash_cut_short_is_dropped_and_the_rest_is_there(
    server: RedisServer, sessions: RedisSessions, tenant: str, tmp_path: Path
) -> None:
    await sessions.create(tenant, "ada", session_id="s")
    await append_until_stored(sessions, tenant, "whole")
    await server.close()
    log = tmp_path / "redis/appendonly.aof"
    with log.open("ab") as file:
        file.write(b"*3\r\n$3\r\nSET\r\n$5\r\nthe c")
    again = await start_again(server, tmp_path)
    assert await contents_of(sessions, tenant) == ["whole"]
    await append_until_stored(sessions, tenant, "next")
    final = await start_again(again, tmp_path)
    assert await contents_of(sessions, tenant) == ["whole", "next"]
    await final.close()


async def test_files_that_cannot_be_read_stop_the_start_and_are_left_as_they_are(
    server: RedisServer, tmp_path: Path
) -> None:
    await server.close()
    log = tmp_path / "redis/appendonly.aof"
    spoiled = b"*1\r\n$3\r\nFOO\r\nnot a log at all\r\n" * 3
    log.write_bytes(spoiled)
    again = RedisServer(tmp_path / "redis")
    with pytest.raises(UnavailableError, match=r"ended at its start: .*append only file"):
        await again.start()
    await again.close()
    assert log.read_bytes() == spoiled


async def test_an_executable_that_cannot_be_run_is_named(tmp_path: Path) -> None:
    for executable in (tmp_path / "missing", tmp_path):
        server = RedisServer(tmp_path / "redis", executable=executable)
        with pytest.raises(FailedPreconditionError, match=str(executable)):
            await server.start()
        await server.close()


async def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    server = RedisServer(tmp_path / "file/redis")
    with pytest.raises(FailedPreconditionError, match="file/redis"):
        await server.start()
    await server.close()


async def test_it_is_tried_again_until_it_can_be_run(tmp_path: Path, tenant: str) -> None:
    """Also when what it needs is away for a while."""
    link = tmp_path / "redis-server"
    link.symlink_to(bundled_executable())
    server = RedisServer(tmp_path / "redis", executable=link, backoff_s=0.001)
    await server.start()
    link.unlink()
    assert server.pid
    os.kill(server.pid, signal.SIGKILL)

    async def is_down() -> bool:
        return not await is_ready(server)

    await until(is_down, "it is down")
    with pytest.raises(UnavailableError, match="does not run"):
        await server.check()
    link.symlink_to(bundled_executable())
    await until(partial(is_ready, server), "it is back")
    async with closing(sessions_on(server)) as sessions:
        await sessions.create(tenant, "ada")
    await server.close()


async def test_one_that_ends_at_once_is_reported_with_its_last_words(tmp_path: Path) -> None:
    executable = tmp_path / "redis-server"
    executable.write_text("#!/bin/sh\necho something is wrong\nexit 3\n")
    executable.chmod(0o755)
    server = RedisServer(tmp_path / "redis", executable=executable)
    with pytest.raises(UnavailableError, match="something is wrong"):
        await server.start()
    await server.close()


async def test_one_that_never_gets_ready_is_given_up(tmp_path: Path) -> None:
    executable = tmp_path / "redis-server"
    executable.write_text("#!/bin/sh\nexec sleep 600\n")
    executable.chmod(0o755)
    for limit_s in longer_each_time(1):
        server = RedisServer(tmp_path / "redis", executable=executable, start_timeout_s=limit_s)
        with pytest.raises(UnavailableError, match=rf"not ready after {limit_s:g} s"):
            await server.start()
        pid = server.pid
        await server.close()
        if pid:
            break
    assert not is_running(pid)


async def test_a_start_that_is_cancelled_leaves_no_process(tmp_path: Path) -> None:
    executable = tmp_path / "redis-server"
    executable.write_text("#!/bin/sh\nexec sleep 600\n")
    executable.chmod(0o755)
    server = RedisServer(tmp_path / "redis", executable=executable)
    starting = asyncio.create_task(server.start())

    async def is_spawned() -> bool:
        return server.pid is not None

    await until(is_spawned, "the process is there")
    pid = server.pid
    starting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await starting
    await server.close()
    assert pid
    assert not is_running(pid)


async def test_a_folder_with_a_long_path_and_an_odd_name_works(tmp_path: Path, tenant: str) -> None:
    folder = tmp_path / ('an odd "näme" % # \'' + "x" * 120) / "redis"
    server = RedisServer(folder)
    await server.start()
    socket = RedisFolder(folder).socket
    assert socket.parent != folder
    assert stat.S_IMODE(socket.parent.stat().st_mode) == 0o700
    async with closing(sessions_on(server)) as sessions:
        await sessions.create(tenant, "ada", session_id="s")
    await server.close()
    assert not socket.parent.exists()


async def test_a_socket_folder_that_others_may_enter_is_refused(tmp_path: Path) -> None:
    folder = RedisFolder(tmp_path / ("x" * 150) / "redis")
    folder.socket.parent.mkdir(mode=0o755)
    server = RedisServer(folder.path)
    with pytest.raises(GroundwireError, match="this user alone"):
        await server.start()
    await server.close()
    folder.socket.parent.rmdir()


async def test_only_this_user_can_reach_it(server: RedisServer, tmp_path: Path) -> None:
    folder = tmp_path / "redis"
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert stat.S_IMODE((folder / "redis.sock").stat().st_mode) == 0o700
