"""`groundwire ingest`: files and folders into a collection."""

from __future__ import annotations

from argparse import Namespace
from dataclasses import dataclass
from typing import Literal

from groundwire import Client, GroundwireError, IngestResult

from groundwire_server.cli.connection import connect
from groundwire_server.cli.failure import is_unreachable, sentence
from groundwire_server.cli.files import Found, as_text, find, is_text
from groundwire_server.cli.ingest_report import Report, report


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one file."""

    path: str
    document_id: str
    status: Literal["ingested", "replaced", "unchanged", "failed"]
    chunks: int = 0
    error: str = ""


def run(arguments: Namespace) -> int:
    """Ingest everything that is named, past what fails; 1 if something did."""
    with connect(arguments) as client:
        files = find(arguments.paths)
        with report(len(files), arguments.collection, json=arguments.json) as progress:
            for file in files:
                progress.add(_ingest(client, file, arguments, progress))
    return int(progress.failed > 0 or not files)


def _ingest(client: Client, file: Found, arguments: Namespace, progress: Report) -> Outcome:
    if not is_text(file.document_id):
        return _failed(file, "has a name that is not valid UTF-8: rename it")
    progress.begin(file.document_id)
    try:
        result = client.retrieve.ingest(
            arguments.collection,
            file.path,
            document_id=file.document_id,
            force=arguments.force,
            create_collection=True,
            on_progress=progress.step,
        )
    except OSError as error:
        return _failed(file, f"cannot be read: {error.strerror or error}")
    except GroundwireError as error:
        if is_unreachable(error):
            raise
        return _failed(file, sentence(error, arguments))
    return Outcome(str(file.path), file.document_id, _status(result), result.chunks)


def _status(result: IngestResult) -> Literal["ingested", "replaced", "unchanged"]:
    if result.skipped:
        return "unchanged"
    return "replaced" if result.replaced else "ingested"


def _failed(file: Found, why: str) -> Outcome:
    return Outcome(as_text(str(file.path)), as_text(file.document_id), "failed", error=why)
