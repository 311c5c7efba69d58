"""Text that arrives in pieces is broken between words."""

from __future__ import annotations

import io

import pytest
from groundwire_server.cli.flow import Flow
from rich.console import Console


def written(*pieces: str, width: int = 20, terminal: bool = True) -> str:
    screen = Console(
        file=io.StringIO(),
        width=width,
        force_terminal=terminal,
        color_system=None,
        legacy_windows=False,
    )
    flow = Flow(screen)
    for piece in pieces:
        flow.write(piece)
    flow.end()
    return screen.file.getvalue()


def test_lines_are_broken_between_words() -> None:
    assert written("The dome must be closed at dusk.") == "The dome must be\nclosed at dusk.\n"


@pytest.mark.parametrize("size", [1, 2, 3, 7])
def test_where_the_pieces_are_cut_does_not_show(size: int) -> None:
    text = "The dome must be closed when the wind reaches 18 metres.\n\n  - It opens  again."
    pieces = [text[start : start + size] for start in range(0, len(text), size)]
    assert written(*pieces) == written(text)


def test_a_word_is_written_when_it_is_complete_and_not_later() -> None:
    screen = Console(file=io.StringIO(), width=20, force_terminal=True, color_system=None)
    flow = Flow(screen)
    flow.write("The dome op")
    assert screen.file.getvalue() == "The dome"
    flow.write("ens ")
    assert screen.file.getvalue() == "The dome opens"


def test_line_ends_and_indents_of_the_text_are_kept() -> None:
    assert written("One\n\n  two") == "One\n\n  two\n"


def test_a_word_that_is_longer_than_a_line_is_left_whole() -> None:
    assert written("a " + "x" * 30 + " b") == "a\n" + "x" * 30 + "\nb\n"


def test_into_a_pipe_no_line_is_broken() -> None:
    text = "The dome must be closed when the wind reaches 18 metres per second."
    assert written(text, terminal=False) == text + "\n"


def test_what_looks_like_markup_is_text() -> None:
    assert written("see [bold] and [1]", width=80) == "see [bold] and [1]\n"
