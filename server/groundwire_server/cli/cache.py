"""`groundwire cache`: what is kept of what was computed, and emptying it."""

from __future__ import annotations

from argparse import Namespace

from groundwire import Client
from rich.table import Table

from groundwire_server.cli.connection import connect
from groundwire_server.cli.output import console, print_json


def run(arguments: Namespace) -> int:
    """Do what the arguments say with the caches."""
    with connect(arguments) as client:
        return ACTIONS[arguments.action](client, arguments)


def _stats(client: Client, arguments: Namespace) -> int:
    found = client.admin.cache_stats()
    if arguments.json:
        for one in found:
            print_json(one)
        return 0
    table = Table("Cache", box=None, header_style="faint")
    for heading in ("Entries", "Hits", "In other words", "Shared", "Misses", "Found"):
        table.add_column(heading, justify="right")
    for one in found:
        served = one.hits + one.semantic_hits + one.shared
        asked = served + one.misses
        counts = (one.entries, one.hits, one.semantic_hits, one.shared, one.misses)
        share = f"{served / asked:.0%}" if asked else ""
        table.add_row(one.cache, *(f"{count:,}" for count in counts), share)
    console().print(table)
    return 0


def _clear(client: Client, arguments: Namespace) -> int:
    entries = client.admin.clear_cache()
    if arguments.json:
        print_json({"entries": entries})
    else:
        console().print(f"Removed {entries:,} entries.")
    return 0


ACTIONS = {"stats": _stats, "clear": _clear}
