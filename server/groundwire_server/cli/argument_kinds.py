"""What the arguments of commands have in common."""

from __future__ import annotations

import argparse
import os
from pathlib import Path

SERVER_ENV = "GROUNDWIRE_SERVER"
DEFAULT_SERVER = "localhost:50051"
DEFAULT_COLLECTION = "documents"
VECTOR_TYPES = ("float32", "float16")
# Every field of a request that is a number holds this one.
LARGEST = 2**31 - 1

Parser = argparse.ArgumentParser
Subparsers = argparse._SubParsersAction  # argparse gives this type no public name


def add_command(commands: Subparsers[Parser], name: str, says: str) -> Parser:
    """A command, or an action of one, which can answer in JSON."""
    made = commands.add_parser(name, help=says, description=says, allow_abbrev=False)
    made.add_argument(
        "--json", action="store_true", default=argparse.SUPPRESS, help="Answer in lines of JSON."
    )
    made.set_defaults(json=False)
    return made


def add_client_command(commands: Subparsers[Parser], name: str, says: str) -> Parser:
    """One that talks to a server."""
    made = add_command(commands, name, says)
    group = made.add_argument_group("server")
    # Unset ones are left out, so that `collections --server X list` keeps what came first.
    group.add_argument("--server", default=argparse.SUPPRESS, metavar="HOST:PORT")
    group.add_argument("--tenant", default=argparse.SUPPRESS, metavar="NAME")
    group.add_argument("--subject", default=argparse.SUPPRESS, metavar="NAME", help="Who asks.")
    group.add_argument(
        "--timeout",
        type=seconds_above_0,
        default=argparse.SUPPRESS,
        metavar="SECONDS",
        help="Of a call; of an ingest: without progress.",
    )
    return made


def add_collection(made: Parser, says: str) -> None:
    """The collection it is about."""
    made.add_argument(
        "-c",
        "--collection",
        default=DEFAULT_COLLECTION,
        metavar="NAME",
        help=f"{says} Default: {DEFAULT_COLLECTION}.",
    )


def add_vector_type(made: Parser, says: str) -> None:
    """What the vectors of a collection are stored as."""
    made.add_argument(
        "--vector-type",
        choices=VECTOR_TYPES,
        help=f"{says}; float16 takes half the room and rounds. Default: float32.",
    )


def positive(text: str) -> int:
    """A whole number from 1 on that a request can hold."""
    if not text.isascii() or not text.isdigit() or not 1 <= int(text) <= LARGEST:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from 1 to {LARGEST:,}")
    return int(text)


def seconds_above_0(text: str) -> float:
    """A time to wait."""
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not 0 < seconds < float("inf"):
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of seconds above 0")
    return seconds


def add_data_dir(made: Parser, says: str) -> None:
    """The folder of a server that is not running."""
    made.add_argument(
        "--data-dir",
        type=Path,
        default=Path(os.environ.get("GROUNDWIRE_DATA_DIR") or "groundwire-data"),
        metavar="DIR",
        help=says,
    )
