"""Which words count, and when two are the same."""

from __future__ import annotations

import pytest
from groundwire_server.words import content_words, denied_words, names, numbers, stem


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("opens", "opened"),
        ("opens", "opening"),
        ("measure", "measured"),
        ("observatories", "observatory"),
        ("planning", "planned"),
        ("visitor", "visitor's"),
        ("quickly", "quick"),
        ("twelve", "12"),
        ("1,200", "1200"),
    ],
)
def test_inflections_share_a_stem(one: str, other: str) -> None:
    assert stem(one) == stem(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [("2.4", "24"), ("19:30", "19:00"), ("dome", "home"), ("gas", "ga"), ("bus", "bu")],
)
def test_different_words_keep_apart(one: str, other: str) -> None:
    assert stem(one) != stem(other)


def test_function_words_are_no_evidence() -> None:
    assert content_words("What is it that they have been up to?") == []


def test_a_script_without_spaces_is_read_by_character() -> None:
    assert content_words("望遠鏡") == ["望", "遠", "鏡"]


def test_names_are_capitalised_where_no_sentence_asks_for_it() -> None:
    assert names("Tickets for the Maar dome, and for WREN's room, are sold in Marrick.") == {
        "maar",
        "wren",
        "marrick",
    }
    assert names("WREN has a slit.") == {"wren"}
    assert names("The dome is open.") == names("") == names("In 1931") == frozenset()


def test_numbers_are_in_digits_without_separators_whatever_the_text_has() -> None:
    assert numbers("In 1931 the 1,200 kg mirror, 2.4 m wide, took seven men until 19:30.") == {
        "1931",
        "1200",
        "7",
        "2.4",
        "19:30",
    }


def test_numbers_have_their_signs_and_percents() -> None:
    assert numbers("At -5 or \u22125 degrees, and minus seven") == {"-5", "-7"}
    assert numbers("5 % of 6%, eight per cent, nine percentages, 4 percent") == {
        *("5%", "6%", "8%", "9", "4%"),
    }
    assert numbers("-1") == {"-1"}
    assert numbers("3-5 metres, F-16, 2024-05-01, well-7") == {
        *("3", "5", "16", "2024", "05", "01", "7"),
    }


def test_a_negation_reaches_the_words_after_it() -> None:
    assert denied_words("Visitors may enter, but they must not touch the mirror.") == {
        "touch",
        "mirror",
    }
