"""Receipts of what was forgotten: signed, and in a log that is only ever added to."""

from __future__ import annotations

import errno
import hashlib
import hmac
import json
import os
import secrets
import threading
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from groundwire_index.errors import DataLossError
from groundwire_index.storage.failures import storage_errors
from groundwire_index.storage.folders import sync_folder

from groundwire_server.memory.memories.memory import Receipt

FOLDER = "memories"
AUDIT_LOG = "audit.jsonl"
SIGNING_KEY = "receipt.key"
BEGUN, FORGOTTEN = "forget_begun", "forgotten"
_KEY_BYTES = 32

Entry = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Found:
    """What the log has of one call."""

    begun: Entry | None = None
    forgotten: Entry | None = None


class Receipts:
    """The log and the key of one data folder. All methods block and are thread-safe.

    An entry is on stable storage when `append` returns. What a crash has torn stays in the log, as
    a line that is no JSON.
    """

    def __init__(self, folder: Path) -> None:
        """Nothing is made before it is needed."""
        self._log = folder / AUDIT_LOG
        self._key = folder / SIGNING_KEY
        self._turn = threading.Lock()

    def append(self, event: str, audit_id: str, tenant: str, **fields: object) -> None:
        """Add an entry."""
        time = datetime.now(UTC).isoformat()
        entry = {"event": event, "audit_id": audit_id, "logged": time, "tenant": tenant, **fields}
        line = json.dumps(entry, ensure_ascii=False).encode() + b"\n"
        with self._turn, storage_errors(self._log):
            new = self._make_folder()
            log = os.open(self._log, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o600)
            try:
                _write(log, line if _is_whole(log) else b"\n" + line)
            finally:
                os.close(log)
            if new:
                sync_folder(self._log.parent)

    def find(self, audit_id: str) -> Found:
        """What is in the log of a call."""
        found = {entry["event"]: entry for entry in self._entries(audit_id)}
        return Found(found.get(BEGUN), found.get(FORGOTTEN))

    def signed(
        self, tenant: str, audit_id: str, removed: Mapping[str, int], time: datetime
    ) -> Receipt:
        """Make out a receipt."""
        signature = hmac.new(
            self._secret(), content(tenant, audit_id, removed, time), hashlib.sha256
        )
        return Receipt(audit_id, dict(removed), time, signature.digest())

    def is_genuine(self, tenant: str, receipt: Receipt) -> bool:
        """Whether a receipt was made out with this key, and says what it said then."""
        if not self._key.exists():
            return False
        own = self.signed(tenant, receipt.audit_id, receipt.removed, receipt.time)
        return hmac.compare_digest(own.signature, receipt.signature)

    def _entries(self, audit_id: str) -> Iterator[Entry]:
        with storage_errors(self._log):
            if not self._log.exists():
                return
            with self._log.open("rb") as log:
                lines = [line for line in log if audit_id.encode() in line]
        for line in lines:
            with suppress(ValueError):
                entry = json.loads(line)
                if audit_id == entry["audit_id"]:
                    yield entry

    def _secret(self) -> bytes:
        with self._turn, storage_errors(self._key):
            self._make_folder()
            if not self._key.exists():
                self._make_key()
            key = self._key.read_bytes()
        if len(key) != _KEY_BYTES:
            raise DataLossError(
                f"{self._key} is damaged: put it back from a backup, or remove it to have another "
                "made, which does not prove former receipts",
                reason="RECEIPT_KEY_DAMAGED",
                metadata={"file": str(self._key)},
            )
        return key

    def _make_key(self) -> None:
        partial = self._key.with_suffix(".new")
        partial.unlink(missing_ok=True)
        file = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            _write(file, secrets.token_bytes(_KEY_BYTES))
        finally:
            os.close(file)
        partial.rename(self._key)
        sync_folder(self._key.parent)

    def _make_folder(self) -> bool:
        """Whether the log is not there yet."""
        folder = self._log.parent
        if not folder.exists():
            folder.mkdir(mode=0o700, parents=True)
            sync_folder(folder.parent)
        return not self._log.exists()


def content(tenant: str, audit_id: str, removed: Mapping[str, int], time: datetime) -> bytes:
    """What is signed: docs/memories.md says it in words."""
    fields = {
        "audit_id": audit_id,
        "removed": dict(removed),
        "tenant": tenant,
        "time": time.astimezone(UTC).isoformat(timespec="microseconds"),
    }
    return json.dumps(fields, sort_keys=True, separators=(",", ":")).encode()


def _write(file: int, data: bytes) -> None:
    """All of it, to stable storage."""
    if os.write(file, data) < len(data):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    os.fsync(file)


def _is_whole(log: int) -> bool:
    """Whether the last line has its end."""
    size = os.fstat(log).st_size
    return not size or os.pread(log, 1, size - 1) == b"\n"
