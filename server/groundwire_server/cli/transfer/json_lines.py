"""JSON Lines: one record to a line, in UTF-8."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from groundwire_server.cli.transfer.atomic_file import atomic_file
from groundwire_server.cli.transfer.file_format import Row
from groundwire_server.cli.transfer.rows import RowError


class JsonLines:
    """Lines end with a line feed alone; empty ones are passed over, but have a number."""

    row_word = "line"

    def count(self, path: Path) -> int:
        """Lines that are not empty."""
        with path.open("rb") as file:
            return sum(not line.isspace() for line in file)

    def read(self, path: Path) -> Iterator[tuple[int, Row | RowError]]:
        """Each line that is not empty."""
        with path.open("rb") as file:
            for number, line in enumerate(file, start=1):
                if not line.isspace():
                    yield number, _row(line)

    @contextmanager
    def writer(self, path: Path) -> Iterator[JsonLinesWriter]:
        """Begin a file."""
        with atomic_file(path) as written, written.open("wb") as file:
            yield JsonLinesWriter(file)


class JsonLinesWriter:
    """Writes texts as they are, not escaped, and vectors in as many digits as float32 needs."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file

    def write(self, rows: Sequence[Row]) -> None:
        """Append a line for each row."""
        for row in rows:
            self._file.write(_line(row).encode() + b"\n")


def _line(row: Row) -> str:
    rest = {name: part for name, part in row.items() if name != "vector"}
    line = json.dumps(rest, ensure_ascii=False)
    return f"{line[:-1]}, {_vector(row['vector'])}}}" if "vector" in row else line


def _vector(numbers: Sequence[float]) -> str:
    """Nine digits tell any two float32 apart, and are read and written faster than seventeen."""
    text = ("%.9g, " * len(numbers) % tuple(numbers)).replace("-0,", "-0.0,")
    return f'"vector": [{text[:-2]}]'


def _row(line: bytes) -> Row | RowError:
    try:
        row = json.loads(line)
    except (ValueError, RecursionError) as error:
        return RowError(f"is not JSON: {error}")
    return row if isinstance(row, dict) else RowError("must be a JSON object: {...}")
