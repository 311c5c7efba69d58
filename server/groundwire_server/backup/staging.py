"""A hidden folder beside a target, in which it is made: ``.NAME.unfinished``.

Whatever is wrong, the target is not touched before all of it is there. What a crash leaves is
removed by the next attempt at the same target.
"""

from __future__ import annotations

import asyncio
import fcntl
import os
import shutil
import time
from pathlib import Path
from types import TracebackType
from typing import Self

from groundwire_index.errors import FailedPreconditionError, NotFoundError
from groundwire_index.storage.failures import storage_errors

from groundwire_server.memory.leftover import stop_leftover
from groundwire_server.memory.redis_folder import RedisFolder

_REDIS_GRACE_S = 10.0
# A child of what was killed can have a part in the hold until it has become another program.
_PATIENCE_S = 1.0
_POLL_S = 0.02


class Staging:
    """The folder, empty on entering, gone on leaving; one process at a time has it."""

    def __init__(self, target: Path) -> None:
        """Stage what becomes ``target``, an absolute path."""
        self._target = target
        self._held = -1
        self.path = target.with_name(f".{target.name}.unfinished")
        """For this user alone, on the disk of the target."""

    def __enter__(self) -> Self:
        if not self._target.parent.is_dir():
            raise NotFoundError(f"there is no folder {self._target.parent}: make it first")
        with storage_errors(self.path):
            try:
                self._hold()
                self._clear()
            except BaseException:
                self._release()
                raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        shutil.rmtree(self.path, ignore_errors=True)
        self._release()

    def _hold(self) -> None:
        give_up = time.monotonic() + _PATIENCE_S
        while not self._is_held():
            if time.monotonic() > give_up:
                raise FailedPreconditionError(
                    f"another backup or restore is writing {self._target}: wait until it has ended",
                    reason="IN_PROGRESS",
                )
            time.sleep(_POLL_S)

    def _is_held(self) -> bool:
        """Try to take hold of the folder that has the name now."""
        self._release()
        self.path.mkdir(mode=0o700, exist_ok=True)
        self._held = os.open(self.path, os.O_RDONLY | os.O_DIRECTORY)
        try:
            fcntl.flock(self._held, fcntl.LOCK_EX | fcntl.LOCK_NB)
            # Whoever had it may have removed it meanwhile.
            return os.path.samestat(os.fstat(self._held), self.path.stat())
        except (BlockingIOError, FileNotFoundError):
            return False

    def _clear(self) -> None:
        for config in self.path.rglob("redis.conf"):
            asyncio.run(stop_leftover(RedisFolder(config.parent), grace_s=_REDIS_GRACE_S))
        for left in self.path.iterdir():
            if left.is_dir():
                shutil.rmtree(left)
            else:
                left.unlink()

    def _release(self) -> None:
        if self._held >= 0:
            os.close(self._held)
            self._held = -1
