"""Summaries without a model: sentences that were said, and who said them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

from groundwire_server.embedders.embedder import Priority
from groundwire_server.engines.engine import Role
from groundwire_server.memory.session import Turn
from groundwire_server.memory.summaries import chosen as module
from groundwire_server.memory.summaries.chosen import (
    MOST_LINES,
    MOST_SENTENCES,
    ChosenSentences,
)

from tests.unit.retrieve.letters import LettersEmbedder

NOW = datetime(2026, 5, 1, tzinfo=UTC)


def turns_of(*said: tuple[Role, str]) -> Sequence[Turn]:
    return [
        Turn(number, role, text, NOW, {}, (), len(text.split()))
        for number, (role, text) in enumerate(said, start=1)
    ]


async def test_what_is_short_is_kept_as_it_is_without_instructions_and_tools() -> None:
    embedder = LettersEmbedder()
    turns = turns_of(
        (Role.SYSTEM, "Be brief."),
        (Role.USER, "I work on a ferry. It leaves\nat six."),
        (Role.TOOL, '{"wind": 18}'),
        (Role.ASSISTANT, "Noted."),
    )
    text, taken = await ChosenSentences(embedder).summarized("t", "User: Hello.", turns)
    assert text.splitlines() == [
        "User: Hello.",
        "User: I work on a ferry.",
        "User: It leaves at six.",
        "Assistant: Noted.",
    ]
    assert taken == 4
    assert embedder.calls == []


async def test_of_what_is_long_there_is_one_of_each_kind_in_order() -> None:
    embedder = LettersEmbedder()
    kinds = [letter * 3 for letter in "abcdefghijkl"]
    assert len(kinds) == MOST_LINES
    turns = turns_of(*((Role.USER, f"{kind} {kind} {n}.") for kind in kinds for n in range(4)))
    text, _ = await ChosenSentences(embedder).summarized("t", "", turns)
    assert [line.split()[1] for line in text.splitlines()] == kinds
    assert embedder.priorities == [Priority.INGESTION]


async def test_what_was_chosen_before_outlives_what_is_said_once() -> None:
    former = "\n".join(f"User: {letter * 6}." for letter in "abcdef")
    new = turns_of(*((Role.USER, f"{letter * 6}.") for letter in "ghijklmnopqr"))
    text, _ = await ChosenSentences(LettersEmbedder()).summarized("t", former, new)
    assert text.startswith(former)
    assert len(text.splitlines()) == MOST_LINES


async def test_one_step_is_bounded_and_one_long_turn_does_not_stop_it() -> None:
    long = " ".join(f"Sentence number {n} ends." for n in range(MOST_SENTENCES + 50))
    summarizer = ChosenSentences(LettersEmbedder())
    turns = turns_of((Role.USER, long), (Role.USER, "And another."))
    _, taken = await summarizer.summarized("t", "", turns)
    assert taken == 1
    _, taken = await summarizer.summarized("t", "", turns[1:])
    assert taken == 1


async def test_a_line_is_bounded() -> None:
    turns = turns_of((Role.USER, "word " * 1000))
    text, _ = await ChosenSentences(LettersEmbedder()).summarized("t", "", turns)
    assert len(text) < module._LONGEST_LINE + 20
    assert text.endswith("…")
