"""One process at a time in a folder."""

from __future__ import annotations

import fcntl
import json
import os
import socket
from datetime import UTC, datetime
from pathlib import Path

from groundwire_index.errors import FailedPreconditionError

LOCK_FILE = "LOCK"


class FolderLock:
    """Holds a folder from construction to `close`, or to the end of the process.

    Raises FailedPreconditionError, naming the holder, if the folder is held already, by this
    process or by another.
    """

    def __init__(self, folder: Path) -> None:
        self._file = os.open(folder / LOCK_FILE, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            self._sign()
        except BlockingIOError:
            holder = _holder(os.pread(self._file, 4096, 0))
            self.close()
            raise FailedPreconditionError(
                f"index folder {folder} is in use by {holder}: stop that one, or choose another "
                "folder",
                reason="INDEX_IN_USE",
            ) from None
        except OSError:
            self.close()
            raise

    def close(self) -> None:
        """Let the folder go. The file stays: were it removed, two could lock two of them."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1

    def _sign(self) -> None:
        started = datetime.now(UTC).isoformat(timespec="seconds")
        signature = {"pid": os.getpid(), "host": socket.gethostname(), "started": started}
        os.ftruncate(self._file, 0)
        os.pwrite(self._file, json.dumps(signature).encode(), 0)


def _holder(content: bytes) -> str:
    try:
        signature = json.loads(content)
        return "process {pid} on {host}, which opened it at {started}".format(**signature)
    except (ValueError, TypeError, KeyError):
        return "another process"
