"""Turns in groups that make sense only as a whole."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from groundwire_server.engines.engine import Role
from groundwire_server.memory.session import Turn


@dataclass(frozen=True, slots=True)
class Exchange:
    """A question and all that follows it up to the next: answers, tool calls and results."""

    turns: tuple[Turn, ...]

    @property
    def stored_tokens(self) -> int:
        """Tokens of the turns as counted when they were stored; at least one for each."""
        return sum(max(1, turn.token_count) for turn in self.turns)


def exchanges_of(turns: Iterable[Turn]) -> list[Exchange]:
    """Group consecutive turns; turns before the first question form a group too."""
    groups: list[list[Turn]] = []
    for turn in turns:
        if turn.role is Role.USER or not groups:
            groups.append([])
        groups[-1].append(turn)
    return [Exchange(tuple(group)) for group in groups]
