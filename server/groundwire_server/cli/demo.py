"""`groundwire demo`: from an empty server to a cited answer, in about a minute."""

from __future__ import annotations

import shutil
import signal
import sys
import time
from argparse import Namespace
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from groundwire import Client, Generation
from rich.console import Console
from rich.text import Text

from groundwire_server.cli import ingest
from groundwire_server.cli.answer import options, place, stream
from groundwire_server.cli.citation_check import Checked, check
from groundwire_server.cli.connection import connect
from groundwire_server.cli.local_server import CannotStartError, local_server
from groundwire_server.cli.output import console, print_indented
from groundwire_server.cli.samples import handbook

COLLECTION = "handbook"


@dataclass(frozen=True, slots=True)
class Asked:
    """A question, and why it is asked."""

    about: str
    question: str
    is_answered: bool = True


QUESTIONS = (
    Asked("A question", "At what wind speed does the Maar dome have to be closed?"),
    Asked("Another", "When were the domes damaged by a storm?"),
    Asked("A follow-up, in the same session", "How long was the telescope out of service?"),
    Asked(
        "Something that the handbook does not say",
        "What does the observatory pay for its electricity each year?",
        is_answered=False,
    ),
)

CLOSING = (
    "A server started on this machine without a GPU, a download or any other service. It read "
    "PDF, DOCX, HTML and Markdown, answered over gRPC as a stream, and each citation was looked "
    "up in what is stored. The session made the follow-up understood, and what the documents "
    "do not say was not made up. These answers were quoted from the documents; with "
    "`groundwire serve --vllm-model NAME` a language model writes them."
)

COMMANDS = (
    ("serve", "a server that stays"),
    ("ingest samples/handbook", "these documents, or your own"),
    ('ask "Who is the safety officer?"', "one answer with its sources"),
    ("chat", "a conversation"),
    ("doctor", "what this machine can do"),
)


def run(_: Namespace) -> int:
    """Show it; 1 if something was not as it should be."""
    documents = handbook()
    if documents is None:
        sys.stderr.write(
            "groundwire: the demo needs the sample documents, which come with the source code "
            "and not with the package: run `make demo` in a clone of the repository\n"
        )
        return 1
    # So that then, too, the server is stopped and its data removed.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    screen = console()
    screen.print(
        "Groundwire, from an empty server to a cited answer: the handbook of an invented "
        "observatory is stored, then asked.",
        style="title",
    )
    try:
        with _serving(screen) as address:
            went_well = _show(address, documents, screen)
    except CannotStartError as error:
        sys.stderr.write(f"groundwire: {error}\n")
        return 1
    _close(screen)
    return int(not went_well)


@contextmanager
def _serving(screen: Console) -> Iterator[str]:
    _heading("A server", screen)
    began = time.monotonic()
    waiting = screen.status("Starting: loading the embedder, opening the index, starting Redis …")
    waiting.start()
    try:
        with local_server() as address:
            waiting.stop()
            seconds = time.monotonic() - began
            _good(
                f"Serving on {address} after {seconds:.1f} s.",
                screen,
            )
            yield address
            waiting.update("Stopping the server, removing its data …")
            waiting.start()
    finally:
        waiting.stop()


def _show(address: str, documents: Path, screen: Console) -> bool:
    arguments = Namespace(
        server=address,
        collection=COLLECTION,
        paths=[documents],
        force=False,
        json=False,
        model="",
        top_k=None,
        max_tokens=None,
        no_sources=False,
    )
    _heading("Documents", screen)
    went_well = ingest.run(arguments) == 0
    with connect(arguments) as client:
        session_id = client.memory.create_session(title="demo").id
        for asked in QUESTIONS:
            _heading(asked.about, screen)
            went_well &= _ask(client, asked, arguments, session_id, screen)
    return went_well


def _ask(
    client: Client, asked: Asked, arguments: Namespace, session_id: str, screen: Console
) -> bool:
    screen.print(Text(f"> {asked.question}", style="command"))
    with client.generate(asked.question, **options(arguments, session_id)) as answer:
        stream(answer, screen)
    screen.print()
    if not asked.is_answered:
        return _show_silence(answer, screen)
    checked = [check(client, arguments.collection, answer, each) for each in answer.citations]
    for each in checked:
        _show_check(each, screen)
    return bool(checked) and all(each.holds for each in checked)


def _show_silence(answer: Generation, screen: Console) -> bool:
    kept_silent = answer.finished is not None and answer.finished.finish_reason == "no_sources"
    if kept_silent:
        _good("No passage supports an answer, so none was made up.", screen)
    else:
        screen.print("✗ It answered what the documents do not say.", style="bad")
    return kept_silent


def _show_check(checked: Checked, screen: Console) -> None:
    sign, style = ("✓", "good") if checked.holds else ("✗", "bad")
    screen.print(
        Text.assemble(
            (f"{sign} [{checked.citation.source}] ", style),
            (checked.passage.document_id, "title"),
            place(checked.passage),
        )
    )
    print_indented(screen, f"“{checked.quote}”", indent=6, style="quote")
    print_indented(screen, checked.verdict, indent=6, style="faint")


def _heading(text: str, screen: Console) -> None:
    screen.print()
    screen.print(Text(f"── {text}", style="title"))


def _good(text: str, screen: Console) -> None:
    screen.print(Text.assemble(("✓ ", "good"), text))


def _close(screen: Console) -> None:
    _heading("What you just saw", screen)
    screen.print(CLOSING, markup=False)
    screen.print()
    lines = [(f"{_program()} {command}", meaning) for command, meaning in COMMANDS]
    width = max(len(command) for command, _ in lines)
    for command, meaning in lines:
        screen.print(Text.assemble("  ", (command.ljust(width), "command"), f"  {meaning}"))


def _program() -> str:
    """What to type for this program here: `make demo` installs it beside Python, off the path."""
    beside = Path(sys.executable).with_name("groundwire")
    if shutil.which("groundwire") or not beside.is_file():
        return "groundwire"
    here = Path.cwd()
    return str(beside.relative_to(here) if beside.is_relative_to(here) else beside)
