"""All snapshots of an index folder: ``snapshots/<tenant>/<id>/``, each whole or not there.

One is written into a folder whose name ends in ``.new``, its manifest last, checked, and renamed.
What a crash leaves has that name still, and is swept when the index is opened next.
"""

from __future__ import annotations

import errno
import hashlib
import logging
import secrets
import shutil
import threading
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from groundwire_index.backup.contents import check_contents
from groundwire_index.backup.copying import describe_copy
from groundwire_index.backup.files import check, write
from groundwire_index.backup.manifest import (
    MANIFEST,
    SnapshotInfo,
    encode,
    is_snapshot_id,
    new_snapshot_id,
    read,
)
from groundwire_index.errors import (
    AlreadyExistsError,
    DataLossError,
    GroundwireError,
    NotFoundError,
)
from groundwire_index.once import key_reused
from groundwire_index.records import CollectionSpec
from groundwire_index.storage.failures import storage_errors
from groundwire_index.storage.folders import make_folder, sync_folder

SNAPSHOTS = "snapshots"
_UNFINISHED = ".new"
# Beside the manifest and not in it: it concerns this server alone.
_KEY = "key"

_log = logging.getLogger(__name__)


class SnapshotStore:
    """Keeps snapshots, also of collections that are gone. Thread-safe."""

    def __init__(self, index_folder: Path, now: Callable[[], float]) -> None:
        self._path = index_folder / SNAPSHOTS
        self._now = now
        self._taking = threading.Lock()
        with storage_errors(self._path):
            for left in self._path.glob(f"*/*{_UNFINISHED}"):
                shutil.rmtree(left, ignore_errors=True)

    def take(
        self, tenant: str, spec: CollectionSpec, copy: Callable[[Path], None], key: str
    ) -> SnapshotInfo:
        """Keep what ``copy`` puts into a folder; what this key took before, if it did."""
        with self._taking:
            taken = self._taken(tenant, spec.name, key)
            if taken is not None:
                return taken
            now = datetime.fromtimestamp(self._now(), UTC)
            snapshot_id = new_snapshot_id(now)
            unfinished = self.begin(tenant, snapshot_id)
            try:
                copy(unfinished.folder)
                info = describe_copy(unfinished.folder, snapshot_id, spec, now)
                unfinished.publish(info, key)
            finally:
                unfinished.discard()
            return info

    def begin(self, tenant: str, snapshot_id: str) -> Unfinished:
        """A place for the files of a snapshot, which others do not see yet."""
        return Unfinished(self.folder(tenant, snapshot_id))

    def find(self, tenant: str, snapshot_id: str) -> SnapshotInfo:
        """One snapshot. Raises NotFoundError, and DataLossError if its manifest is damaged."""
        folder = self.folder(tenant, snapshot_id)
        with storage_errors(folder):
            if not folder.exists():
                raise _not_found(snapshot_id)
            return read(folder)

    def page(self, tenant: str, collection: str, before: str, limit: int) -> list[SnapshotInfo]:
        """The newest of a collection, or of all, that are older than ``before``; newest first."""
        found: list[SnapshotInfo] = []
        for snapshot_id in sorted(self._ids(tenant), reverse=True):
            if len(found) == limit:
                break
            if before and snapshot_id >= before:
                continue
            info = self._readable(tenant, snapshot_id)
            if info is not None and collection in ("", info.spec.name):
                found.append(info)
        return found

    def remove(self, tenant: str, snapshot_id: str) -> None:
        """Forget a snapshot; what others share with it stays. Raises NotFoundError."""
        folder = self.folder(tenant, snapshot_id)
        leaving = folder.with_name(folder.name + f".{secrets.token_hex(4)}{_UNFINISHED}")
        with storage_errors(folder):
            try:
                folder.rename(leaving)
            except FileNotFoundError:
                raise _not_found(snapshot_id) from None
            sync_folder(folder.parent)
        shutil.rmtree(leaving, ignore_errors=True)

    def folder(self, tenant: str, snapshot_id: str) -> Path:
        """Where a snapshot is, if there is one. Raises NotFoundError for what is no id."""
        if not is_snapshot_id(snapshot_id):
            raise _not_found(snapshot_id)
        return self._of(tenant) / snapshot_id

    def _of(self, tenant: str) -> Path:
        # A tenant's name may hold what a path must not.
        return self._path / hashlib.sha256(tenant.encode()).hexdigest()[:32]

    def _ids(self, tenant: str) -> list[str]:
        with storage_errors(self._path):
            of_tenant = self._of(tenant)
            if not of_tenant.exists():
                return []
            return [path.name for path in of_tenant.iterdir() if is_snapshot_id(path.name)]

    def _readable(self, tenant: str, snapshot_id: str) -> SnapshotInfo | None:
        try:
            return self.find(tenant, snapshot_id)
        except NotFoundError:
            return None
        except DataLossError as error:
            _log.error("%s", error)
            return None

    def _taken(self, tenant: str, collection: str, key: str) -> SnapshotInfo | None:
        for snapshot_id in self._ids(tenant) if key else ():
            path = self.folder(tenant, snapshot_id) / _KEY
            if path.exists() and path.read_text("utf-8") == key:
                info = self.find(tenant, snapshot_id)
                if info.spec.name != collection:
                    raise key_reused(key)
                return info
        return None


class Unfinished:
    """A snapshot that is being written. `publish` it, then `discard` it in any case."""

    def __init__(self, place: Path) -> None:
        self._place = place
        self.folder = place.with_name(f"{place.name}.{secrets.token_hex(4)}{_UNFINISHED}")
        try:
            with storage_errors(self.folder):
                for folder in (place.parent.parent, place.parent):
                    if not folder.exists():
                        make_folder(folder)
                make_folder(self.folder)
        except GroundwireError:
            self.discard()
            raise

    def publish(self, info: SnapshotInfo, key: str = "") -> None:
        """Check all of it, and let it be seen; on stable storage then.

        Raises DataLossError, naming the file that is not sound, and AlreadyExistsError if
        another snapshot has its id.
        """
        with storage_errors(self.folder):
            for file in info.files:
                check(self.folder, file)
            check_contents(self.folder, info)
            if key:
                (self.folder / _KEY).write_text(key, "utf-8")
            write(self.folder / MANIFEST, encode(info))
            sync_folder(self.folder)
            try:
                self.folder.rename(self._place)
            except OSError as error:
                if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
                    raise
                raise id_taken(info.id) from None
            sync_folder(self._place.parent)

    def discard(self) -> None:
        """Leave nothing of it, unless it was published."""
        shutil.rmtree(self.folder, ignore_errors=True)


def id_taken(snapshot_id: str) -> AlreadyExistsError:
    """Another snapshot has this id."""
    return AlreadyExistsError(
        f'there is another snapshot "{snapshot_id}" already: delete it first',
        metadata={"resource_type": "snapshot", "resource_name": snapshot_id},
    )


def _not_found(snapshot_id: str) -> NotFoundError:
    return NotFoundError(
        f'there is no snapshot "{snapshot_id}": list them to see which there are',
        metadata={"resource_type": "snapshot", "resource_name": snapshot_id},
    )
