"""What a model proposes is let in if it is sure, and the user has said it there, and it is new."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest
from groundwire_server.engines.engine import Role
from groundwire_server.memory.extraction.candidates import (
    LONGEST_TEXT,
    MOST_CANDIDATES,
    Candidate,
    candidates_in,
)
from groundwire_server.memory.extraction.gate import Verdict, is_known, judged
from groundwire_server.memory.memories.memory import Memory, MemoryKind, Recalled
from groundwire_server.memory.session import Turn

NOW = datetime(2026, 5, 1, tzinfo=UTC)
FACT = MemoryKind.FACT


def verdict(text: str, said: str, *, turn: int = 3, confidence: float = 0.9) -> Verdict:
    turns = {3: Turn(3, Role.USER, said, NOW, {}, (), 1)}
    return judged(Candidate(turn, FACT, text, confidence), turns, 0.7)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("Works on a ferry.", "I work on a ferry in Bergen, and I like it."),
        ("The user has 2 children.", "We have two children, both under six."),
        ("Lives in Bergen.", "since may we live in Bergen"),
        ("Does not eat meat.", "I don't eat meat any more."),
        ("Prefers short answers.", "Please give me short answers, I prefer those."),
    ],
)
def test_what_was_said_is_let_in(text: str, said: str) -> None:
    assert verdict(text, said) is Verdict.STORED


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("Owns three lighthouses.", "I work on a ferry in Bergen."),
        ("Has 3 children.", "We have two children."),
        ("Works on a ferry in Oslo.", "I work on a ferry in Bergen."),
        ("Eats meat.", "I don't eat meat any more."),
        ("Does not eat fish.", "I eat fish every day."),
        ("It is so.", "It is so."),
    ],
)
def test_what_was_not_said_so_is_not(text: str, said: str) -> None:
    assert verdict(text, said) is Verdict.UNSUPPORTED


def test_nor_what_the_model_is_not_sure_of_or_has_from_a_turn_that_it_was_not_shown() -> None:
    said = "I work on a ferry."
    assert verdict("Works on a ferry.", said, confidence=0.69) is Verdict.DOUBTFUL
    assert verdict("Works on a ferry.", said, turn=2) is Verdict.UNSUPPORTED


def known(text: str, semantic: float) -> Recalled:
    memory = Memory("m", "ada", text, FACT, 0.5, (), NOW, NOW, "m")
    return Recalled(memory, 0.0, semantic, 0.0, 0.0)


@pytest.mark.parametrize(
    ("text", "remembered", "semantic", "expected"),
    [
        ("Works on a ferry.", "works on the ferry", 0.1, True),
        ("Works on a ferry.", "Is employed on a ferry.", 0.95, True),
        ("Works on a ferry.", "Likes a ferry.", 0.85, False),
        ("Has 2 children.", "Has 3 children.", 0.97, False),
        ("Eats meat.", "Does not eat meat.", 0.97, False),
    ],
)
def test_what_is_known_is_told_from_what_only_sounds_like_it(
    text: str, remembered: str, semantic: float, expected: bool
) -> None:
    assert is_known(text, [known("Sails.", 0.2), known(remembered, semantic)]) is expected
    assert not is_known(text, [])


def proposal(**fields: object) -> dict[str, object]:
    return {"turn": 1, "kind": "fact", "text": "Sails.", "confidence": 1, **fields}


def test_an_answer_is_read_with_whatever_is_around_it() -> None:
    said = json.dumps([proposal(text=" Sails  a\n boat. ")])
    answer = f"Here it is:\n```json\n{said}\n```"
    assert list(candidates_in(answer)) == [Candidate(1, FACT, "Sails a boat.", 1.0)]


@pytest.mark.parametrize(
    "wrong",
    [
        proposal(turn="1"),
        proposal(turn=True),
        proposal(kind="secret"),
        proposal(kind=None),
        proposal(text=""),
        proposal(text=7),
        proposal(text="x" * (LONGEST_TEXT + 1)),
        proposal(confidence=1.1),
        proposal(confidence=-0.1),
        proposal(confidence="high"),
        proposal(confidence=float("nan")),
        "Sails.",
        None,
    ],
)
def test_what_is_not_as_it_was_asked_for_is_left_out(wrong: object) -> None:
    assert [one.turn for one in candidates_in(json.dumps([wrong, proposal(turn=2)]))] == [2]


@pytest.mark.parametrize(
    "answer", ["", "None.", "[", "]oops[", "[{]", "{}", "[[[[", "[" * 9999 + "]" * 9999]
)
def test_what_is_no_list_is_none(answer: str) -> None:
    assert list(candidates_in(answer)) == []


def test_there_is_a_bound() -> None:
    assert len(list(candidates_in(json.dumps([proposal()] * 50)))) == MOST_CANDIDATES
