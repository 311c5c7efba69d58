"""The files of the private redis-server."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import unquote, urlsplit

from groundwire_server.memory.redis_folder import RedisFolder, bundled_executable


def test_the_executable_is_found() -> None:
    assert bundled_executable().is_file()


def test_the_socket_is_in_the_folder_where_its_path_is_short_enough(tmp_path: Path) -> None:
    base = Path("/tmp/é")
    for length in range(60, 120):
        folder = RedisFolder(base / ("x" * length))
        socket = folder.socket
        assert len(str(socket).encode()) <= 107
        inside = folder.path / "redis.sock"
        assert (socket == inside) == (len(str(inside).encode()) <= 107)
        assert unquote(urlsplit(folder.url).path) == str(socket)


def test_folders_do_not_share_a_short_socket() -> None:
    sockets = {RedisFolder(Path("/x" * 60) / name).socket for name in "abc"}
    assert len(sockets) == 3


def test_a_log_that_has_grown_is_begun_anew_and_its_last_words_are_read(tmp_path: Path) -> None:
    folder = RedisFolder(tmp_path)
    assert folder.last_words() == ""
    folder.log.write_bytes(b"x\n" * 2**20 + b"the \xff end\n\n")
    assert folder.last_words() == "the \ufffd end"
    folder.prepare()
    assert not folder.log.exists()


def test_what_is_configured_is_safe_and_private(tmp_path: Path) -> None:
    folder = RedisFolder(tmp_path / "redis")
    folder.prepare()
    lines = folder.config.read_text().splitlines()
    for line in ("port 0", "appendonly yes", "appendfsync everysec", "unixsocketperm 700"):
        assert line in lines
    assert "maxmemory-policy noeviction" in lines
