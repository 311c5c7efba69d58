"""What a backup is of, and which files it consists of: ``backup.json``, written last."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from groundwire_index.backup.manifest import StoredFile
from groundwire_index.backup.sealed import seal, unseal
from groundwire_index.errors import DataLossError, FailedPreconditionError

MANIFEST = "backup.json"
CATALOG = "catalog.db"
COLLECTIONS = "collections"
SESSIONS = "sessions.aof"
SETTINGS = "settings.json"
FORMAT = 1

_NAME = re.compile(
    r"catalog\.db|sessions\.aof|settings\.json|memories/(audit\.jsonl|receipt\.key)|"
    r"collections/[0-9a-f]{32}/"
    r"(manifest\.json|collection\.db|segments/[0-9]{1,18}\.f(16|32)|anns/[0-9]{1,18}\.faiss)"
)


@dataclass(frozen=True, slots=True)
class BackedUpCollection:
    """One collection, as it was after one write."""

    tenant: str
    name: str
    folder: str
    """Its folder in the backup is a snapshot's: `upload_snapshot` takes it."""
    sequence: int
    records: int


@dataclass(frozen=True, slots=True)
class BackupManifest:
    """All that a backup holds."""

    version: str
    """Of the Groundwire that wrote it."""
    create_time: datetime
    collections: tuple[BackedUpCollection, ...]
    sessions: int
    files: tuple[StoredFile, ...]

    @property
    def records(self) -> int:
        """Of all collections."""
        return sum(one.records for one in self.collections)

    @property
    def size_bytes(self) -> int:
        """Of all files but the manifest, not packed."""
        return sum(file.bytes for file in self.files)


def encode(manifest: BackupManifest) -> bytes:
    """The content of ``backup.json``."""
    fields = asdict(manifest) | {"create_time": manifest.create_time.isoformat()}
    return seal({"format": FORMAT, **fields})


def decode(content: bytes, place: Path | str) -> BackupManifest:
    """Read a manifest.

    Raises DataLossError, naming ``place``, unless it is sound, and FailedPreconditionError if it
    is of a format that this release does not read.
    """
    try:
        fields = unseal(content)
        if fields["format"] != FORMAT:
            raise _unknown(fields, place)
        return _manifest(fields)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise damaged(place, f"{type(error).__name__}: {error}") from error


def damaged(place: Path | str, why: str) -> DataLossError:
    """The error of a file that is not what it was when the backup was made."""
    return DataLossError(
        f"{place} is damaged: {why}. Nothing was restored: use another copy of the backup",
        reason="BACKUP_DAMAGED",
        metadata={"file": str(place)},
    )


def _unknown(fields: Mapping[str, Any], place: Path | str) -> FailedPreconditionError:
    return FailedPreconditionError(
        f"{place} is of backup format {fields['format']}, written by Groundwire "
        f"{fields.get('version', 'of another release')}; this release reads format {FORMAT}: "
        "restore it with the release that wrote it, or a later one",
        reason="FORMAT_UNKNOWN",
    )


def _manifest(fields: Mapping[str, Any]) -> BackupManifest:
    return BackupManifest(
        version=str(fields["version"]),
        create_time=datetime.fromisoformat(fields["create_time"]).astimezone(UTC),
        collections=tuple(BackedUpCollection(**one) for one in fields["collections"]),
        sessions=int(fields["sessions"]),
        files=_files([StoredFile(**one) for one in fields["files"]]),
    )


def _files(files: Sequence[StoredFile]) -> tuple[StoredFile, ...]:
    names = [file.name for file in files]
    # Names become paths: nothing but what a backup consists of is ever written.
    if not all(_NAME.fullmatch(name) for name in names) or len(set(names)) < len(names):
        raise ValueError("it names a file that no backup has, or one twice")
    if CATALOG not in names:
        raise ValueError(f"it does not name {CATALOG}")
    return tuple(files)
