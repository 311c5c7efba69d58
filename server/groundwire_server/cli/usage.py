"""`groundwire usage`: what a tenant has used, by day, subject and model."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Iterable
from datetime import UTC, date, datetime, time, timedelta

from groundwire import UsageDay
from rich.table import Table
from rich.text import Text

from groundwire_server.cli.connection import connect
from groundwire_server.cli.output import console, print_json

_NUMBERS = ("Calls", "Errors", "Tokens in", "out", "Average", "p95", "Confidence", "Cache hits")


def run(arguments: Namespace) -> int:
    """Show it, a line for each day of a subject and model."""
    with connect(arguments) as client:
        days = client.admin.usage(
            subject=arguments.of,
            model=arguments.model,
            start=_midnight(arguments.since),
            end=_midnight(arguments.until, after=1),
        )
        if arguments.json:
            for day in days:
                print_json(day)
            return 0
        found = list(days)
    screen = console()
    screen.print(_table(found) if found else "Nothing was used on these days.")
    return 0


def _midnight(day: date | None, *, after: int = 0) -> datetime | None:
    return None if day is None else datetime.combine(day + timedelta(after), time(), UTC)


def _table(days: Iterable[UsageDay]) -> Table:
    table = Table("Date", "Subject", "Model", box=None, header_style="faint")
    for heading in _NUMBERS:
        table.add_column(heading, justify="right")
    for day in days:
        table.add_row(
            day.date.isoformat(),
            Text("others" if day.other_subjects else day.subject, "faint" * day.other_subjects),
            Text(day.model or "-"),
            f"{day.requests:,}",
            f"{day.errors:,}",
            f"{day.prompt_tokens:,}",
            f"{day.completion_tokens:,}",
            _seconds(day.average_latency_s),
            _seconds(day.p95_latency_s),
            f"{day.average_confidence:.0%}" if day.average_confidence else "",
            f"{day.cache_hits:,}",
        )
    return table


def _seconds(seconds: float | None) -> str:
    if seconds is None:
        return ""
    return f"{seconds:.2f} s" if seconds >= 1 else f"{seconds * 1000:.3g} ms"
