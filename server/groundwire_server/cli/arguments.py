"""What each command takes. Nothing heavy is imported here: ``--help`` is quick."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from groundwire_server.cli import (
    memory_arguments,
    session_arguments,
    transfer_arguments,
    usage_arguments,
)
from groundwire_server.cli.argument_kinds import (
    DEFAULT_SERVER,
    SERVER_ENV,
    Parser,
    Subparsers,
    add_client_command,
    add_collection,
    add_command,
    add_data_dir,
    add_vector_type,
    positive,
)

INDEX_ACTIONS = {
    "stat": "What each collection consists of: segments, indexes, indexed fields, sizes.",
    "verify": "Check every file, and name those that are damaged; exit code 1 if any is.",
    "compact": "Purge, compact and index what is due, and give the room back.",
}


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
    made = add_client_command(commands, "ingest", "Store documents: files, or folders of them.")
    made.add_argument("paths", nargs="+", type=Path, metavar="PATH")
    add_collection(made, "Where to; created if it does not exist.")
    made.add_argument("--force", action="store_true", help="Also what is stored already.")


def _search(commands: Subparsers[Parser]) -> None:
    made = add_client_command(commands, "search", "Find passages.")
    made.add_argument("query", metavar="QUERY")
    add_collection(made, "Where to search.")
    made.add_argument("-k", "--top-k", type=positive, default=5, metavar="N", help="Hits at most.")
    made.add_argument(
        "--mode", choices=("hybrid", "dense", "lexical"), help="How to rank; default: hybrid."
    )


def _ask(commands: Subparsers[Parser]) -> None:
    made = add_client_command(commands, "ask", "Answer a question from stored documents.")
    made.add_argument("question", metavar="QUESTION")
    _answering(made)
    made.add_argument(
        "--cache",
        choices=("off", "exact", "semantic"),
        help="Whether it may be answered as it was before: never, if it was asked in the same "
        "words, or also in others. Default: as the server says.",
    )


def _chat(commands: Subparsers[Parser]) -> None:
    made = add_client_command(commands, "chat", "Ask, and ask further, in one session.")
    _answering(made)
    made.add_argument("--session", default="", metavar="ID", help="A session to continue.")


def _collections(commands: Subparsers[Parser]) -> None:
    made = add_client_command(commands, "collections", "List, name, create and delete collections.")
    actions = made.add_subparsers(dest="action", metavar="ACTION")
    create = add_client_command(actions, "create", "Create an empty collection.")
    create.add_argument("name", metavar="NAME")
    create.add_argument("--description", default="", metavar="TEXT", help="For people.")
    add_vector_type(create, "What its vectors are stored as, for good")
    delete = add_client_command(actions, "delete", "Delete a collection with all its contents.")
    delete.add_argument("name", metavar="NAME")
    alias = add_client_command(actions, "alias", "Let a name stand for a collection from now on.")
    alias.add_argument("alias", metavar="ALIAS")
    alias.add_argument("name", metavar="COLLECTION")
    unalias = add_client_command(actions, "unalias", "Remove such a name; the collection stays.")
    unalias.add_argument("alias", metavar="ALIAS")
    delete.add_argument("--yes", action="store_true", help="Do not ask.")


def _memory(commands: Subparsers[Parser]) -> None:
    made = add_client_command(commands, "memory", "Long-term memories of --subject.")
    actions = made.add_subparsers(dest="action", required=True, metavar="ACTION")
    memory_arguments.add_actions(lambda name, says: add_client_command(actions, name, says))


def _sessions(commands: Subparsers[Parser]) -> None:
    made = add_client_command(commands, "sessions", "Conversations of --subject.")
    actions = made.add_subparsers(dest="action", required=True, metavar="ACTION")
    session_arguments.add_actions(
        lambda name, says: add_client_command(actions, name, says), positive
    )


def _usage(commands: Subparsers[Parser]) -> None:
    says = "What the tenant has used, by day, subject and model."
    usage_arguments.add_arguments(add_client_command(commands, "usage", says))


def _cache(commands: Subparsers[Parser]) -> None:
    made = add_client_command(commands, "cache", "What is kept of what was computed for --tenant.")
    actions = made.add_subparsers(dest="action", required=True, metavar="ACTION")
    add_client_command(actions, "stats", "What the caches hold, and what was found in them.")
    add_client_command(actions, "clear", "Empty them.")


def _import(commands: Subparsers[Parser]) -> None:
    transfer_arguments.add_import(commands)


def _export(commands: Subparsers[Parser]) -> None:
    transfer_arguments.add_export(commands)


def _eval(commands: Subparsers[Parser]) -> None:
    made = add_command(commands, "eval", "Measure how well searches find.")
    subjects = made.add_subparsers(dest="measured", required=True, metavar="WHAT")
    says = "nDCG@10, Recall@100, MRR@10 and latency of each search mode over a judged dataset."
    retrieval = add_client_command(subjects, "retrieval", says)
    retrieval.set_defaults(command="evaluate")
    retrieval.add_argument(
        "dataset",
        type=Path,
        metavar="DATASET",
        help="A folder as BEIR has it: corpus.jsonl, queries.jsonl, qrels/test.tsv or qrels.tsv. "
        "It is stored in a collection that is removed afterwards, in the server that is named; "
        "without one, in a server that runs as long as the command.",
    )
    add_vector_type(retrieval, "What the vectors are stored as")


def _doctor(commands: Subparsers[Parser]) -> None:
    made = add_command(commands, "doctor", "Check this machine, and say what each finding means.")
    add_data_dir(made, "Folder that a server would keep its data in.")


def _index(commands: Subparsers[Parser]) -> None:
    made = add_command(commands, "index", "Look after the index of a server that is not running.")
    actions = made.add_subparsers(dest="action", required=True, metavar="ACTION")
    for action, says in INDEX_ACTIONS.items():
        add_data_dir(add_command(actions, action, says), "The server's folder.")


def _backup(commands: Subparsers[Parser]) -> None:
    says = "Copy everything that a server has stored, running or not: all tenants' collections, "
    made = add_command(commands, "backup", says + "sessions and settings.")
    made.add_argument(
        "target",
        type=Path,
        metavar="TARGET",
        help="What to write: a folder, or a file whose name ends in .tar, .tar.gz or .tgz.",
    )
    _server_settings(made)


def _restore(commands: Subparsers[Parser]) -> None:
    made = add_command(commands, "restore", "Make a data folder out of a backup.")
    made.add_argument("source", type=Path, metavar="SOURCE", help="What `backup` has written.")
    made.add_argument(
        "--replace", action="store_true", help="Also if the folder holds data, which is removed."
    )
    made.add_argument(
        "--check", action="store_true", help="Only read the backup, and compare every checksum."
    )
    _server_settings(made)


def _demo(commands: Subparsers[Parser]) -> None:
    says = "See it work, from an empty server to a cited answer."
    commands.add_parser("demo", help=says, description=says, allow_abbrev=False)


def _server_settings(made: Parser) -> None:
    group = made.add_argument_group("settings, else from the environment, as of the server")
    group.add_argument("--data-dir", type=Path, metavar="DIR", help="The server's folder.")
    group.add_argument("--redis-url", metavar="URL", help="Its Redis, unless it has its own.")
    group.add_argument("--config", type=Path, metavar="FILE", help="Its TOML file.")


def _answering(made: Parser) -> None:
    add_collection(made, "Where to answer from.")
    made.add_argument(
        "--no-sources", action="store_true", help="Let the model answer without documents."
    )
    made.add_argument("--model", default="", metavar="NAME", help="Default: the server's.")
    made.add_argument("-k", "--top-k", type=positive, metavar="N", help="Passages at most.")
    made.add_argument("--max-tokens", type=positive, metavar="N", help="Length at most.")


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
