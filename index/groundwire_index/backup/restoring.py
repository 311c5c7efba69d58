"""Makes a collection's folder out of a snapshot, which stays as it is."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

from groundwire_index.backup.files import check, copy, place
from groundwire_index.backup.manifest import SnapshotInfo
from groundwire_index.storage.connections import Role, connect
from groundwire_index.storage.failures import storage_errors
from groundwire_index.storage.folders import make_folder, sync_folder
from groundwire_index.storage.page_sums import PageSums
from groundwire_index.storage.schema import ANNS, DATABASE, SEGMENTS


def restore_files(snapshot: Path, info: SnapshotInfo, target: Path) -> None:
    """Check every file of a snapshot, then put them into a new folder, on stable storage.

    Raises DataLossError, naming the file, before anything is made.
    """
    with storage_errors(snapshot):
        for file in info.files:
            check(snapshot, file)
    with storage_errors(target):
        for folder in (target, target / SEGMENTS, target / ANNS):
            make_folder(folder)
        _place(snapshot, info, target)
        renew(target / DATABASE)
        for folder in (target / SEGMENTS, target / ANNS, target):
            sync_folder(folder)


def _place(snapshot: Path, info: SnapshotInfo, target: Path) -> None:
    last = max((_segment(file.name) for file in info.files), default=0)
    for file in info.files:
        source, destination = snapshot / file.name, target / file.name
        if file.name == DATABASE:
            copy(source, destination, file.bytes)
        else:
            # The last segment goes on growing, in each collection in a way of its own.
            final = not last or _segment(file.name) != last
            place(source, destination, file.bytes, final=final)


def _segment(name: str) -> int:
    return int(Path(name).stem) if name.startswith(f"{SEGMENTS}/") else 0


def renew(database: Path) -> None:
    """Have a copy be a database of its own, with checksums of its pages.

    What was read of another collection, or of another time of this one, is not gone on with.
    """
    with closing(connect(database, Role.WRITER)) as connection:
        connection.execute("UPDATE state SET cursor_key = randomblob(32)")
    PageSums(database).renew()
