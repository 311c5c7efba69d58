"""`groundwire chat`: questions and follow-ups in one session."""

from __future__ import annotations

import sys
import uuid
from argparse import Namespace
from collections.abc import Iterator
from contextlib import suppress

from groundwire import Client, Generation, GroundwireError
from groundwire.errors import NotFoundError
from rich.console import Console

from groundwire_server.cli.answer import as_json, options, show_ending, show_sources, stream
from groundwire_server.cli.chat_memory import HELP as MEMORY_HELP
from groundwire_server.cli.chat_memory import ChatMemory
from groundwire_server.cli.chat_session import HELP as SESSION_HELP
from groundwire_server.cli.chat_session import ChatSession
from groundwire_server.cli.connection import connect
from groundwire_server.cli.failure import is_unreachable, sentence
from groundwire_server.cli.output import console, print_json

PROMPT = "> "
HELP = f"""\
Ask anything; a follow-up may lean on what was said before.
  /sources        the passages that the last answer cites
{SESSION_HELP}
{MEMORY_HELP}
  /help           this
  /quit           leave (Ctrl-D does too); Ctrl-C stops an answer"""


def run(arguments: Namespace) -> int:
    """Answer lines until there are no more. From a pipe: 1 if one of them failed."""
    with connect(arguments) as client:
        if arguments.session:
            session_id = client.memory.get_session(arguments.session).id
        else:
            session_id = client.memory.create_session(title="groundwire chat").id
        chat = Chat(client, arguments, session_id, console())
        for line in _lines(chat):
            if line == "/quit":
                break
            chat.take(line)
        chat.leave()
    return int(chat.failed and not sys.stdin.isatty())


class Chat:
    """One conversation with a person, or with a program that writes lines."""

    def __init__(
        self, client: Client, arguments: Namespace, session_id: str, screen: Console
    ) -> None:
        self._client = client
        self._arguments = arguments
        self._session = ChatSession(client, arguments, session_id, screen)
        self._memory = ChatMemory(client, arguments, screen)
        self._last: Generation | None = None
        self.screen = screen
        self.failed = False

    def greet(self) -> None:
        """Say what can be done."""
        if not self._arguments.json:
            about = "" if self._arguments.no_sources else f" about “{self._arguments.collection}”"
            self.screen.print(f"Ask{about}; /help lists what else there is.", style="faint")

    def take(self, line: str) -> None:
        """Answer one line."""
        if line.startswith("/"):
            self._obey(line)
        elif line:
            self._answer(line)

    def leave(self) -> None:
        """Say how to come back."""
        if not self._arguments.json and self.screen.is_terminal:
            self.screen.print(
                f"Continue with: groundwire chat --session {self._session.id}", style="faint"
            )

    def _obey(self, command: str) -> None:
        if command == "/help":
            self.screen.print(HELP)
        elif command == "/sources" and self._last and self._last.citations:
            show_sources(self._last, self.screen)
        elif command == "/sources":
            self.screen.print("No sources: nothing has been cited yet.", style="faint")
        elif not (self._memory.obey(command) or self._session.obey(command)):
            self.screen.print(f"There is no {command}; /help lists what there is.", style="note")

    def _answer(self, question: str) -> None:
        asked = options(self._arguments, self._session.id)
        asked["request_id"] = uuid.uuid4().hex
        try:
            with self._client.generate(question, **asked) as answer:
                self._last = answer
                self._show(question, answer)
        except KeyboardInterrupt:
            if not sys.stdin.isatty():
                raise
            # Of one whose reader has gone the server would keep the whole answer.
            with suppress(NotFoundError):
                self._client.admin.abort(asked["request_id"])
            self.screen.print("\nStopped; this exchange is not kept.", style="note")
        except GroundwireError as error:
            if is_unreachable(error):
                raise
            self.failed = True
            sys.stderr.write(f"groundwire: {sentence(error, self._arguments)}\n")

    def _show(self, question: str, answer: Generation) -> None:
        if self._arguments.json:
            answer.text()
            print_json({"session": self._session.id, **as_json(question, answer)})
            return
        stream(answer, self.screen)
        if answer.finished:
            show_ending(answer.finished, self.screen)


def _lines(chat: Chat) -> Iterator[str]:
    if not sys.stdin.isatty():
        yield from (line.strip() for line in sys.stdin)
        return
    # Gives `input` its editing and its history, and is not there on every machine.
    with suppress(ImportError):
        import readline  # noqa: F401 - importing it is what works
    chat.greet()
    while True:
        try:
            yield input(PROMPT).strip()
        except (EOFError, KeyboardInterrupt):
            chat.screen.print()
            return
