"""Token counts, word by word: the same as those of the whole text."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Any

import pytest
from groundwire_server.embedders.weights import built_in_folder
from groundwire_server.embedders.word_counts import WordCounts, is_by_word
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import AddedToken, Tokenizer
from tokenizers.pre_tokenizers import ByteLevel

PIECES = ["a", "word", "unbelievable", "x" * 101, " ", "  ", "\t", "\n", "\x00", "\x1c", "\u00a0"]
PIECES += ["\u3000", "\u200b", "\u0301", "é", "İ", "ß", "中文", "안녕", "😀", "-", ".", "'", "##s"]
PIECES += ["[MASK]", "[SEP]", "[PAD", "\ufffd"]
TEXTS = st.lists(st.sampled_from(PIECES)).map("".join) | st.text()


def bert() -> Tokenizer:
    """The built-in model's."""
    tokenizer = Tokenizer.from_file(str(built_in_folder() / "tokenizer.json"))
    tokenizer.no_padding()
    tokenizer.no_truncation()
    return tokenizer


class Counting:
    """Counts by a tokenizer, and keeps what it was asked for."""

    def __init__(self, tokenizer: Any) -> None:
        self._tokenizer = tokenizer
        self.asked: list[str] = []

    def __call__(self, texts: Sequence[str]) -> list[int]:
        self.asked += texts
        return [len(self._tokenizer.encode(one, add_special_tokens=False).ids) for one in texts]


@pytest.fixture(scope="module")
def whole() -> Counting:
    """Counts whole texts."""
    return Counting(bert())


@given(texts=st.lists(TEXTS))
def test_words_have_as_many_tokens_as_their_text(whole: Counting, texts: list[str]) -> None:
    assert WordCounts(whole).of(texts) == whole(texts)


def test_a_word_that_comes_back_is_not_tokenized_again() -> None:
    count = Counting(bert())
    counts = WordCounts(count)

    assert counts.of(["when does the dome open", "the dome opens"]) == [5, 3]
    assert counts.of(["does the dome open when"]) == [5]
    assert sorted(count.asked) == ["does", "dome", "open", "opens", "the", "when"]


def test_more_words_than_can_be_remembered_are_counted_all_the_same() -> None:
    counts = WordCounts(lambda texts: [len(text) for text in texts])
    texts = [f"{number:09} {'x' * 10_000}{number}" for number in range(100)]

    assert [counts.of([text])[0] for text in texts] == [len(text) - 1 for text in texts]
    assert counts.of(texts) == [len(text) - 1 for text in texts]
    assert counts.of(["a " * 10 + "b" * 2**20]) == [10 + 2**20]


def test_threads_that_count_at_once_do_not_disturb_each_other() -> None:
    counts = WordCounts(lambda texts: [len(text) for text in texts])
    wrong: list[str] = []

    def count(name: str) -> None:
        for number in range(300):
            text = f"{name} {number} {'x' * 3_000}{name}{number}"
            if counts.of([text]) != [len(text) - 2]:
                wrong.append(text)

    threads = [threading.Thread(target=count, args=(name,)) for name in "abcd"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert not wrong


def test_what_looks_past_spaces_is_not_counted_by_word() -> None:
    named, bytewise = bert(), bert()
    named.add_tokens([AddedToken("New York")])
    bytewise.pre_tokenizer = ByteLevel()

    assert is_by_word(bert())
    assert not is_by_word(named)
    assert not is_by_word(bytewise)
