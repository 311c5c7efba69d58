"""`groundwire eval retrieval`: how well searches find what people judged relevant."""

from __future__ import annotations

import os
import sys
from argparse import Namespace
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
from rich.table import Table

from groundwire_server.cli.argument_kinds import SERVER_ENV
from groundwire_server.cli.connection import connect
from groundwire_server.cli.evaluation.collection import filled
from groundwire_server.cli.evaluation.dataset import (
    Dataset,
    DatasetError,
    documents,
    read_dataset,
)
from groundwire_server.cli.evaluation.retrieval import MODES, Quality, evaluate
from groundwire_server.cli.local_server import CannotStartError, local_server
from groundwire_server.cli.output import console, print_json


def run(arguments: Namespace) -> int:
    """Store the documents, ask the queries, print what came of it."""
    try:
        dataset = read_dataset(arguments.dataset)
        with _server(arguments) as address:
            found = _evaluate(Namespace(**{**vars(arguments), "server": address}), dataset)
    except (DatasetError, CannotStartError) as error:
        sys.stderr.write(f"groundwire: {error}\n")
        return 1
    if arguments.json:
        print_json(
            {"documents": dataset.documents, "queries": len(dataset.queries), "modes": found}
        )
    else:
        _show(dataset, found, console())
    return 0


@contextmanager
def _server(arguments: Namespace) -> Iterator[str]:
    """The server that was named; else one of our own, which goes with the command."""
    named = getattr(arguments, "server", "") or os.environ.get(SERVER_ENV)
    if named:
        yield named
        return
    with local_server() as address:
        yield address


def _evaluate(arguments: Namespace, dataset: Dataset) -> list[Quality]:
    screen = console(stderr=True)
    shown = Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        console=screen,
        transient=True,
        disable=not screen.is_terminal,
    )
    with shown, connect(arguments) as client:
        storing = shown.add_task("Documents", total=dataset.documents)
        asking = shown.add_task("Searches", total=len(MODES) * len(dataset.queries))
        with filled(
            client,
            documents(dataset),
            lambda more: shown.advance(storing, more),
            arguments.vector_type,
        ) as collection:
            return [
                evaluate(client, collection, dataset, mode, lambda: shown.advance(asking))
                for mode in MODES
            ]


def _show(dataset: Dataset, found: Sequence[Quality], screen: Console) -> None:
    screen.print(f"{dataset.documents:,} documents, {len(dataset.queries):,} queries")
    for count, what in (
        (dataset.empty, "documents without a text are left out"),
        (dataset.absent, "judgements of documents that are not there count as not found"),
    ):
        if count:
            screen.print(f"{count:,} {what}", style="note")
    screen.print(_table(found))


def _table(found: Sequence[Quality]) -> Table:
    table = Table("Mode", box=None, header_style="faint")
    for heading in ("nDCG@10", "Recall@100", "MRR@10", "p50", "p95"):
        table.add_column(heading, justify="right")
    for one in found:
        table.add_row(
            one.mode,
            *(f"{value:.4f}" for value in (one.ndcg_at_10, one.recall_at_100, one.mrr_at_10)),
            *(f"{seconds * 1000:.1f} ms" for seconds in (one.p50_s, one.p95_s)),
        )
    return table
