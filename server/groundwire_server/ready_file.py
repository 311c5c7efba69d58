"""Tells whoever started the server where it listens, once it serves."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

from groundwire_index.errors import FailedPreconditionError


class Announcement(Protocol):
    """Where the addresses of a serving server can be read."""

    def prepare(self) -> None:
        """Take back what an earlier server has left. FailedPreconditionError if that fails."""
        ...

    def write(self, addresses: Mapping[str, str | None]) -> None:
        """The server serves."""
        ...

    def remove(self) -> None:
        """The server has stopped."""
        ...


class ReadyFile:
    """A JSON file that is there while the server serves; whoever sees it sees all of it."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._partial = path.with_name(f"{path.name}.{os.getpid()}")

    def prepare(self) -> None:
        """Take back what a crash has left, and try whether the file can be written."""
        try:
            self._partial.touch()
            self._partial.unlink()
            self._path.unlink(missing_ok=True)
        except OSError as error:
            raise FailedPreconditionError(
                f"--ready-file {self._path} cannot be written: {error.strerror}",
                reason="READY_FILE_UNUSABLE",
            ) from error

    def write(self, addresses: Mapping[str, str | None]) -> None:
        """Write the file, at once."""
        self._partial.write_text(json.dumps(addresses))
        self._partial.replace(self._path)

    def remove(self) -> None:
        """Remove the file, if it is there."""
        self._path.unlink(missing_ok=True)


class NoReadyFile:
    """No one has asked to be told."""

    def prepare(self) -> None:
        """Nothing to take back."""

    def write(self, addresses: Mapping[str, str | None]) -> None:
        """Tell no one."""

    def remove(self) -> None:
        """Nothing to remove."""
