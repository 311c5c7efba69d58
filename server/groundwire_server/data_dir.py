"""The data folder: one server at a time, and room to write."""

from __future__ import annotations

import errno
import fcntl
import json
import os
import shutil
import socket
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Self

from groundwire_index.errors import FailedPreconditionError

# What SQLite's log and Redis' log need to be begun.
MIN_FREE_BYTES = 16 * 2**20

LOCK_FILE = "server.lock"


@dataclass(frozen=True, slots=True)
class Holder:
    """The server that has a data folder."""

    pid: int
    host: str
    started: str
    """ISO 8601, UTC."""
    listen: str


class DataDir:
    """A data folder, held by this process from `__enter__` to `__exit__`.

    The hold is a lock of the operating system's on a file in the folder, so it ends with the
    process, however that ends. Entering makes the folder, for this user alone, if it is not
    there. It raises FailedPreconditionError if another process holds the folder, saying which,
    or if the folder cannot be written to, saying why.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._started = datetime.now(UTC).isoformat(timespec="seconds")
        self._lock = -1

    def __enter__(self) -> Self:
        try:
            self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._lock = os.open(self.path / LOCK_FILE, os.O_RDWR | os.O_CREAT, 0o600)
            self._hold()
        except OSError as error:
            self._release()
            raise _unusable(self.path, error) from error
        except FailedPreconditionError:
            self._release()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._release()

    def announce(self, listen: str) -> None:
        """Leave word, for a server that finds the folder taken, of where this one listens."""
        holder = Holder(os.getpid(), socket.gethostname(), self._started, listen)
        os.ftruncate(self._lock, 0)
        os.pwrite(self._lock, json.dumps(asdict(holder)).encode(), 0)
        os.fsync(self._lock)

    def _hold(self) -> None:
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise _held(self.path, os.pread(self._lock, 4096, 0)) from None
        if shutil.disk_usage(self.path).free < MIN_FREE_BYTES:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        self.announce("an address not yet known")

    def _release(self) -> None:
        # The file stays: were it removed, another server could lock a new one beside it.
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1


def _held(path: Path, content: bytes) -> FailedPreconditionError:
    try:
        holder = Holder(**json.loads(content))
        who = (
            f"process {holder.pid} on {holder.host}, which listens on {holder.listen} and "
            f"started at {holder.started}"
        )
    except (ValueError, TypeError):
        who = "another process"
    return FailedPreconditionError(
        f"data folder {path} is in use by {who}: stop that one, or choose another --data-dir",
        reason="DATA_DIR_IN_USE",
    )


def _unusable(path: Path, error: OSError) -> FailedPreconditionError:
    why = _ADVICE.get(error.errno or 0, error.strerror)
    return FailedPreconditionError(
        f"data folder {path} cannot be used: {why}", reason="DATA_DIR_UNUSABLE"
    )


_ADVICE = {
    errno.EROFS: "it is on a read-only file system; choose another --data-dir",
    errno.EACCES: "this user may not write to it; change its permissions, or choose another",
    errno.EPERM: "this user may not write to it; change its permissions, or choose another",
    errno.ENOTDIR: "a part of its path is a file; choose another --data-dir",
    errno.EEXIST: "it is a file; choose another --data-dir",
    errno.ENOSPC: f"its disk is full (at least {MIN_FREE_BYTES >> 20} MiB are needed); free some",
    errno.EDQUOT: "this user's disk quota is used up; free some space",
}
