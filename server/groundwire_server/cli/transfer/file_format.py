"""A kind of file that holds rows."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, Protocol, TypeAlias

from groundwire_server.cli.transfer.rows import RowError

Row: TypeAlias = Mapping[str, Any]


class RowWriter(Protocol):
    """A file that is being written."""

    def write(self, rows: Sequence[Row]) -> None:
        """Append rows."""


class FileFormat(Protocol):
    """Reads and writes files of one kind; what one wrote it reads as it was.

    Each method raises TransferError for a file that is not of this kind, and OSError for one
    that cannot be read or written.
    """

    row_word: str
    """What a row is called: a line, a row."""

    def count(self, path: Path) -> int:
        """Rows in the file."""

    def read(self, path: Path) -> Iterator[tuple[int, Row | RowError]]:
        """Rows with their numbers, from 1; RowError for what is none."""

    def writer(self, path: Path) -> AbstractContextManager[RowWriter]:
        """Begin a file; it is whole when the context ends without an error."""
