"""`groundwire sessions`: what was said, where it branched, and what it adds up to."""

from __future__ import annotations

import sys
from argparse import Namespace
from collections.abc import Iterable, Sequence
from datetime import datetime

from groundwire import Client, Session, SessionStats
from rich.console import Console
from rich.table import Table
from rich.text import Text
from rich.tree import Tree

from groundwire_server.cli.connection import connect
from groundwire_server.cli.output import console, print_indented, print_json


def run(arguments: Namespace) -> int:
    """Do what the arguments say with sessions."""
    with connect(arguments) as client:
        return ACTIONS[arguments.action](client, arguments)


def _list(client: Client, arguments: Namespace) -> int:
    found = list(client.memory.list_sessions())
    if arguments.json:
        for session in found:
            print_json(session)
        return 0
    screen = console()
    if found:
        screen.print(_table(found))
    else:
        screen.print("No sessions yet: `groundwire chat` begins one.")
    removed = client.memory.removed_sessions()
    if removed.sessions:
        screen.print(
            f"{removed.sessions:,} more were removed as the server's retention says, "
            f"the last {_moment(removed.time)}.",
            style="faint",
        )
    return 0


def _show(client: Client, arguments: Namespace) -> int:
    if arguments.thread:
        return _show_thread(client, arguments)
    session = client.memory.get_session(arguments.id)
    forks = client.memory.list_forks(arguments.id)
    turns = client.memory.messages(arguments.id)
    if arguments.json:
        print_json({"session": session, "forks": forks, "turns": list(turns)})
        return 0
    screen = console()
    screen.print(_table([session]))
    for turn in turns:
        model = turn.answer.model if turn.answer else ""
        screen.print(
            Text.assemble((f"{turn.number} ", "number"), turn.role, (f" {model}", "faint"))
        )
        print_indented(screen, turn.content)
    for fork in forks:
        screen.print(_fork_line(fork))
    return 0


def _show_thread(client: Client, arguments: Namespace) -> int:
    thread = client.memory.get_thread(arguments.id)
    if arguments.json:
        for session in thread:
            print_json(session)
        return 0
    branches: dict[str, Tree] = {}
    screen = console()
    for session in thread:
        label = _fork_line(session) if session.parent else Text(_name(session))
        above = branches.get(session.parent.session_id) if session.parent else None
        branches[session.id] = above.add(label) if above else Tree(label)
        if above is None:
            branches[f"root {session.id}"] = branches[session.id]
    for name, tree in branches.items():
        if name.startswith("root "):
            screen.print(tree)
    return 0


def _fork(client: Client, arguments: Namespace) -> int:
    at_turn = arguments.at or client.memory.get_session(arguments.id).head
    made = client.memory.fork_session(
        arguments.id, at_turn, new_session_id=arguments.new_id, title=arguments.title
    )
    if arguments.json:
        print_json(made)
    else:
        console().print(f"Forked {arguments.id} at turn {at_turn}: {made.id}.", markup=False)
    return 0


def _delete(client: Client, arguments: Namespace) -> int:
    if not arguments.yes and not _is_meant(arguments.ids):
        return 1
    for session_id in arguments.ids:
        turns = client.memory.delete_session(session_id)
        if arguments.json:
            print_json({"id": session_id, "turns": turns})
        else:
            console().print(f"Deleted {session_id} with {turns:,} turns.", markup=False)
    return 0


def _stats(client: Client, arguments: Namespace) -> int:
    stats = client.memory.get_session_stats(arguments.id)
    if arguments.json:
        print_json(stats)
    else:
        show_stats(stats, console())
    return 0


ACTIONS = {
    "list": _list,
    "show": _show,
    "fork": _fork,
    "delete": _delete,
    "stats": _stats,
}


def show_stats(stats: SessionStats, screen: Console) -> None:
    """What the turns of a session add up to."""
    table = Table(box=None, show_header=False)
    table.add_column(style="faint")
    table.add_column()
    table.add_row("Turns", f"{stats.turns:,}")
    table.add_row("Tokens", f"{stats.tokens:,}")
    table.add_row("First", _moment(stats.first_time))
    table.add_row("Last", _moment(stats.last_time))
    for model, count in sorted(stats.answers_by_model.items()):
        table.add_row("Answers", Text(f"{count:,} by {model}"))
    if stats.average_latency_s is not None:
        table.add_row("Latency", f"{stats.average_latency_s:.2f} s on average")
    if stats.average_confidence:
        table.add_row("Confidence", f"{stats.average_confidence:.0%} on average")
    screen.print(table)


def _table(found: Iterable[Session]) -> Table:
    table = Table("Id", "Title", box=None, header_style="faint")
    table.add_column("Turns", justify="right")
    table.add_column("Tokens", justify="right")
    for heading in ("Used", "Expires", "Forked from"):
        table.add_column(heading)
    for one in found:
        parent = f"{one.parent.session_id} at {one.parent.turn}" if one.parent else ""
        table.add_row(
            one.id,
            Text(one.title),
            f"{one.turn_count:,}",
            f"{one.token_count:,}",
            _moment(one.use_time),
            _moment(one.expire_time),
            parent,
        )
    return table


def _fork_line(fork: Session) -> Text:
    turn = fork.parent.turn if fork.parent else 0
    return Text.assemble((f"at {turn} ", "number"), _name(fork))


def _name(session: Session) -> str:
    title = f" “{session.title}”" if session.title else ""
    return f"{session.id}{title}, {session.turn_count:,} turns"


def _moment(time: datetime | None) -> str:
    return time.astimezone().strftime("%Y-%m-%d %H:%M") if time else ""


def _is_meant(ids: Sequence[str]) -> bool:
    if not sys.stdin.isatty():
        sys.stderr.write("groundwire: nothing was deleted: say --yes to delete without asking\n")
        return False
    answer = input(f"Delete {', '.join(ids)}? [y/N] ")
    return answer.strip().lower() in ("y", "yes")
