"""Marks are read out of a stream, wherever it is cut, and only those that hold stay."""

from __future__ import annotations

from itertools import pairwise

from groundwire_server.grounding.citations import CitationParser, Cited
from groundwire_server.grounding.support import Evidence
from hypothesis import given
from hypothesis import strategies as st

MIRROR = "The main mirror is 2.4 metres wide. It was cast in 1931."
TICKETS = "Tickets cost 12 euros for adults. Children enter free of charge."


def parser() -> CitationParser:
    return CitationParser({1: Evidence(MIRROR), 2: Evidence(TICKETS)})


def read(*pieces: str) -> tuple[str, list[Cited], CitationParser]:
    reader = parser()
    text = "".join(reader.feed(piece).text for piece in pieces) + reader.finish().text
    assert text == reader.text
    return text, reader.citations, reader


def test_a_mark_that_holds_stays_and_cites_the_sentence_without_it() -> None:
    text, (cited,), _ = read("The mirror is 2.4 metres wide [1].")
    assert text == "The mirror is 2.4 metres wide [1]."
    assert text[cited.answer.start : cited.answer.end] == "The mirror is 2.4 metres wide"
    assert MIRROR[cited.evidence.start : cited.evidence.end] == (
        "The main mirror is 2.4 metres wide."
    )


def test_a_mark_after_the_full_stop_cites_the_sentence_before_it() -> None:
    text, cited, _ = read("Prices differ. Tickets cost 12 euros for adults. [2] See you.")
    assert [text[one.answer.start : one.answer.end] for one in cited] == [
        "Tickets cost 12 euros for adults."
    ]


def test_a_second_mark_in_a_sentence_cites_what_comes_after_the_first() -> None:
    text, cited, _ = read("The mirror is 2.4 metres wide [1], and tickets cost 12 euros [2].")
    assert [text[one.answer.start : one.answer.end] for one in cited] == [
        "The mirror is 2.4 metres wide",
        "and tickets cost 12 euros",
    ]


def test_marks_in_a_row_cite_the_same_sentence() -> None:
    for marks in ("[1][2]", "[1] [2]", "[1, 2]", "[1; 2]", "[1] and [2]", "[1-2]"):
        reader = CitationParser({1: Evidence(MIRROR), 2: Evidence(MIRROR)})
        reader.feed(f"The mirror was cast in 1931 {marks}.")
        assert [one.source for one in reader.citations] == [1, 2], marks
        assert len({one.answer for one in reader.citations}) == 1, marks


def test_any_number_of_spaces_is_read_once() -> None:
    """Small models go on with them for as long as they may: this took minutes."""
    spaces = " \t" * 100_000
    text, _, _ = read(f"The mirror{spaces}is 2.4 metres wide{spaces}[1].")
    assert text == f"The mirror{spaces}is 2.4 metres wide{spaces}[1]."
    text, _, _ = read(*" " * 2000, "[1", "]")
    assert text == ""


def test_an_unsupported_mark_is_taken_out_and_counted() -> None:
    text, cited, reader = read("The mirror is 9.9 metres wide [1]. Tickets cost 12 euros [2].")
    assert text == "The mirror is 9.9 metres wide. Tickets cost 12 euros [2]."
    assert [one.source for one in cited] == [2]
    assert reader.dropped == 1


def test_a_passage_that_was_not_sent_cannot_be_cited() -> None:
    text, cited, reader = read(
        "The mirror was cast in 1931 [3].", " It was [0] cast in 1931 [999]."
    )
    assert "[" not in text
    assert not cited
    assert reader.dropped == 3


def test_of_a_mixed_mark_only_what_holds_stays() -> None:
    text, cited, reader = read("The mirror was cast in 1931 [1, 2, 7].")
    assert text == "The mirror was cast in 1931 [1]."
    assert [one.source for one in cited] == [1]
    assert reader.dropped == 2


def test_a_range_that_ends_before_it_begins_is_dropped_and_counted() -> None:
    for mark, left, dropped in (("[3-1]", "", 1), ("[1, 3-2, 7-2]", " [1]", 2)):
        text, _, reader = read(f"The mirror was cast in 1931 {mark}.")
        assert (text, reader.dropped) == (f"The mirror was cast in 1931{left}.", dropped)


def test_a_mark_before_any_sentence_is_dropped_with_its_space() -> None:
    text, _, reader = read("[1] The mirror is wide.")
    assert text == "The mirror is wide."
    assert reader.dropped == 1


def test_what_is_no_mark_is_left_alone() -> None:
    for text in ("a[i] = [x]", "[1234]", "[1", "[", "see [1-x] or [a1]", "[ ]", "end ["):
        read_text, cited, reader = read(text)
        assert (read_text, cited, reader.dropped) == (text, [], 0)


def test_the_first_token_is_never_held_back() -> None:
    assert parser().feed("The").text == "The"
    assert parser().feed(" The").text == " The"


def test_only_the_beginning_of_a_mark_is_held_back() -> None:
    reader = parser()
    assert reader.feed("It was cast in 1931 [").text == "It was cast in 1931"
    assert reader.feed("1").text == ""
    completed = reader.feed("] by")
    assert completed.text == " [1] by"
    assert len(completed.citations) == 1


def test_what_turns_out_to_be_no_mark_is_let_go() -> None:
    reader = parser()
    assert reader.feed("rows [1").text == "rows"
    assert reader.feed("st row]").text == " [1st row]"


def test_spans_count_code_points() -> None:
    text, (cited,), _ = read("🔭🔭 Größe: The main mirror is 2.4 metres wide [1].")
    assert text[cited.answer.start : cited.answer.end].endswith("2.4 metres wide")


ANSWER = (
    "The main mirror is 2.4 metres wide [1]. It was cast in 1931. [1] Tickets cost 12 euros "
    "[2, 5] and 99 pounds [2].\n[1] Children enter free of charge [2][1]. See [note"
)


@given(st.lists(st.integers(1, len(ANSWER) - 1), max_size=12))
def test_where_the_stream_is_cut_makes_no_difference(cuts: list[int]) -> None:
    edges = [0, *sorted(set(cuts)), len(ANSWER)]
    pieces = [ANSWER[a:b] for a, b in pairwise(edges)]
    whole_text, whole_cited, whole = read(ANSWER)
    text, cited, reader = read(*pieces)
    assert (text, cited, reader.dropped) == (whole_text, whole_cited, whole.dropped)
    assert len(cited) == 4


@given(st.lists(st.text("[]12-, .a\n", max_size=6), max_size=12))
def test_any_stream_keeps_its_words(pieces: list[str]) -> None:
    text, _, _ = read(*pieces)
    assert text.count("a") == "".join(pieces).count("a")
