"""A passage supports what it says, and nothing else."""

from __future__ import annotations

import pytest
from groundwire_server.grounding.support import Evidence
from hypothesis import given
from hypothesis import strategies as st

PASSAGE = (
    "The main mirror is 2.4 metres wide and was cast in 1931. "
    "Visitors may enter the dome but may not touch the mirror. "
    "The dome is never open during rain. "
    "Tickets cost 12 euros for adults. "
    "Children under six enter free of charge."
)


@pytest.fixture(scope="module")
def evidence() -> Evidence:
    return Evidence(PASSAGE, context="Visiting the Aldermoor Observatory")


@pytest.mark.parametrize(
    ("claim", "where"),
    [
        ("The main mirror is 2.4 metres wide", "The main mirror is 2.4 metres wide and was"),
        ("It was cast in 1931", "The main mirror is 2.4 metres wide and was"),
        ("Adults pay 12 euros for tickets.", "Tickets cost 12"),
        ("Tickets cost twelve euros", "Tickets cost 12"),
        ("Visitors may enter the dome.", "Visitors may enter"),
        ("Visitors must not touch the mirror.", "Visitors may enter"),
        ("Visitors of Aldermoor may enter the dome", "Visitors may enter"),
    ],
)
def test_a_claim_is_found_where_the_passage_says_it(
    evidence: Evidence, claim: str, where: str
) -> None:
    span = evidence.support(claim)
    assert span is not None
    assert PASSAGE[span.start : span.end].startswith(where)


@pytest.mark.parametrize(
    "claim",
    [
        "The main mirror is 3.6 metres wide.",
        "The mirror was cast in 1932.",
        "Visitors may touch the mirror.",
        "The dome is open during rain.",
        "Tickets are never 12 euros for adults.",
        "The telescope stands on a hill in Scotland.",
        "Yes.",
        "It is.",
        "",
        "Aldermoor Observatory",
    ],
)
def test_what_the_passage_does_not_say_is_not_supported(evidence: Evidence, claim: str) -> None:
    assert evidence.support(claim) is None


def test_a_claim_may_join_sentences_that_stand_together(evidence: Evidence) -> None:
    span = evidence.support("Tickets cost 12 euros for adults, and children under six are free.")
    assert span is not None
    assert PASSAGE[span.start : span.end] == PASSAGE[PASSAGE.index("Tickets") :]


def test_one_sentence_is_preferred_to_a_longer_run(evidence: Evidence) -> None:
    span = evidence.support("Tickets cost 12 euros for adults.")
    assert span is not None
    assert PASSAGE[span.start : span.end] == "Tickets cost 12 euros for adults."


@given(st.text(max_size=200), st.text(max_size=80))
def test_any_text_gives_a_span_inside_the_passage_or_none(passage: str, claim: str) -> None:
    span = Evidence(passage).support(claim)
    if span is not None:
        assert 0 <= span.start < span.end <= len(passage)
