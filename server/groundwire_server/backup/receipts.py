"""The receipts of what was forgotten, in a backup: the audit log, and the key that signs."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from groundwire_index.backup.files import write
from groundwire_index.storage.failures import storage_errors

from groundwire_server.memory.memories.receipts import AUDIT_LOG, FOLDER, SIGNING_KEY

NAMES = (f"{FOLDER}/{AUDIT_LOG}", f"{FOLDER}/{SIGNING_KEY}")


def save_receipts(data_dir: Path, staging: Path) -> Iterator[tuple[str, Path]]:
    """Copy what there is; the name in the backup and the copy of each.

    Before the index is: then nothing is restored that the log calls forgotten.
    """
    for name in NAMES:
        path, copy = data_dir / name, staging / Path(name).name
        with storage_errors(path):
            if path.exists():
                write(copy, path.read_bytes())
                yield name, copy


def keep_secret(data_dir: Path) -> None:
    """Let nobody else read what was restored."""
    for name in NAMES:
        path = data_dir / name
        with storage_errors(path):
            if path.exists():
                path.chmod(0o600)
