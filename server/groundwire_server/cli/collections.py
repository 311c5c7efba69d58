"""`groundwire collections`: list, create, delete, and give them other names."""

from __future__ import annotations

import sys
from argparse import Namespace

from groundwire import Client, Collection
from rich.table import Table

from groundwire_server.cli.connection import connect
from groundwire_server.cli.output import console, print_json


def run(arguments: Namespace) -> int:
    """Do what the arguments say with collections."""
    action = ACTIONS[arguments.action]
    with connect(arguments) as client:
        return action(client, arguments)


def _list(client: Client, arguments: Namespace) -> int:
    found = list(client.retrieve.list_collections())
    if arguments.json:
        for collection in found:
            print_json(collection)
    elif found:
        console().print(_table(found))
    else:
        console().print("No collections yet: `groundwire ingest PATH` makes one.")
    return 0


def _create(client: Client, arguments: Namespace) -> int:
    made = client.retrieve.create_collection(
        arguments.name, description=arguments.description, vector_type=arguments.vector_type
    )
    if arguments.json:
        print_json(made)
    else:
        console().print(f"Created {made.name}.", markup=False)
    return 0


def _delete(client: Client, arguments: Namespace) -> int:
    if not arguments.yes and not _is_meant(client.retrieve.get_collection(arguments.name)):
        return 1
    records = client.retrieve.delete_collection(arguments.name)
    if arguments.json:
        print_json({"name": arguments.name, "records": records})
    else:
        console().print(f"Deleted {arguments.name} with {records:,} records.", markup=False)
    return 0


def _alias(client: Client, arguments: Namespace) -> int:
    named = client.retrieve.set_alias(arguments.alias, arguments.name)
    if arguments.json:
        print_json(named)
    else:
        console().print(f"{arguments.alias} stands for {named.name} now.", markup=False)
    return 0


def _unalias(client: Client, arguments: Namespace) -> int:
    name = client.retrieve.delete_alias(arguments.alias)
    if arguments.json:
        print_json({"alias": arguments.alias, "collection": name})
    else:
        console().print(f"{arguments.alias} no longer stands for {name}.", markup=False)
    return 0


ACTIONS = {
    None: _list,
    "create": _create,
    "delete": _delete,
    "alias": _alias,
    "unalias": _unalias,
}


def _is_meant(collection: Collection) -> bool:
    if not sys.stdin.isatty():
        sys.stderr.write("groundwire: nothing was deleted: say --yes to delete without asking\n")
        return False
    answer = input(f"Delete {collection.name} with {collection.records:,} records? [y/N] ")
    return answer.strip().lower() in ("y", "yes")


def _table(found: list[Collection]) -> Table:
    table = Table("Name", box=None, header_style="faint")
    for heading in ("Documents", "Records", "Vectors", "Dimension", "On disk"):
        table.add_column(heading, justify="right")
    table.add_column("Type")
    table.add_column("Embedder")
    table.add_column("Aliases")
    for one in found:
        table.add_row(
            one.name,
            f"{one.documents:,}",
            f"{one.records:,}",
            f"{one.vectors:,}",
            str(one.dimension),
            f"{one.disk_bytes / 2**20:,.1f} MB",
            one.vector_type,
            one.fingerprint.model if one.fingerprint else "none",
            ", ".join(one.aliases),
        )
    return table
