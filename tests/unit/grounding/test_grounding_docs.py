"""docs/grounding.md says what the code does."""

from __future__ import annotations

from pathlib import Path

from groundwire_server.grounding.confidence import CHECKED_ONLY, FOR_RELEVANCE, FULL_LENGTH_WORDS
from groundwire_server.grounding.duplicates import SAME_RUNS
from groundwire_server.grounding.events import StoreOutcome
from groundwire_server.grounding.exchange import RECENT_TURNS
from groundwire_server.grounding.question import LONGEST_CHAIN, SEARCH_CHARACTERS
from groundwire_server.grounding.retrieve import HALF_RELEVANT_BM25
from groundwire_server.grounding.similarity import LONGEST_WAIT_S
from groundwire_server.grounding.support import LONGEST_RUN, MOST_PLACES, POSSIBLE
from groundwire_server.grounding.verdict import SUPPORTS, SUPPORTS_BY_WORDS

TEXT = " ".join((Path(__file__).parents[3] / "docs/grounding.md").read_text().split())
IN_WORDS = {1: "one", 2: "two", 3: "three", 4: "four", 5: "five"}


def test_the_numbers_are_those_of_the_code() -> None:
    for said in (
        f"({CHECKED_ONLY} + {FOR_RELEVANCE} \u00d7 relevance)",
        f"words ÷ {FULL_LENGTH_WORDS}, at most 1",
        f"*s* ÷ (*s* + {HALF_RELEVANT_BM25:g}) of its BM25 score",
        f"{POSSIBLE:.0%} of the content words".replace("%", " %"),
        f"run of one to {IN_WORDS[LONGEST_RUN]} sentences",
        f"best {IN_WORDS[MOST_PLACES]} places",
        f"is at least {SUPPORTS}",
        f"share of {SUPPORTS_BY_WORDS:.0%}".replace("%", " %"),
        f"within {LONGEST_WAIT_S:g} second",
        f"at most {IN_WORDS[LONGEST_CHAIN]} turns",
        f"more than {SEARCH_CHARACTERS:,} characters the first and the last "
        f"{SEARCH_CHARACTERS // 2:,}",
        f"the last {RECENT_TURNS} turns",
        f"{SAME_RUNS:.0%} of its runs of three words".replace("%", " %"),
    ):
        assert said in TEXT


def test_every_outcome_of_storing_is_explained() -> None:
    for outcome in StoreOutcome:
        assert f"`{outcome.name}`" in TEXT
