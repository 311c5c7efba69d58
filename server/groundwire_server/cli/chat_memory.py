"""Long-term memories in a chat: remembered, recalled and forgotten where they come up."""

from __future__ import annotations

import sys
from argparse import Namespace

from groundwire import Client, GroundwireError
from rich.console import Console

from groundwire_server.cli.failure import is_unreachable, sentence
from groundwire_server.cli.memory import show_recalled, show_receipt

HELP = """\
  /remember TEXT  know this from now on, in every chat
  /recall QUERY   what is known that matters for it
  /forget ID      forget a memory for good"""


class ChatMemory:
    """The commands of a chat that are about memories."""

    def __init__(self, client: Client, arguments: Namespace, screen: Console) -> None:
        self._memory = client.memory
        self._arguments = arguments
        self._screen = screen
        self._actions = {
            "/remember": self._remember,
            "/recall": self._recall,
            "/forget": self._forget,
        }

    def obey(self, line: str) -> bool:
        """Do what a line says; whether it was about memories."""
        command, _, rest = line.partition(" ")
        if command not in self._actions:
            return False
        if not rest.strip():
            self._screen.print(f"{command} needs more: /help says what.", style="note")
            return True
        try:
            self._actions[command](rest.strip())
        except GroundwireError as error:
            if is_unreachable(error):
                raise
            sys.stderr.write(f"groundwire: {sentence(error, self._arguments)}\n")
        return True

    def _remember(self, text: str) -> None:
        made = self._memory.remember(text)
        self._screen.print(f"Remembered as {made.id}.", style="faint")

    def _recall(self, query: str) -> None:
        show_recalled(self._memory.recall(query, top_k=5), self._screen)

    def _forget(self, memory_id: str) -> None:
        show_receipt(self._memory.forget([memory_id]), self._screen)
