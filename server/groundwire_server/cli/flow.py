"""Text that arrives in pieces, broken between words at the width of the terminal."""

from __future__ import annotations

import re

from rich.cells import cell_len
from rich.console import Console
from rich.text import Text

PIECE = re.compile(r"\n|[^\S\n]+|\S+")


class Flow:
    """Writes words as they are complete. Into a pipe or a file it breaks no lines."""

    def __init__(self, screen: Console) -> None:
        self._screen = screen
        self._width = screen.width if screen.is_terminal else None
        self._column = 0
        self._word = ""
        self._space = ""

    def write(self, text: str, style: str = "") -> None:
        """Write the next piece; its last word waits for its end."""
        for piece in PIECE.findall(text):
            if piece.strip():
                self._word += piece
                continue
            self._put_word(style)
            if piece == "\n":
                self._put("\n", style)
                self._column, self._space = 0, ""
            else:
                self._space += piece

    def end(self, style: str = "") -> None:
        """Write what waited, and end the line if one was begun."""
        self._put_word(style)
        if self._column:
            self._put("\n", style)
        self._column, self._space = 0, ""

    def _put_word(self, style: str) -> None:
        if not self._word:
            return
        length = cell_len(self._space) + cell_len(self._word)
        if self._width and self._column and self._column + length > self._width:
            self._put(f"\n{self._word}", style)
            self._column = cell_len(self._word)
        else:
            self._put(f"{self._space}{self._word}", style)
            self._column += length
        self._word = self._space = ""

    def _put(self, text: str, style: str) -> None:
        self._screen.print(Text(text, style=style), end="", soft_wrap=True)
        self._screen.file.flush()
