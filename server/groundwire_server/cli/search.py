"""`groundwire search`: passages that match."""

from __future__ import annotations

from argparse import Namespace

from groundwire import Hit, SearchResult
from groundwire.requests.search import SearchOptions
from rich.console import Console
from rich.text import Text

from groundwire_server.cli.connection import connect
from groundwire_server.cli.output import console, print_indented, print_json

EXCERPT = 400


def run(arguments: Namespace) -> int:
    """Search, and print the hits, best first."""
    options: SearchOptions = {"top_k": arguments.top_k}
    if arguments.mode:
        options["mode"] = arguments.mode
    with connect(arguments) as client:
        result = client.retrieve.search(arguments.collection, arguments.query, **options)
    if arguments.json:
        print_json(result)
    else:
        _show(result, console())
    return 0


def _show(result: SearchResult, screen: Console) -> None:
    if not result.hits:
        screen.print("Nothing found.")
    for number, hit in enumerate(result.hits, 1):
        screen.print(_heading(number, hit))
        print_indented(screen, _excerpt(hit.record.text or ""))
        screen.print()
    screen.print(f"{result.plan.strategy}, {result.plan.took_s * 1000:.1f} ms", style="faint")


def _heading(number: int, hit: Hit) -> Text:
    position = hit.record.position
    place = [hit.record.document_id or hit.id]
    if position and position.page:
        place.append(f"page {position.page}")
    if position and position.headings:
        place.append(" / ".join(position.headings))
    return Text.assemble(
        (f"{number:>3} ", "number"), (", ".join(place), "title"), (f"  {hit.score:.3f}", "faint")
    )


def _excerpt(text: str) -> str:
    plain = " ".join(text.split())
    return plain if len(plain) <= EXCERPT else plain[:EXCERPT].rsplit(" ", 1)[0] + " …"
