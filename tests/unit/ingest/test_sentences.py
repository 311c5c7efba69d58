"""Sentences end where a reader would say they end."""

from __future__ import annotations

import re
from itertools import pairwise

import pytest
from groundwire_index.ingest.sentences import sentences
from hypothesis import given
from hypothesis import strategies as st


def split(text: str) -> list[str]:
    return [text[span.start : span.end] for span in sentences(text)]


@pytest.mark.parametrize(
    "expected",
    [
        ["The dome closes at 18 m/s.", "It opens again at 15 m/s."],
        ["The mirror is 3.5 m wide.", "Version 2.3.1 is out."],
        ["Dr. Ada M. Lovelace met Prof. J.R. Smith at St. Elmo.", "They talked."],
        ["Tickets cost more, e.g. on Sundays, approx. twice as much."],
        ["Doors open at 5 p.m.", "The bus leaves later."],
        ["See Fig. 3 and Sec. 4.", "No. 5 is missing.", "The answer is no.", "We left."],
        ["It rained in Oct. 2019 and later.", "Then it snowed."],
        ['"Stop!" she said.', "He asked why?", "Nobody knew...", "That was all."],
        ["It is in the U.S. Geological Survey.", "It is in the U.S.", "The law says so."],
        ["She and I.", "That is everyone."],
        ["これは文です。", "次の文です。"],
        ["(A remark in brackets.)", "Another one follows."],
    ],
)
def test_prose_is_split_at_the_end_of_sentences(expected: list[str]) -> None:
    joined = "".join(expected) if "。" in expected[0] else " ".join(expected)
    assert split(joined) == expected


def test_lines_that_stand_alone_are_units_of_their_own() -> None:
    text = (
        "Opening hours\n\nThe gate is open.\n"
        "- First item\n- second item. It has two sentences.\n1. Do this.\n"
        "Mirror | 3.5 m. Wide | yes\nBase | none"
    )
    assert split(text) == [
        "Opening hours",
        "The gate is open.",
        "- First item",
        "- second item.",
        "It has two sentences.",
        "1. Do this.",
        "Mirror | 3.5 m. Wide | yes",
        "Base | none",
    ]


def test_a_sentence_that_was_wrapped_is_one_unit() -> None:
    text = (
        "The observatory opens its gate to the visitors who have booked with\n"
        "Marta Quist before the day.\nThe rest wait for Dr.\nQuist outside."
    )
    assert split(text) == [
        "The observatory opens its gate to the visitors who have booked with\n"
        "Marta Quist before the day.",
        "The rest wait for Dr.\nQuist outside.",
    ]


def test_a_wrapped_list_item_is_one_unit() -> None:
    assert split("- close the shutter\n  and wait\n- leave") == [
        "- close the shutter\n  and wait",
        "- leave",
    ]


@pytest.mark.parametrize("text", ["", " \n\t \n"])
def test_white_space_has_no_sentences(text: str) -> None:
    assert sentences(text) == []


@pytest.mark.parametrize(
    "text", ["." * 1_000_000, '."' * 500_000, "." + '"' * 1_000_000, " " * 1_000_000]
)
def test_a_megabyte_of_marks_is_read_once(text: str) -> None:
    assert len(sentences(text)) == bool(text.strip())


PIECES = st.lists(
    st.one_of(
        st.sampled_from(
            [" ", "\n", "\n\n", ".", "!", "?", "...", "Dr.", "3.5", "- ", "| ", '"', "。"]
        ),
        st.text(max_size=6),
    ),
    max_size=40,
).map("".join)


@given(PIECES)
def test_spans_are_trimmed_ordered_and_hold_everything_but_white_space(text: str) -> None:
    spans = sentences(text)
    assert all(text[s.start : s.end].strip() == text[s.start : s.end] != "" for s in spans)
    assert all(a.end <= b.start for a, b in pairwise(spans))
    assert re.sub(r"\s", "", "".join(split(text))) == re.sub(r"\s", "", text)
