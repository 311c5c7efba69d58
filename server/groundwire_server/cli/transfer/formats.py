"""The kinds of files, by the names that commands have for them."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from groundwire_server.cli.transfer.file_format import FileFormat
from groundwire_server.cli.transfer.json_lines import JsonLines
from groundwire_server.cli.transfer.parquet import Parquet

FORMATS: Mapping[str, Callable[[], FileFormat]] = {"jsonl": JsonLines, "parquet": Parquet}


def file_format(name: str) -> FileFormat:
    """The format of this name. TransferError if what reads it is not installed."""
    return FORMATS[name]()
