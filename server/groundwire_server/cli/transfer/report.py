"""How a copy tells what it does: a bar, sentences, or lines of JSON."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.text import Text

from groundwire_server.cli.output import console, print_json
from groundwire_server.cli.transfer.outcome import Outcome

SHOWN = 10
STYLES = {"copied": "good", "empty": "faint", "incomplete": "bad", "failed": "bad"}


@contextmanager
def progress(name: str, total: int, *, json: bool) -> Iterator[Callable[[int], None]]:
    """A bar in a terminal, else nothing; tell it how many are done."""
    screen = console(stderr=True)
    bar = Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=screen,
        transient=True,
        disable=json or not screen.is_terminal,
    )
    with bar:
        task = bar.add_task(name, total=total)
        yield lambda done: bar.update(task, completed=done)


def tell(outcome: Outcome, *, json: bool) -> None:
    """Say what came of a source."""
    if json:
        print_json(asdict(outcome) | {"records_per_second": _rate(outcome)})
        return
    screen = console()
    style = STYLES[outcome.status]
    screen.print(Text.assemble((f"{outcome.status:<10} ", style), _summary(outcome)))
    for line in _details(outcome):
        screen.print(f"  {line}", markup=False)


def _summary(outcome: Outcome) -> str:
    where = f"“{outcome.source}” to “{outcome.collection}”"
    if outcome.error:
        return f"{where}: {outcome.error}"
    counts = ", ".join(
        f"{number:,} {word}"
        for number, word in (
            (outcome.added, "added"),
            (outcome.replaced, "replaced"),
            (outcome.unchanged, "there already"),
            (outcome.repeated, "repeated"),
            (len(outcome.refused), "refused"),
        )
        if number
    )
    speed = f"{outcome.seconds:.1f} s, {_rate(outcome):,} a second"
    return f"{where}: {outcome.read:,} records read ({counts or 'none'}); {speed}"


def _details(outcome: Outcome) -> Iterator[str]:
    if verified := outcome.verified:
        yield (
            f"verified: {verified.records:,} records in the collection, "
            f"{verified.compared:,} compared in full"
        )
        yield from _some([f"not verified: {problem}" for problem in verified.problems])
    yield from _some([f"refused: {refused.place}: {refused.why}" for refused in outcome.refused])
    yield from (f"note: {note}" for note in outcome.notes)


def _some(lines: list[str]) -> Iterator[str]:
    yield from lines[:SHOWN]
    if len(lines) > SHOWN:
        yield f"and {len(lines) - SHOWN:,} more: --json lists them all"


def _rate(outcome: Outcome) -> int:
    return round(outcome.read / outcome.seconds) if outcome.seconds else 0
