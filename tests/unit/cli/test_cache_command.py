"""`groundwire cache`, and questions that were asked before."""

from __future__ import annotations

import pytest

from tests.unit.cli.conftest import Command, Platform


def test_what_is_kept_and_what_was_found_is_a_table(command: Command) -> None:
    done = command("cache", "stats")
    assert done.code == 0
    answers, embeddings = (line.split() for line in done.out.splitlines()[1:])
    assert answers == ["answer", "1,234", "3", "2", "1", "2", "75%"]
    # Of what nobody has looked for there is no share.
    assert embeddings == ["embedding", "0", "0", "0", "0", "0"]


def test_it_is_told_to_programs_one_cache_to_a_line(command: Command) -> None:
    first, second = command("cache", "stats", "--json").lines
    assert (first["cache"], first["entries"], first["semantic_hits"]) == ("answer", 1234, 2)
    assert second["cache"] == "embedding"


def test_clearing_says_how_much_there_was(command: Command) -> None:
    assert "1,234 entries" in command("cache", "clear").out
    assert command("cache", "clear", "--json").lines == [{"entries": 0}]


@pytest.mark.parametrize(
    ("policy", "said"),
    [("off", None), ("exact", "Answered as it was before."), ("semantic", "in other words")],
)
def test_a_question_says_how_it_may_be_answered_and_an_answer_how_it_was(
    command: Command, platform: Platform, policy: str, said: str | None
) -> None:
    done = command("ask", "When?", "--cache", policy)
    (sent,) = platform.oracle.requests
    assert sent.cache == ("off", "exact", "semantic").index(policy) + 1
    assert (said in done.out) if said else ("Answered" not in done.out)
