"""`groundwire import`: records from a Chroma database or from files, into collections."""

from __future__ import annotations

import signal
import sys
from argparse import Namespace
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial

from groundwire import Client, GroundwireError

from groundwire_server.cli.connection import connect
from groundwire_server.cli.failure import is_unreachable, sentence
from groundwire_server.cli.local_server import CannotStartError, local_server
from groundwire_server.cli.transfer.chroma_collection import (
    ChromaCollection,
    chroma_collections,
)
from groundwire_server.cli.transfer.chroma_database import chroma_database
from groundwire_server.cli.transfer.copying import copy
from groundwire_server.cli.transfer.file_source import FileSource
from groundwire_server.cli.transfer.formats import file_format
from groundwire_server.cli.transfer.large_numbers import LargeNumbersAsText
from groundwire_server.cli.transfer.outcome import Outcome
from groundwire_server.cli.transfer.report import progress, tell
from groundwire_server.cli.transfer.source import Source, TransferError
from groundwire_server.cli.transfer.target import Target

CONTINUE = "groundwire: interrupted; the same command again goes on from here"


def run(arguments: Namespace) -> int:
    """Import what the arguments name; 1 unless everything is stored and verified."""
    # So that then, too, the copy of a database is removed, and a server of one's own stopped.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    kind = _chroma if arguments.source == "chroma" else _files
    try:
        with _server(arguments) as client:
            # There is no use in opening a large database for a server that is not there.
            client.admin.server_info()
            outcomes = list(kind(client, arguments))
    except (TransferError, CannotStartError) as error:
        sys.stderr.write(f"groundwire: {error}\n")
        return 1
    except KeyboardInterrupt:
        sys.stderr.write(f"\n{CONTINUE}")
        raise
    return int(not all(outcome.went_well for outcome in outcomes))


@contextmanager
def _server(arguments: Namespace) -> Iterator[Client]:
    if arguments.data_dir is None:
        with connect(arguments) as client:
            yield client
        return
    with local_server(arguments.data_dir) as address:
        arguments.server = address
        with connect(arguments) as client:
            yield client


def _chroma(client: Client, arguments: Namespace) -> Iterator[Outcome]:
    with chroma_database(
        arguments.database, tenant=arguments.chroma_tenant, database=arguments.chroma_database
    ) as database:
        for name in chosen(chroma_collections(database, arguments.database), arguments):
            target = Target(client, arguments.rename or name, arguments.vector_type)
            yield _told(name, target, arguments, partial(ChromaCollection, database, name))


def _files(client: Client, arguments: Namespace) -> Iterator[Outcome]:
    files = FileSource(file_format(arguments.source), arguments.files, arguments.metric)
    target = Target(client, arguments.collection, arguments.vector_type)
    yield _told(files.name, target, arguments, lambda: files)


def chosen(names: Sequence[str], arguments: Namespace) -> Sequence[str]:
    """The collections of a database that are to be copied. TransferError if there are none."""
    if not names:
        raise TransferError(f"{arguments.database} holds no collections")
    if arguments.collection not in (None, *names):
        raise TransferError(
            f"there is no collection {arguments.collection!r} in {arguments.database}, which "
            f"holds {', '.join(names)}"
        )
    picked = [name for name in names if arguments.collection in (None, name)]
    if arguments.rename and len(picked) > 1:
        raise TransferError(
            f"--as gives a name to one collection, and there are {len(picked):,}: say which with "
            "--collection NAME"
        )
    return picked


def _told(name: str, target: Target, arguments: Namespace, source: Callable[[], Source]) -> Outcome:
    try:
        outcome = _copied(source(), target, arguments)
    except TransferError as error:
        outcome = Outcome(name, target.name, "failed", error=str(error))
    except GroundwireError as error:
        if is_unreachable(error):
            raise
        outcome = Outcome(name, target.name, "failed", error=sentence(error, arguments))
    tell(outcome, json=arguments.json)
    return outcome


def _copied(source: Source, target: Target, arguments: Namespace) -> Outcome:
    if arguments.large_numbers_as_text:
        source = LargeNumbersAsText(source)
    with progress(source.name, source.count(), json=arguments.json) as moved:
        return copy(source, target, lambda tally: moved(tally.read))
