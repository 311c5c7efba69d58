"""Takes a backup of a data folder, whether or not a server runs on it.

Nothing is asked of the server, and nothing of it waits: whoever may read the folder may back it
up, all tenants included. Each collection is as of one write, the sessions as of one moment.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

from groundwire_index.backup.files import describe, write
from groundwire_index.backup.manifest import MANIFEST as SNAPSHOT_MANIFEST
from groundwire_index.backup.manifest import StoredFile
from groundwire_index.backup.whole import CopiedCollection, IndexCopy
from groundwire_index.catalog import CATALOG as INDEX_CATALOG
from groundwire_index.errors import InvalidArgumentError, NotFoundError, UnsupportedError
from groundwire_index.storage.failures import storage_errors

from groundwire_server.backup.archive import ArchiveTarget, is_archive
from groundwire_server.backup.manifest import (
    CATALOG,
    COLLECTIONS,
    SESSIONS,
    SETTINGS,
    BackedUpCollection,
    BackupManifest,
)
from groundwire_server.backup.medium import FolderTarget, Target
from groundwire_server.backup.reading import check, source_at
from groundwire_server.backup.receipts import save_receipts
from groundwire_server.backup.renaming import publish, taken
from groundwire_server.backup.sessions import save_sessions
from groundwire_server.backup.staging import Staging
from groundwire_server.settings_record import encode

Say = Callable[[str], None]


def back_up(
    data_dir: Path, target: Path, settings: Mapping[str, str], redis_url: str, say: Say
) -> BackupManifest:
    """Write everything in a data folder to ``target``, a folder, or an archive by its name.

    ``settings`` are those of its server, and ``redis_url`` is where that keeps its sessions,
    empty for the folder itself. ``say`` is told what is done. When this returns, the backup is on
    stable storage and has been read back; whatever is raised, nothing is there. Raises
    AlreadyExistsError if the target is, DataLossError, naming the file, if what is stored is
    damaged, ResourceExhaustedError when a disk is full, and UnsupportedError for collections
    that are not in the folder.
    """
    data_dir, target = data_dir.resolve(), target.parent.resolve() / target.name
    _require_backed_up_here(settings)
    _require_places(data_dir, target)
    with (
        Staging(target) as staging,
        storage_errors(target),
        closing(_opened(target, staging.path)) as written,
    ):
        receipts = list(save_receipts(data_dir, staging.path))
        collections, files = _index(data_dir / "index", staging.path, written, say)
        files += [_added(written, name, copy) for name, copy in receipts]
        say("sessions")
        log, sessions = save_sessions(data_dir / "redis", redis_url, staging.path)
        files.append(_added(written, SESSIONS, log))
        files.append(_settings(written, settings, staging.path))
        manifest = _manifest(collections, sessions, files)
        written.finish(manifest)
        say("reading it back")
        _forget_cached(written.path)
        check(source_at(written.path))
        publish(written.path, target)
    return manifest


def _require_backed_up_here(settings: Mapping[str, str]) -> None:
    if settings.get("index") == "milvus":
        raise UnsupportedError(
            "the collections of this server are in Milvus (index = milvus), which is backed up by "
            "its own means: `groundwire backup` copies collections that are in the data folder",
            reason="INDEX_ELSEWHERE",
        )


def _require_places(data_dir: Path, target: Path) -> None:
    if not (data_dir / "index" / INDEX_CATALOG).exists():
        raise NotFoundError(f"no server has stored anything in {data_dir}: check --data-dir")
    if target.is_relative_to(data_dir):
        raise InvalidArgumentError(
            "TARGET", f"{target} is in the data folder: choose another place"
        )
    if os.path.lexists(target):
        raise taken(target)


def _opened(target: Path, staging: Path) -> Target:
    return (ArchiveTarget if is_archive(target) else FolderTarget)(staging / target.name)


def _index(
    index: Path, staging: Path, written: Target, say: Say
) -> tuple[list[BackedUpCollection], list[StoredFile]]:
    folder = staging / "index"
    folder.mkdir(mode=0o700)
    copy = IndexCopy(index, folder, begin=lambda tenant, name: say(f"collection {tenant}/{name}"))
    moved = [(_described(one), [*_moved(written, one)]) for one in copy.collections()]
    kept = [one for one in moved if one[0].folder in copy.listed]
    files = [file for _, of_collection in kept for file in of_collection]
    return [one for one, _ in kept], [*files, _added(written, CATALOG, copy.catalog)]


def _described(copied: CopiedCollection) -> BackedUpCollection:
    info = copied.info
    return BackedUpCollection(
        copied.tenant, info.spec.name, copied.folder.name, info.sequence, info.records
    )


def _moved(written: Target, copied: CopiedCollection) -> Iterator[StoredFile]:
    name = f"{COLLECTIONS}/{copied.folder.name}"
    for file in copied.info.files:
        written.add(f"{name}/{file.name}", copied.folder / file.name)
        yield StoredFile(f"{name}/{file.name}", file.bytes, file.sha256)
    yield _added(written, f"{name}/{SNAPSHOT_MANIFEST}", copied.folder / SNAPSHOT_MANIFEST)


def _manifest(
    collections: Sequence[BackedUpCollection], sessions: int, files: Sequence[StoredFile]
) -> BackupManifest:
    return BackupManifest(
        version=version("groundwire"),
        create_time=datetime.now(UTC),
        collections=tuple(collections),
        sessions=sessions,
        files=tuple(files),
    )


def _settings(written: Target, settings: Mapping[str, str], staging: Path) -> StoredFile:
    path = staging / SETTINGS
    write(path, encode(settings))
    return _added(written, SETTINGS, path)


def _added(written: Target, name: str, path: Path) -> StoredFile:
    found = describe(path.parent, path.name, path.stat().st_size)
    written.add(name, path)
    return StoredFile(name, found.bytes, found.sha256)


def _forget_cached(path: Path) -> None:
    """Have what is read next come from the disk."""
    for file in [path, *path.rglob("*")]:
        if file.is_file():
            descriptor = os.open(file, os.O_RDONLY)
            try:
                os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
            finally:
                os.close(descriptor)
