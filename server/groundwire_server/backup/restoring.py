"""Restores a backup as a data folder: made beside its place, checked, then there in one step."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path

from groundwire_index.backup.arriving import settle
from groundwire_index.errors import (
    AlreadyExistsError,
    FailedPreconditionError,
    InvalidArgumentError,
)
from groundwire_index.storage.failures import storage_errors
from groundwire_index.storage.lock import FolderLock

from groundwire_server.backup.manifest import SESSIONS, SETTINGS, BackupManifest
from groundwire_server.backup.medium import Source, sync_folders
from groundwire_server.backup.reading import extract, source_at
from groundwire_server.backup.receipts import NAMES as RECEIPTS
from groundwire_server.backup.receipts import keep_secret
from groundwire_server.backup.renaming import exchange, publish, taken
from groundwire_server.backup.sessions import require_no_sessions, send_sessions
from groundwire_server.backup.staging import Staging
from groundwire_server.data_dir import DataDir
from groundwire_server.memory.leftover import stop_leftover
from groundwire_server.memory.redis_folder import RedisFolder
from groundwire_server.settings_record import recorded

Say = Callable[[str], None]

_REDIS_GRACE_S = 10.0


@dataclass(frozen=True, slots=True)
class Restored:
    """What has been put back."""

    manifest: BackupManifest
    settings: Mapping[str, str]
    """Of the server that was backed up, without the secrets; nothing is done with them."""


def restore(backup: Path, data_dir: Path, redis_url: str, say: Say, *, replacing: bool) -> Restored:
    """Make a data folder out of a backup.

    The folder must not be there, or be empty, unless ``replacing``: what it held is then removed.
    Every file is checked first. After a crash at any point, it is as it was, or restored. The
    sessions are put there too, or into the Redis behind ``redis_url``, which must have none.
    Raises DataLossError, naming the file, for a damaged backup, AlreadyExistsError for a folder
    that is not empty, and FailedPreconditionError for one that is in use.
    """
    backup, data_dir = backup.resolve(), data_dir.resolve()
    occupied = _is_occupied(data_dir)
    _require_places(backup, data_dir, replacing=occupied and replacing)
    if occupied and not replacing:
        raise _not_empty(data_dir)
    if redis_url:
        require_no_sessions(redis_url)
    with storage_errors(backup):
        source = source_at(backup)
        manifest = source.manifest()
    with _held(data_dir) if occupied else nullcontext(), Staging(data_dir) as staging:
        made = staging.path / "data"
        made.mkdir(mode=0o700)
        _put_together(source, manifest, staging.path, say)
        settings = recorded(staging.path)
        with storage_errors(data_dir):
            if redis_url:
                say(f"copying {manifest.sessions:,} sessions")
                send_sessions(made / "redis", redis_url)
                shutil.rmtree(made / "redis")
            sync_folders(made)
            _switch(made, data_dir, occupied=occupied)
    return Restored(manifest, settings)


def _put_together(source: Source, manifest: BackupManifest, staging: Path, say: Say) -> None:
    say(f"checking and copying {len(manifest.files):,} files")
    extract(source, manifest, lambda name: staging / _place(name))
    keep_secret(staging / "data")
    say(f"checking {len(manifest.collections):,} collections")
    settle(staging / "data/index")


def _place(name: str) -> str:
    """Where a file of the backup belongs, in the staging folder."""
    if name == SESSIONS:
        return str(RedisFolder(Path("data/redis")).data)
    if name in RECEIPTS:
        return f"data/{name}"
    return name if name == SETTINGS else f"data/index/{name}"


def _is_occupied(data_dir: Path) -> bool:
    with storage_errors(data_dir):
        if data_dir.exists() and not data_dir.is_dir():
            raise taken(data_dir)
        return data_dir.exists() and any(data_dir.iterdir())


def _require_places(backup: Path, data_dir: Path, *, replacing: bool) -> None:
    if data_dir.is_mount():
        raise FailedPreconditionError(
            f"{data_dir} is where a file system is mounted, and cannot be switched in one step: "
            "restore into a folder in it",
            reason="CANNOT_SWITCH",
        )
    if replacing and backup.is_relative_to(data_dir):
        raise InvalidArgumentError(
            "SOURCE", f"{backup} is in the folder that it would replace: move it away first"
        )


@contextmanager
def _held(data_dir: Path) -> Iterator[None]:
    """Nobody else uses what is to be replaced."""
    with DataDir(data_dir), ExitStack() as locks:
        if (data_dir / "index").is_dir():
            with storage_errors(data_dir):
                locks.callback(FolderLock(data_dir / "index").close)
        asyncio.run(stop_leftover(RedisFolder(data_dir / "redis"), grace_s=_REDIS_GRACE_S))
        yield


def _switch(made: Path, data_dir: Path, *, occupied: bool) -> None:
    if occupied:
        # What it held is in the staging folder then, and removed with that.
        exchange(made, data_dir)
    else:
        publish(made, data_dir)


def _not_empty(data_dir: Path) -> AlreadyExistsError:
    return AlreadyExistsError(
        f"{data_dir} is not empty: name another --data-dir, or give --replace to have all that it "
        "holds replaced",
        metadata={"resource_type": "folder", "resource_name": str(data_dir)},
    )
