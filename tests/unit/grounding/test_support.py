"""A passage supports what it says, and nothing else."""

from __future__ import annotations

from itertools import pairwise

import pytest
from groundwire_index.ingest.sentences import Span
from groundwire_server.grounding.support import POSSIBLE, Evidence, Place, Section
from groundwire_server.grounding.verdict import supporting, supporting_by_words
from hypothesis import given
from hypothesis import strategies as st

PASSAGE = (
    "The main mirror is 2.4 metres wide and was cast in 1931. "
    "Visitors may enter the dome but may not touch the mirror. "
    "The dome is never open during rain. "
    "Tickets cost 12 euros for adults. "
    "Children under six enter free of charge."
)


FIGURES = (
    "In winter the dome is at -5 degrees. The discount for groups is 15 %. "
    "Section 7 of the rules is about minus 20 degrees and colder."
)


@pytest.fixture(scope="module")
def evidence() -> Evidence:
    return Evidence(PASSAGE, [Section(0, "Visiting the Aldermoor Observatory")])


def support(evidence: Evidence, claim: str) -> Span | None:
    place = supporting_by_words(evidence.places(claim))
    return place.span if place else None


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
    span = support(evidence, claim)
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
    assert support(evidence, claim) is None


def test_a_claim_may_join_sentences_that_stand_together(evidence: Evidence) -> None:
    span = support(evidence, "Tickets cost 12 euros for adults, and children under six are free.")
    assert span is not None
    assert PASSAGE[span.start : span.end] == PASSAGE[PASSAGE.index("Tickets") :]


def test_one_sentence_is_preferred_to_a_longer_run(evidence: Evidence) -> None:
    span = support(evidence, "Tickets cost 12 euros for adults.")
    assert span is not None
    assert PASSAGE[span.start : span.end] == "Tickets cost 12 euros for adults."


@given(st.text(max_size=200), st.text(max_size=80))
def test_any_text_gives_a_span_inside_the_passage_or_none(passage: str, claim: str) -> None:
    places = Evidence(passage).places(claim)
    for place in places:
        assert 0 <= place.span.start < place.span.end <= len(passage)
        assert place.text == passage[place.span.start : place.span.end]
        assert POSSIBLE <= place.coverage <= 1
    ends = sorted(place.span for place in places)
    assert all(before.end <= after.start for before, after in pairwise(ends))


DOMES = (
    "The Maar dome closes when the wind reaches 18 metres per second. "
    "The Lindqvist dome closes when the wind reaches 14 metres per second. "
    "Four people work in each dome."
)


@pytest.mark.parametrize(
    "claim",
    [
        "The Maar dome closes when the wind reaches 14 metres per second.",
        "The Lindqvist dome closes when the wind reaches 18 metres per second.",
        "The dome closes when the wind reaches fourteen metres, and five people work in it.",
        "Above 18 metres per second the Lindqvist dome closes.",
    ],
)
def test_what_is_said_of_one_thing_is_not_said_of_another(claim: str) -> None:
    assert support(Evidence(DOMES), claim) is None


def test_two_sentences_may_be_summed_up_in_one() -> None:
    claim = "The Maar dome closes at 18 metres per second, the Lindqvist dome at 14."
    assert support(Evidence(DOMES), claim) is not None


def test_a_word_from_each_of_two_sentences_alike_makes_no_claim_of_either() -> None:
    text = "The red pump serves the lower hall. The blue pump serves the upper hall."
    places = Evidence(text).places("The blue pump serves the lower hall.")
    assert max(place.coverage for place in places) < 1


def test_a_name_that_the_passage_never_says_may_be_another_word_for_it() -> None:
    claim = "In Summer the Maar dome closes when the wind reaches 18 metres per second."
    assert support(Evidence(DOMES), claim) is not None


def test_headings_count_for_what_stands_under_them_alone() -> None:
    text = "Its resolving power is 72,000. It has one fibre.\n\nIts resolving power is 4,800."
    second = text.rindex("Its")
    evidence = Evidence(text, [Section(0, "CORVID"), Section(second, "WREN")])
    assert support(evidence, "The resolving power of CORVID is 72,000") is not None
    assert support(evidence, "The resolving power of WREN is 4,800") is not None
    assert support(evidence, "The resolving power of WREN is 72,000") is None
    assert support(evidence, "The resolving power of CORVID is 4,800") is None


def test_a_quotation_is_known_as_one(evidence: Evidence) -> None:
    def is_quoted(claim: str) -> bool:
        return evidence.places(claim)[0].is_quoted

    assert is_quoted("tickets cost 12 Euros for adults")
    assert is_quoted("The dome is never open during rain.")
    assert not is_quoted("Tickets for adults cost 12 euros.")
    assert not is_quoted("Ticket cost 12 euros for adults.")


def test_by_both_of_them_other_words_must_mean_the_same_and_the_same_words_too() -> None:
    same, other = (
        Place(Span(start, start + 9), "", coverage, is_quoted=False)
        for start, coverage in ((0, 0.6), (9, 0.3))
    )
    assert supporting([same, other], [0.5, 0.7]) is same
    assert supporting([same, other], [0.45, 0.85]) is other
    assert supporting([same, other], [0.45, 0.75]) is None
    assert supporting([], []) is None
    assert supporting_by_words([other]) is None


@pytest.mark.parametrize(
    ("claim", "holds"),
    [
        ("In winter the dome is at -5 degrees.", True),
        ("In winter the dome is at minus 5 degrees.", True),
        ("In winter the dome is at 5 degrees.", False),
        ("The discount for groups is 15 percent.", True),
        ("The discount for groups is 15 euros.", False),
        ("The rules of section 7 are about -20 degrees and colder.", True),
        ("The rules of section 7 are about 20 degrees and colder.", False),
    ],
)
def test_a_figure_is_not_the_same_without_its_sign(claim: str, holds: bool) -> None:
    assert (support(Evidence(FIGURES), claim) is not None) is holds
