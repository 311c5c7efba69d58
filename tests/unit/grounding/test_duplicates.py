"""What is said twice goes into a prompt once, and what differs in substance is kept."""

from __future__ import annotations

import pytest
from groundwire_server.grounding.duplicates import without_duplicates
from groundwire_server.grounding.events import Passage

PRICES = (
    "Tickets cost 12 euros for adults on every day of the week. Children under six enter free of "
    "charge, and groups of ten or more pay nothing for the guide who shows them the dome. The "
    "office sells them from noon on, and at the gate there are some for those who come late."
)


def passages(*texts: str) -> list[Passage]:
    return [
        Passage(number, f"c{number}", f"d{number}", "", text, 1.0, 1.0)
        for number, text in enumerate(texts, start=1)
    ]


def kept(*texts: str) -> list[str]:
    return [passage.chunk_id for passage in without_duplicates(passages(*texts))]


def test_the_better_of_two_equal_texts_stays_and_names_the_other() -> None:
    first, other = without_duplicates(passages(PRICES, "The dome opens at dusk.", PRICES))
    assert (first.chunk_id, first.duplicate_ids) == ("c1", ("c3",))
    assert (other.chunk_id, other.duplicate_ids) == ("c2", ())


@pytest.mark.parametrize(
    "variant",
    [
        PRICES.upper(),
        PRICES.replace(" ", "\n"),
        PRICES.replace(",", " \u2013"),
        PRICES.replace("Tickets cost", "A ticket costs"),
        PRICES.removesuffix(" for those who come late."),
    ],
)
def test_the_same_in_another_form_is_a_duplicate(variant: str) -> None:
    assert kept(PRICES, variant) == ["c1"]


@pytest.mark.parametrize(
    ("said", "instead"),
    [
        ("12 euros", "14 euros"),
        ("adults", "students"),
        ("pay nothing", "pay a fee"),
        ("enter free", "do not enter free"),
        ("under six", "under nine"),
    ],
)
def test_one_word_of_substance_makes_a_difference(said: str, instead: str) -> None:
    assert kept(PRICES, PRICES.replace(said, instead)) == ["c1", "c2"]


def test_a_longer_passage_is_not_lost_to_a_better_one_that_is_part_of_it() -> None:
    assert kept(PRICES, f"{PRICES} The cafe serves soup until nine.") == ["c1", "c2"]


def test_the_same_words_in_another_order_say_something_else() -> None:
    assert kept("The guide paid the visitor.", "The visitor paid the guide.") == ["c1", "c2"]


def test_numbers_that_have_changed_places_make_a_difference() -> None:
    menu = f"{PRICES} A small soup costs 5 euros and a large one costs 8 euros."
    changed = menu.replace("5", "9").replace("8", "5").replace("9", "8")
    assert kept(menu, changed) == ["c1", "c2"]


def test_texts_without_words_are_told_apart() -> None:
    assert kept("\u2603", PRICES) == ["c1", "c2"]
