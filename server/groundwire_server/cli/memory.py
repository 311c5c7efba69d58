"""`groundwire memory`: what is known of a subject, and what no longer is."""

from __future__ import annotations

import sys
from argparse import Namespace
from collections.abc import Iterable, Sequence
from datetime import datetime

from groundwire import Client, ForgetReceipt, Memory, Recalled
from groundwire.errors import InvalidArgumentError
from rich.console import Console
from rich.table import Table
from rich.text import Text

from groundwire_server.cli.connection import connect
from groundwire_server.cli.memory_receipt import verify
from groundwire_server.cli.output import console, print_json
from groundwire_server.identity import ANYBODY


def run(arguments: Namespace) -> int:
    """Do what the arguments say with memories."""
    if arguments.action == "verify":
        return verify(arguments)
    with connect(arguments) as client:
        return ACTIONS[arguments.action](client, arguments)


def _remember(client: Client, arguments: Namespace) -> int:
    made = client.memory.remember(arguments.text, arguments.kind, importance=arguments.importance)
    _show([made], arguments)
    return 0


def _update(client: Client, arguments: Namespace) -> int:
    _show([client.memory.update_memory(arguments.id, text=arguments.text)], arguments)
    return 0


def _list(client: Client, arguments: Namespace) -> int:
    _show(list(client.memory.list_memories(include_superseded=arguments.all)), arguments)
    return 0


def _recall(client: Client, arguments: Namespace) -> int:
    found = client.memory.recall(arguments.query, top_k=arguments.top_k, as_of=arguments.as_of)
    if arguments.json:
        for one in found:
            print_json(one)
    else:
        show_recalled(found, console())
    return 0


def _forget(client: Client, arguments: Namespace) -> int:
    subject = getattr(arguments, "subject", "") or ANYBODY
    if sum(map(bool, (arguments.ids, arguments.session, arguments.all))) != 1:
        raise InvalidArgumentError("give ids, or --session ID, or --all: one of the three")
    if not arguments.yes and not _is_meant(arguments, subject):
        return 1
    receipt = client.memory.forget(
        arguments.ids, session_id=arguments.session, subject=subject if arguments.all else ""
    )
    if arguments.json:
        print_json(receipt)
    else:
        show_receipt(receipt, console())
    return 0


ACTIONS = {
    "remember": _remember,
    "recall": _recall,
    "update": _update,
    "list": _list,
    "forget": _forget,
}


def show_recalled(found: Sequence[Recalled], screen: Console) -> None:
    """The memories with the parts of their scores."""
    if not found:
        screen.print("Nothing is remembered that matters for it.")
        return
    table = Table(box=None, header_style="faint")
    for heading in ("Score", "Meaning", "Words", "Recency", "Importance"):
        table.add_column(heading, justify="right")
    for heading in ("Kind", "Text", "Id"):
        table.add_column(heading)
    for one in found:
        parts = (one.score, one.semantic, one.lexical, one.recency, one.importance)
        memory = one.memory
        table.add_row(*(f"{part:.2f}" for part in parts), memory.kind, Text(memory.text), memory.id)
    screen.print(table)


def show_receipt(receipt: ForgetReceipt, screen: Console) -> None:
    """What was removed."""
    count = receipt.removed.get("memory", 0)
    memories = "1 memory" if count == 1 else f"{count:,} memories"
    screen.print(f"Forgot {memories}; receipt {receipt.audit_id}.", markup=False)


def _show(found: Sequence[Memory], arguments: Namespace) -> None:
    if arguments.json:
        for memory in found:
            print_json(memory)
    elif found:
        console().print(_table(found))
    else:
        console().print("Nothing is remembered yet: `groundwire memory remember TEXT`.")


def _table(found: Iterable[Memory]) -> Table:
    table = Table("Since", "Until", "Kind", box=None, header_style="faint")
    table.add_column("Importance", justify="right")
    table.add_column("Text")
    table.add_column("Id")
    for one in found:
        table.add_row(
            _day(one.valid_from),
            _day(one.valid_until or one.expire_time),
            one.kind,
            f"{one.importance:.2f}",
            Text(one.text),
            one.id,
        )
    return table


def _day(time: datetime | None) -> str:
    return time.astimezone().strftime("%Y-%m-%d %H:%M") if time else ""


def _is_meant(arguments: Namespace, subject: str) -> bool:
    if not sys.stdin.isatty():
        sys.stderr.write("groundwire: nothing was forgotten: say --yes to forget without asking\n")
        return False
    what = (
        f"what came from session {arguments.session}"
        if arguments.session
        else (
            f"everything about {subject}" if arguments.all else f"{len(arguments.ids):,} memories"
        )
    )
    answer = input(f"Forget {what}, for good? [y/N] ")
    return answer.strip().lower() in ("y", "yes")
