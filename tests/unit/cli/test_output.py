"""Indented text, in a terminal and in a pipe."""

from __future__ import annotations

import io

from groundwire_server.cli.output import print_indented
from rich.console import Console

TEXT = "The dome must be closed when the wind reaches 18 [metres] per second."


def printed(*, terminal: bool) -> str:
    screen = Console(file=io.StringIO(), width=34, force_terminal=terminal, color_system=None)
    screen.soft_wrap = not terminal
    print_indented(screen, TEXT)
    return screen.file.getvalue()


def test_every_line_is_indented_in_a_terminal() -> None:
    lines = printed(terminal=True).splitlines()
    assert len(lines) > 1
    assert all(line.startswith("    ") and len(line) <= 34 for line in lines)
    assert " ".join(line.strip() for line in lines) == TEXT


def test_nothing_is_cut_off_in_a_pipe() -> None:
    assert printed(terminal=False) == f"    {TEXT}\n"
