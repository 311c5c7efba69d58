"""How an ingest tells what it does: a bar, lines of text, or lines of JSON."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Protocol

from groundwire import IngestProgress
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn
from rich.text import Text

from groundwire_server.cli.output import console, print_json

if TYPE_CHECKING:
    from groundwire_server.cli.ingest import Outcome

STAGES = {
    "received": "sent",
    "parsed": "read",
    "chunked": "cut",
    "embedded": "embedding",
    "stored": "stored",
    "ready": "ready",
}
STYLES = {"ingested": "good", "replaced": "good", "unchanged": "faint", "failed": "bad"}


class Report(Protocol):
    """Told of each file: `begin`, steps, then what became of it."""

    failed: int
    """Files that could not be ingested, so far."""

    def begin(self, document_id: str) -> None:
        """The next file."""

    def step(self, progress: IngestProgress) -> None:
        """How far this file has come."""

    def add(self, outcome: Outcome) -> None:
        """What became of it."""


@contextmanager
def report(files: int, collection: str, *, json: bool) -> Iterator[Report]:
    """The report that fits where the output goes."""
    if json:
        yield JsonLines()
        return
    screen = console()
    lines = Bar(files, screen) if screen.is_terminal else Lines(screen)
    with lines.shown():
        yield lines
    lines.sum_up(files, collection)


class JsonLines:
    """One line of JSON for each file."""

    def __init__(self) -> None:
        self.failed = 0

    def begin(self, document_id: str) -> None:
        """Nothing to say yet."""

    def step(self, progress: IngestProgress) -> None:
        """Nothing to say yet."""

    def add(self, outcome: Outcome) -> None:
        """Say what became of a file."""
        self.failed += outcome.status == "failed"
        print_json(outcome)


class Lines:
    """One line of text for each file."""

    def __init__(self, screen: Console) -> None:
        self.failed = 0
        self._chunks = 0
        self._screen = screen
        self._began = time.monotonic()

    @contextmanager
    def shown(self) -> Iterator[None]:
        """While files are ingested."""
        yield

    def begin(self, document_id: str) -> None:
        """Nothing to say yet."""

    def step(self, progress: IngestProgress) -> None:
        """Nothing to say yet."""

    def add(self, outcome: Outcome) -> None:
        """Say what became of a file."""
        self.failed += outcome.status == "failed"
        self._chunks += outcome.chunks
        rest = f": {outcome.error}" if outcome.error else f", {_count(outcome.chunks, 'chunk')}"
        self._screen.print(
            Text.assemble(
                (f"{outcome.status:<9} ", STYLES[outcome.status]), outcome.document_id, rest
            )
        )

    def sum_up(self, files: int, collection: str) -> None:
        """Say what it came to."""
        seconds = time.monotonic() - self._began
        if not files:
            self._screen.print("Nothing to ingest: no PDF, DOCX, HTML, Markdown or text there.")
            return
        done = _count(files - self.failed, "document")
        trouble = f"; {self.failed} failed" if self.failed else ""
        self._screen.print(
            f"{done} in “{collection}”, {_count(self._chunks, 'chunk')}, {seconds:.1f} s{trouble}",
            markup=False,
        )


class Bar(Lines):
    """The lines, with a bar below them that moves."""

    def __init__(self, files: int, screen: Console) -> None:
        super().__init__(screen)
        self._bar = Progress(
            BarColumn(),
            TaskProgressColumn(),
            TextColumn("{task.description}", markup=False),
            console=screen,
            transient=True,
        )
        self._task = self._bar.add_task("", total=files)
        self._done = 0
        self._name = ""

    @contextmanager
    def shown(self) -> Iterator[None]:
        """Draw the bar."""
        with self._bar:
            yield

    def begin(self, document_id: str) -> None:
        """Name the file in the bar."""
        self._name = document_id
        self._bar.update(self._task, description=document_id)

    def step(self, progress: IngestProgress) -> None:
        """Move the bar by the part of this file that is embedded, which is what takes long."""
        part = progress.done / progress.total if progress.total else 0
        at = self._done + (part if progress.stage == "embedded" else 0)
        stage = STAGES.get(progress.stage, progress.stage)
        if progress.stage != "embedded":
            at = self._done + (progress.stage in ("stored", "ready"))
        self._bar.update(self._task, completed=at, description=f"{self._name}: {stage}")

    def add(self, outcome: Outcome) -> None:
        """Say what became of a file, above the bar."""
        self._done += 1
        self._bar.update(self._task, completed=self._done)
        super().add(outcome)


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"
