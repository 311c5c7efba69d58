"""What a snapshot is of and which files it consists of: ``manifest.json``, written last.

The manifest carries its own SHA-256 and that of every file, so that no flipped bit goes unseen.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from groundwire_index.backup.sealed import digest, seal, unseal
from groundwire_index.checks import check_spec
from groundwire_index.errors import DataLossError, InvalidArgumentError
from groundwire_index.records import CollectionSpec
from groundwire_index.stored_spec import spec_fields, spec_of

MANIFEST = "manifest.json"
MAX_MANIFEST_BYTES = 16 * 2**20
FORMAT = 1

_ID = re.compile(r"[0-9]{8}T[0-9]{12}Z-[0-9a-f]{8}")
_NAME = re.compile(r"collection\.db|segments/[0-9]{1,18}\.f(16|32)|anns/[0-9]{1,18}\.faiss")


@dataclass(frozen=True, slots=True)
class StoredFile:
    """One file of a snapshot."""

    name: str
    """Path inside the snapshot, such as ``segments/3.f32``."""
    bytes: int
    """How many of its first bytes count."""
    sha256: str
    """Of those, in hexadecimal."""


@dataclass(frozen=True, slots=True)
class SnapshotInfo:
    """One snapshot: a collection as it was after one write."""

    id: str
    """Ids are in order of time."""
    spec: CollectionSpec
    sequence: int
    """Number of the last write that it holds."""
    records: int
    vectors: int
    documents: int
    create_time: datetime
    files: tuple[StoredFile, ...]

    @property
    def size_bytes(self) -> int:
        """Of all files. Those shared with the collection or other snapshots are stored once."""
        return sum(file.bytes for file in self.files)

    @property
    def sha256(self) -> str:
        """Of the manifest, in hexadecimal; it covers all files."""
        return digest(_fields(self))


def new_snapshot_id(now: datetime) -> str:
    """An id that no other snapshot has."""
    return f"{now:%Y%m%dT%H%M%S%f}Z-{secrets.token_hex(4)}"


def is_snapshot_id(text: str) -> bool:
    """Whether a snapshot could have this id."""
    return _ID.fullmatch(text) is not None


def encode(info: SnapshotInfo) -> bytes:
    """The content of ``manifest.json``."""
    return seal(_fields(info))


def decode(content: bytes, path: Path | str) -> SnapshotInfo:
    """Read a manifest. Raises DataLossError, naming ``path``, unless it is sound."""
    try:
        return _info(unseal(content))
    except (ValueError, KeyError, TypeError, AttributeError, InvalidArgumentError) as error:
        raise DataLossError(
            f"{path} is damaged ({type(error).__name__}: {error}): the snapshot cannot be used. "
            "Take another, or upload it from a copy",
            reason="SNAPSHOT_DAMAGED",
            metadata={"file": str(path)},
        ) from error


def read(folder: Path) -> SnapshotInfo:
    """The manifest of the snapshot in a folder. Raises DataLossError and OSError."""
    return decode((folder / MANIFEST).read_bytes(), folder / MANIFEST)


def _fields(info: SnapshotInfo) -> dict[str, object]:
    return {
        "format": FORMAT,
        "id": info.id,
        "spec": spec_fields(info.spec),
        "sequence": info.sequence,
        "records": info.records,
        "vectors": info.vectors,
        "documents": info.documents,
        "create_time": info.create_time.isoformat(),
        "files": [asdict(file) for file in info.files],
    }


def _info(fields: Mapping[str, Any]) -> SnapshotInfo:
    if fields["format"] != FORMAT:
        raise ValueError(f"format {fields['format']} is not the {FORMAT} of this release")
    if not is_snapshot_id(fields["id"]):
        raise ValueError("no snapshot has such an id")
    return SnapshotInfo(
        id=fields["id"],
        spec=_spec(fields["spec"]),
        sequence=int(fields["sequence"]),
        records=int(fields["records"]),
        vectors=int(fields["vectors"]),
        documents=int(fields["documents"]),
        create_time=datetime.fromisoformat(fields["create_time"]).astimezone(UTC),
        files=_files(fields["files"]),
    )


def _spec(fields: Mapping[str, Any]) -> CollectionSpec:
    spec = spec_of(fields)
    check_spec(spec)
    return spec


def _files(listed: list[Mapping[str, Any]]) -> tuple[StoredFile, ...]:
    files = tuple(
        StoredFile(str(one["name"]), int(one["bytes"]), str(one["sha256"])) for one in listed
    )
    names = [file.name for file in files]
    # Names become paths: nothing but what a snapshot consists of is ever written.
    if not all(_NAME.fullmatch(name) for name in names) or len(set(names)) < len(names):
        raise ValueError("it names a file that no snapshot has, or one twice")
    if any(file.bytes <= 0 for file in files):
        raise ValueError("it names an empty file")
    return files
