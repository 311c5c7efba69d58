"""What `groundwire import` and `groundwire export` take."""

from __future__ import annotations

from pathlib import Path

from groundwire_server.cli.argument_kinds import (
    Parser,
    Subparsers,
    add_client_command,
    add_collection,
    add_command,
    add_vector_type,
)

FILES = {"jsonl": "JSON Lines", "parquet": "Parquet"}


def add_import(commands: Subparsers[Parser]) -> None:
    """Of `import`."""
    made = add_command(commands, "import", "Copy records from Chroma or from files.")
    sources = made.add_subparsers(dest="source", required=True, metavar="SOURCE")
    chroma = add_client_command(sources, "chroma", "Copy the collections of a Chroma database.")
    chroma.add_argument("database", metavar="PATH|URL", help="Its folder, or its server's URL.")
    chroma.add_argument("-c", "--collection", metavar="NAME", help="Only this one of Chroma's.")
    chroma.add_argument("--as", dest="rename", metavar="NAME", help="Its name here.")
    chroma.add_argument("--chroma-tenant", default="default_tenant", metavar="NAME")
    chroma.add_argument("--chroma-database", default="default_database", metavar="NAME")
    _importing(chroma)
    for kind, says in FILES.items():
        files = add_client_command(sources, kind, f"Copy the records of {says} files.")
        files.add_argument("files", nargs="+", type=Path, metavar="FILE")
        add_collection(files, "Where to; created if it does not exist.")
        files.add_argument(
            "--metric",
            choices=("cosine", "dot", "euclidean"),
            help="How vectors are compared in a collection that is created; default: cosine.",
        )
        _importing(files)


def _importing(made: Parser) -> None:
    made.set_defaults(command="importing")
    add_vector_type(
        made, "What the vectors of a collection that is created are stored as, for good"
    )
    made.add_argument(
        "--data-dir",
        type=Path,
        metavar="DIR",
        help="Into the data of a server that is not running, instead of a running one.",
    )
    made.add_argument(
        "--large-numbers-as-text",
        action="store_true",
        help="Store whole numbers past 2^53 in metadata as texts, instead of refusing them.",
    )


def add_export(commands: Subparsers[Parser]) -> None:
    """Of `export`."""
    made = add_command(commands, "export", "Write a collection to a file.")
    kinds = made.add_subparsers(dest="target", required=True, metavar="FORMAT")
    for kind, says in FILES.items():
        file = add_client_command(kinds, kind, f"Write every record of a collection as {says}.")
        file.set_defaults(command="exporting")
        add_collection(file, "Which one.")
        file.add_argument("-o", "--output", type=Path, required=True, metavar="FILE")
