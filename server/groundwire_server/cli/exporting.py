"""`groundwire export`: a collection into a file."""

from __future__ import annotations

import sys
import time
from argparse import Namespace
from dataclasses import dataclass

from groundwire import Client

from groundwire_server.cli.connection import connect
from groundwire_server.cli.output import console, print_json
from groundwire_server.cli.transfer.formats import file_format
from groundwire_server.cli.transfer.report import progress
from groundwire_server.cli.transfer.rows import row_of
from groundwire_server.cli.transfer.scrolling import scrolled
from groundwire_server.cli.transfer.source import TransferError


@dataclass(frozen=True, slots=True)
class Exported:
    """What was written."""

    collection: str
    output: str
    records: int
    bytes: int
    seconds: float


def run(arguments: Namespace) -> int:
    """Export the collection; 1 if it cannot be written, and then nothing is."""
    began = time.monotonic()
    try:
        with connect(arguments) as client:
            records = _written(client, arguments)
    except TransferError as error:
        sys.stderr.write(f"groundwire: {error}\n")
        return 1
    except OSError as error:
        sys.stderr.write(
            f"groundwire: {arguments.output} cannot be written: {error.strerror or error}\n"
        )
        return 1
    seconds = round(time.monotonic() - began, 3)
    size = arguments.output.stat().st_size
    _tell(Exported(arguments.collection, str(arguments.output), records, size, seconds), arguments)
    return 0


def _written(client: Client, arguments: Namespace) -> int:
    kind = file_format(arguments.target)
    total = client.retrieve.count(arguments.collection).count
    records = 0
    with (
        progress(arguments.collection, total, json=arguments.json) as moved,
        kind.writer(arguments.output) as file,
    ):
        for page in scrolled(client, arguments.collection):
            file.write([row_of(record) for record in page])
            records += len(page)
            moved(records)
    return records


def _tell(exported: Exported, arguments: Namespace) -> None:
    if arguments.json:
        print_json(exported)
        return
    console().print(
        f"{exported.records:,} records of “{exported.collection}” in {exported.output}, "
        f"{exported.bytes / 2**20:,.1f} MB, {exported.seconds:.1f} s",
        markup=False,
    )
