"""Parquet: one record to a row, with metadata and position as JSON texts."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from groundwire_server.cli.transfer.atomic_file import atomic_file
from groundwire_server.cli.transfer.file_format import Row
from groundwire_server.cli.transfer.rows import NAMES, RowError, require_known
from groundwire_server.cli.transfer.source import PAGE, TransferError

if TYPE_CHECKING:
    from pyarrow.parquet import ParquetFile, ParquetWriter

INSTALL = 'Parquet files are read and written with pyarrow: pip install "groundwire[parquet]"'
# Objects of any shape have no type of their own in Parquet.
AS_JSON = ("metadata", "position")


class Parquet:
    """Reads metadata from JSON texts, or from structs. Raises TransferError without pyarrow."""

    row_word = "row"

    def __init__(self) -> None:
        if find_spec("pyarrow") is None:
            raise TransferError(INSTALL)

    def count(self, path: Path) -> int:
        """Rows by the file's footer."""
        with _opened(path) as file:
            return int(file.metadata.num_rows)

    def read(self, path: Path) -> Iterator[tuple[int, Row | RowError]]:
        """Each row, a page of them in memory."""
        with _opened(path) as file:
            _check_columns(path, file)
            number = 0
            for batch in file.iter_batches(batch_size=PAGE):
                for row in batch.to_pylist():
                    number += 1
                    yield number, _row(row)

    @contextmanager
    def writer(self, path: Path) -> Iterator[ParquetRows]:
        """Begin a file, compressed with zstd."""
        from pyarrow.parquet import ParquetWriter

        with (
            atomic_file(path) as written,
            ParquetWriter(written, _schema(), compression="zstd") as file,
        ):
            yield ParquetRows(file)


class ParquetRows:
    """Writes each batch of rows as a row group."""

    def __init__(self, file: ParquetWriter) -> None:
        self._file = file

    def write(self, rows: Sequence[Row]) -> None:
        """Append rows."""
        import pyarrow

        columns = {name: [_cell(row, name) for row in rows] for name in NAMES}
        self._file.write_table(pyarrow.table(columns, schema=_schema()))


@contextmanager
def _opened(path: Path) -> Iterator[ParquetFile]:
    from pyarrow import ArrowException
    from pyarrow.parquet import ParquetFile

    try:
        # Opened here, so that a file that is not there is told as any other.
        with path.open("rb") as raw, ParquetFile(raw) as file:
            yield file
    except ArrowException as error:
        raise TransferError(f"{path} cannot be read as Parquet: {error}") from error


def _check_columns(path: Path, file: ParquetFile) -> None:
    try:
        require_known(dict.fromkeys(file.schema_arrow.names))
    except RowError as error:
        raise TransferError(f"{path}: the column {error}") from error


def _schema() -> Any:
    import pyarrow

    text = pyarrow.string()
    types = dict.fromkeys(NAMES, text) | {"vector": pyarrow.list_(pyarrow.float32())}
    return pyarrow.schema(list(types.items()))


def _cell(row: Row, name: str) -> Any:
    value = row.get(name)
    if name in AS_JSON and value is not None:
        return json.dumps(value, ensure_ascii=False)
    return value


def _row(row: Row) -> Row | RowError:
    read = dict(row)
    for name in AS_JSON:
        value = row.get(name)
        if isinstance(value, str):
            try:
                read[name] = json.loads(value)
            except ValueError as error:
                return RowError(f"{name} is not JSON: {error}")
    return read
