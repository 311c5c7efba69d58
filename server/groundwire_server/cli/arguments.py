"""What each command takes. Nothing heavy is imported here: ``--help`` is quick."""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable
from pathlib import Path

from groundwire_server.cli import memory_arguments, session_arguments, usage_arguments

SERVER_ENV = "GROUNDWIRE_SERVER"
DEFAULT_SERVER = "localhost:50051"
DEFAULT_COLLECTION = "documents"
VECTOR_TYPES = ("float32", "float16")
# Every field of a request that is a number holds this one.
LARGEST = 2**31 - 1
FILES = {"jsonl": "JSON Lines", "parquet": "Parquet"}

INDEX_ACTIONS = {
    "stat": "What each collection consists of: segments, indexes, indexed fields, sizes.",
    "verify": "Check every file, and name those that are damaged; exit code 1 if any is.",
    "compact": "Purge, compact and index what is due, and give the room back.",
}

Parser = argparse.ArgumentParser
Subparsers = argparse._SubParsersAction  # argparse gives this type no public name


def parser() -> Parser:
    """The parser of the whole command line."""
    made = Parser(
        prog="groundwire",
        description="Generate, embed, retrieve and remember over one gRPC server.",
        epilog=f"The server that commands talk to: --server, else ${SERVER_ENV}, "
        f"else {DEFAULT_SERVER}. Exit codes: 0 done, 1 failed, 2 wrong arguments, 130 interrupted.",
        allow_abbrev=False,
    )
    commands = made.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for add in COMMANDS:
        add(commands)
    return made


def _serve(commands: Subparsers[Parser]) -> None:
    commands.add_parser("serve", help="Run a server.", add_help=False)


def _settings(commands: Subparsers[Parser]) -> None:
    commands.add_parser("settings", help="List the server's settings.", add_help=False)


def _ingest(commands: Subparsers[Parser]) -> None:
    made = _client_command(commands, "ingest", "Store documents: files, or folders of them.")
    made.add_argument("paths", nargs="+", type=Path, metavar="PATH")
    _collection(made, "Where to; created if it does not exist.")
    made.add_argument("--force", action="store_true", help="Also what is stored already.")


def _search(commands: Subparsers[Parser]) -> None:
    made = _client_command(commands, "search", "Find passages.")
    made.add_argument("query", metavar="QUERY")
    _collection(made, "Where to search.")
    made.add_argument("-k", "--top-k", type=_positive, default=5, metavar="N", help="Hits at most.")
    made.add_argument(
        "--mode", choices=("hybrid", "dense", "lexical"), help="How to rank; default: hybrid."
    )


def _ask(commands: Subparsers[Parser]) -> None:
    made = _client_command(commands, "ask", "Answer a question from stored documents.")
    made.add_argument("question", metavar="QUESTION")
    _answering(made)
    made.add_argument(
        "--cache",
        choices=("off", "exact", "semantic"),
        help="Whether it may be answered as it was before: never, if it was asked in the same "
        "words, or also in others. Default: as the server says.",
    )


def _chat(commands: Subparsers[Parser]) -> None:
    made = _client_command(commands, "chat", "Ask, and ask further, in one session.")
    _answering(made)
    made.add_argument("--session", default="", metavar="ID", help="A session to continue.")


def _collections(commands: Subparsers[Parser]) -> None:
    made = _client_command(commands, "collections", "List, name, create and delete collections.")
    actions = made.add_subparsers(dest="action", metavar="ACTION")
    create = _client_command(actions, "create", "Create an empty collection.")
    create.add_argument("name", metavar="NAME")
    create.add_argument("--description", default="", metavar="TEXT", help="For people.")
    _vector_type(create, "What its vectors are stored as, for good")
    delete = _client_command(actions, "delete", "Delete a collection with all its contents.")
    delete.add_argument("name", metavar="NAME")
    alias = _client_command(actions, "alias", "Let a name stand for a collection from now on.")
    alias.add_argument("alias", metavar="ALIAS")
    alias.add_argument("name", metavar="COLLECTION")
    unalias = _client_command(actions, "unalias", "Remove such a name; the collection stays.")
    unalias.add_argument("alias", metavar="ALIAS")
    delete.add_argument("--yes", action="store_true", help="Do not ask.")


def _memory(commands: Subparsers[Parser]) -> None:
    made = _client_command(commands, "memory", "Long-term memories of --subject.")
    actions = made.add_subparsers(dest="action", required=True, metavar="ACTION")
    memory_arguments.add_actions(lambda name, says: _client_command(actions, name, says))


def _sessions(commands: Subparsers[Parser]) -> None:
    made = _client_command(commands, "sessions", "Conversations of --subject.")
    actions = made.add_subparsers(dest="action", required=True, metavar="ACTION")
    session_arguments.add_actions(
        lambda name, says: _client_command(actions, name, says), _positive
    )


def _usage(commands: Subparsers[Parser]) -> None:
    says = "What the tenant has used, by day, subject and model."
    usage_arguments.add_arguments(_client_command(commands, "usage", says))


def _cache(commands: Subparsers[Parser]) -> None:
    made = _client_command(commands, "cache", "What is kept of what was computed for --tenant.")
    actions = made.add_subparsers(dest="action", required=True, metavar="ACTION")
    _client_command(actions, "stats", "What the caches hold, and what was found in them.")
    _client_command(actions, "clear", "Empty them.")


def _import(commands: Subparsers[Parser]) -> None:
    made = _command(commands, "import", "Copy records from Chroma or from files.")
    sources = made.add_subparsers(dest="source", required=True, metavar="SOURCE")
    chroma = _client_command(sources, "chroma", "Copy the collections of a Chroma database.")
    chroma.add_argument("database", metavar="PATH|URL", help="Its folder, or its server's URL.")
    chroma.add_argument("-c", "--collection", metavar="NAME", help="Only this one of Chroma's.")
    chroma.add_argument("--as", dest="rename", metavar="NAME", help="Its name here.")
    chroma.add_argument("--chroma-tenant", default="default_tenant", metavar="NAME")
    chroma.add_argument("--chroma-database", default="default_database", metavar="NAME")
    _importing(chroma)
    for kind, says in FILES.items():
        files = _client_command(sources, kind, f"Copy the records of {says} files.")
        files.add_argument("files", nargs="+", type=Path, metavar="FILE")
        _collection(files, "Where to; created if it does not exist.")
        files.add_argument(
            "--metric",
            choices=("cosine", "dot", "euclidean"),
            help="How vectors are compared in a collection that is created; default: cosine.",
        )
        _importing(files)


def _importing(made: Parser) -> None:
    made.set_defaults(command="importing")
    _vector_type(made, "What the vectors of a collection that is created are stored as, for good")
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


def _export(commands: Subparsers[Parser]) -> None:
    made = _command(commands, "export", "Write a collection to a file.")
    kinds = made.add_subparsers(dest="target", required=True, metavar="FORMAT")
    for kind, says in FILES.items():
        file = _client_command(kinds, kind, f"Write every record of a collection as {says}.")
        file.set_defaults(command="exporting")
        _collection(file, "Which one.")
        file.add_argument("-o", "--output", type=Path, required=True, metavar="FILE")


def _eval(commands: Subparsers[Parser]) -> None:
    made = _command(commands, "eval", "Measure how well searches find.")
    subjects = made.add_subparsers(dest="measured", required=True, metavar="WHAT")
    says = "nDCG@10, Recall@100, MRR@10 and latency of each search mode over a judged dataset."
    retrieval = _client_command(subjects, "retrieval", says)
    retrieval.set_defaults(command="evaluate")
    retrieval.add_argument(
        "dataset",
        type=Path,
        metavar="DATASET",
        help="A folder as BEIR has it: corpus.jsonl, queries.jsonl, qrels/test.tsv or qrels.tsv. "
        "It is stored in a collection that is removed afterwards, in the server that is named; "
        "without one, in a server that runs as long as the command.",
    )
    _vector_type(retrieval, "What the vectors are stored as")


def _doctor(commands: Subparsers[Parser]) -> None:
    made = _command(commands, "doctor", "Check this machine, and say what each finding means.")
    _data_dir(made, "Folder that a server would keep its data in.")


def _index(commands: Subparsers[Parser]) -> None:
    made = _command(commands, "index", "Look after the index of a server that is not running.")
    actions = made.add_subparsers(dest="action", required=True, metavar="ACTION")
    for action, says in INDEX_ACTIONS.items():
        _data_dir(_command(actions, action, says), "The server's folder.")


def _backup(commands: Subparsers[Parser]) -> None:
    says = "Copy everything that a server has stored, running or not: all tenants' collections, "
    made = _command(commands, "backup", says + "sessions and settings.")
    made.add_argument(
        "target",
        type=Path,
        metavar="TARGET",
        help="What to write: a folder, or a file whose name ends in .tar, .tar.gz or .tgz.",
    )
    _server_settings(made)


def _restore(commands: Subparsers[Parser]) -> None:
    made = _command(commands, "restore", "Make a data folder out of a backup.")
    made.add_argument("source", type=Path, metavar="SOURCE", help="What `backup` has written.")
    made.add_argument(
        "--replace", action="store_true", help="Also if the folder holds data, which is removed."
    )
    made.add_argument(
        "--check", action="store_true", help="Only read the backup, and compare every checksum."
    )
    _server_settings(made)


def _server_settings(made: Parser) -> None:
    group = made.add_argument_group("settings, else from the environment, as of the server")
    group.add_argument("--data-dir", type=Path, metavar="DIR", help="The server's folder.")
    group.add_argument("--redis-url", metavar="URL", help="Its Redis, unless it has its own.")
    group.add_argument("--config", type=Path, metavar="FILE", help="Its TOML file.")


def _data_dir(made: Parser, says: str) -> None:
    made.add_argument(
        "--data-dir",
        type=Path,
        default=Path(os.environ.get("GROUNDWIRE_DATA_DIR") or "groundwire-data"),
        metavar="DIR",
        help=says,
    )


def _demo(commands: Subparsers[Parser]) -> None:
    says = "See it work, from an empty server to a cited answer."
    commands.add_parser("demo", help=says, description=says, allow_abbrev=False)


COMMANDS: tuple[Callable[[Subparsers[Parser]], None], ...] = (
    _serve,
    _ingest,
    _search,
    _ask,
    _chat,
    _collections,
    _sessions,
    _memory,
    _usage,
    _cache,
    _import,
    _export,
    _eval,
    _doctor,
    _index,
    _backup,
    _restore,
    _settings,
    _demo,
)


def _command(commands: Subparsers[Parser], name: str, says: str) -> Parser:
    made = commands.add_parser(name, help=says, description=says, allow_abbrev=False)
    made.add_argument(
        "--json", action="store_true", default=argparse.SUPPRESS, help="Answer in lines of JSON."
    )
    made.set_defaults(json=False)
    return made


def _client_command(commands: Subparsers[Parser], name: str, says: str) -> Parser:
    made = _command(commands, name, says)
    group = made.add_argument_group("server")
    # Unset ones are left out, so that `collections --server X list` keeps what came first.
    group.add_argument("--server", default=argparse.SUPPRESS, metavar="HOST:PORT")
    group.add_argument("--tenant", default=argparse.SUPPRESS, metavar="NAME")
    group.add_argument("--subject", default=argparse.SUPPRESS, metavar="NAME", help="Who asks.")
    group.add_argument(
        "--timeout",
        type=_seconds,
        default=argparse.SUPPRESS,
        metavar="SECONDS",
        help="Of a call; of an ingest: without progress.",
    )
    return made


def _answering(made: Parser) -> None:
    _collection(made, "Where to answer from.")
    made.add_argument(
        "--no-sources", action="store_true", help="Let the model answer without documents."
    )
    made.add_argument("--model", default="", metavar="NAME", help="Default: the server's.")
    made.add_argument("-k", "--top-k", type=_positive, metavar="N", help="Passages at most.")
    made.add_argument("--max-tokens", type=_positive, metavar="N", help="Length at most.")


def _collection(made: Parser, says: str) -> None:
    made.add_argument(
        "-c",
        "--collection",
        default=DEFAULT_COLLECTION,
        metavar="NAME",
        help=f"{says} Default: {DEFAULT_COLLECTION}.",
    )


def _vector_type(made: Parser, says: str) -> None:
    made.add_argument(
        "--vector-type",
        choices=VECTOR_TYPES,
        help=f"{says}; float16 takes half the room and rounds. Default: float32.",
    )


def _positive(text: str) -> int:
    if not text.isascii() or not text.isdigit() or not 1 <= int(text) <= LARGEST:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from 1 to {LARGEST:,}")
    return int(text)


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not 0 < seconds < float("inf"):
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of seconds above 0")
    return seconds
