"""Files of rows as a source."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import islice
from pathlib import Path

from groundwire.results.collections import Metric

from groundwire_server.cli.transfer.file_format import FileFormat, Row
from groundwire_server.cli.transfer.rows import RowError, record_of
from groundwire_server.cli.transfer.source import PAGE, Page, Placed, Refused, TransferError


class FileSource:
    """The rows of one file after another."""

    description = ""
    notes: tuple[str, ...] = ()

    def __init__(self, kind: FileFormat, paths: Sequence[Path], metric: Metric | None) -> None:
        self.name = ", ".join(map(str, paths))
        self.metric = metric
        self._kind = kind
        self._paths = paths

    def count(self) -> int:
        """Rows in all files."""
        return sum(map(self._count, self._paths))

    def pages(self) -> Iterator[Page]:
        """The records of all files, in order."""
        records = (item for path in self._paths for item in self._records(path))
        while page := list(islice(records, PAGE)):
            yield page

    def _count(self, path: Path) -> int:
        with _readable(path):
            return self._kind.count(path)

    def _records(self, path: Path) -> Iterator[Placed | Refused]:
        with _readable(path):
            for number, row in self._kind.read(path):
                yield _record(row, f"{self._kind.row_word} {number:,} of {path}")


def _record(row: Row | RowError, place: str) -> Placed | Refused:
    try:
        if isinstance(row, RowError):
            raise row
        return Placed(record_of(row), place)
    except RowError as error:
        return Refused(place, str(error))


@contextmanager
def _readable(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise TransferError(f"{path} cannot be read: {error.strerror or error}") from error
