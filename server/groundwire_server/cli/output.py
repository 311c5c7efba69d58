"""Two ways of answering: to a person, or in lines of JSON to a program."""

from __future__ import annotations

import dataclasses
import json
import sys
from array import array
from datetime import date
from typing import Any

from rich.console import Console
from rich.text import Text
from rich.theme import Theme

# Columns; tables, too, are never made narrower for a program that reads them.
UNLIMITED = 10_000

THEME = Theme(
    {
        "number": "bold cyan",
        "title": "bold",
        "quote": "italic",
        "faint": "dim",
        "good": "green",
        "note": "yellow",
        "bad": "red",
        "command": "bold cyan",
    }
)


def console(*, stderr: bool = False) -> Console:
    """A console for people. Into a pipe or a file it writes plain text, and breaks no lines."""
    made = Console(theme=THEME, stderr=stderr, highlight=False, emoji=False)
    if not made.is_terminal:
        made.soft_wrap = True
        made.width = UNLIMITED
    return made


def print_indented(screen: Console, text: str, *, indent: int = 4, style: str = "") -> None:
    """Text some columns in; in a terminal each of its lines is."""
    margin = " " * indent
    if not screen.is_terminal:
        screen.print(f"{margin}{text}", markup=False)
        return
    for line in Text(text, style=style).wrap(screen, max(20, screen.width - indent)):
        screen.print(Text(margin) + line)


def print_json(value: Any) -> None:
    """One line of JSON."""
    sys.stdout.write(json.dumps(value, ensure_ascii=False, default=_plain) + "\n")
    sys.stdout.flush()


def _plain(value: Any) -> Any:
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, array):
        return value.tolist()
    raise TypeError(f"{value!r} has no form in JSON")
