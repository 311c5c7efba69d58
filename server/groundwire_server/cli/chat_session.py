"""The session of a chat: continued, forked, and added up."""

from __future__ import annotations

import sys
from argparse import Namespace

from groundwire import Client, GroundwireError
from rich.console import Console

from groundwire_server.cli.argument_kinds import LARGEST
from groundwire_server.cli.context import show_context
from groundwire_server.cli.failure import is_unreachable, sentence
from groundwire_server.cli.sessions import show_stats

HELP = """\
  /fork [TURN]    go on from a turn in another session; without one, from here
  /context [TEXT] what a model sees of this session, if TEXT is asked next
  /stats          what this session adds up to"""

CONTEXT_TOKENS = 4096


class ChatSession:
    """The commands of a chat that are about its session, which they may change."""

    def __init__(
        self, client: Client, arguments: Namespace, session_id: str, screen: Console
    ) -> None:
        self._memory = client.memory
        self._arguments = arguments
        self._screen = screen
        self._actions = {"/fork": self._fork, "/context": self._context, "/stats": self._stats}
        self.id = session_id

    def obey(self, line: str) -> bool:
        """Do what a line says; whether it was about the session."""
        command, _, rest = line.partition(" ")
        if command not in self._actions:
            return False
        try:
            self._actions[command](rest.strip())
        except GroundwireError as error:
            if is_unreachable(error):
                raise
            sys.stderr.write(f"groundwire: {sentence(error, self._arguments)}\n")
        return True

    def _stats(self, _: str) -> None:
        show_stats(self._memory.get_session_stats(self.id), self._screen)

    def _context(self, query: str) -> None:
        context = self._memory.build_context(
            self.id, query=query, budget_tokens=CONTEXT_TOKENS, model=self._arguments.model
        )
        show_context(context, self._screen)

    def _fork(self, turn: str) -> None:
        if turn and not (turn.isascii() and turn.isdigit()):
            self._screen.print(f"{turn} is no number of a turn.", style="note", markup=False)
            return
        at_turn = int(turn) if turn else self._memory.get_session(self.id).head
        if not 1 <= at_turn <= LARGEST:
            self._screen.print("There is no such turn.", style="note")
            return
        before = self.id
        self.id = self._memory.fork_session(before, at_turn, title="groundwire chat").id
        self._screen.print(
            f"From turn {at_turn} of {before}, this goes on in {self.id}.",
            style="faint",
            markup=False,
        )
