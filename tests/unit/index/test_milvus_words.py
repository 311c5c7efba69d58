"""Words stand for texts and numbers: they sort, start and are found as those are."""

from __future__ import annotations

import re

from groundwire_index.milvus.words import number_word, text_of, text_word
from hypothesis import given, settings
from hypothesis import strategies as st

texts = st.text(st.characters(exclude_categories=("Cs",)), max_size=6) | st.text(
    "aq\x10\x16\x61ä🦊\uffff", max_size=4
)
numbers = (
    st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.sampled_from([0, -0.0, 2**53, 2**53 + 1, float(2**53), 2**63 - 1, 5e-324, -1, 1e308])
    # Doubles are 1,024 apart here: many of these have the same nearest one.
    | st.integers(2**62, 2**62 + 3000)
    | st.integers(-(2**62) - 3000, -(2**62))
)


@given(texts, texts)
def test_words_of_texts_compare_as_the_texts_do(one: str, other: str) -> None:
    first, second = text_word(one), text_word(other)
    assert (first < second) == (one < other)
    assert (first == second) == (one == other)
    assert (second in first) == (other in one)
    assert first.startswith(second) == one.startswith(other)


@settings(max_examples=1000)
@given(numbers, numbers)
def test_words_of_numbers_compare_as_the_numbers_do(one: float, other: float) -> None:
    assert (number_word(one) < number_word(other)) == (one < other)
    assert (number_word(one) == number_word(other)) == (one == other)


@given(texts)
def test_a_word_gives_its_text_back_and_needs_no_escape(text: str) -> None:
    assert text_of(text_word(text)) == text
    assert re.fullmatch("[a-pA-P]*", text_word(text))
