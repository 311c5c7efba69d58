"""Token counts of texts, word by word: words come back, and so need no tokenizer."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

# Of all words that are remembered: some ten thousands of them.
_MOST_CHARACTERS = 2**18

Count = Callable[[Sequence[str]], list[int]]


def is_by_word(tokenizer: Any) -> bool:
    """Whether a tokenizer from `tokenizers` never looks past a space, as BERT's do not.

    Those that make tokens of spaces, or of what stands on both sides of one, do.
    """
    from tokenizers.normalizers import BertNormalizer
    from tokenizers.pre_tokenizers import BertPreTokenizer

    added = tokenizer.get_added_tokens_decoder().values()
    return (
        isinstance(tokenizer.normalizer, BertNormalizer)
        and isinstance(tokenizer.pre_tokenizer, BertPreTokenizer)
        and not any(" " in token.content for token in added)
    )


class WordCounts:
    """Remembers the tokens of the words that were last met. Thread-safe.

    A tokenizer takes more than a microsecond for each token, ten times as long as this.
    """

    def __init__(self, count: Count) -> None:
        """``count`` counts the tokens of each text, and never looks past a space."""
        self._count = count
        self._known: dict[str, int] = {}
        self._characters = 0

    def of(self, texts: Sequence[str]) -> list[int]:
        """The tokens of each text."""
        split = [text.split(" ") for text in texts]
        # Whoever empties it puts another in its place: this one keeps what is looked up below.
        known = self._known
        if new := list({word for words in split for word in words if word not in known}):
            self._make_room(new)
            known.update(zip(new, self._count(new), strict=True))
        return [sum(map(known.__getitem__, words)) for words in split]

    def _make_room(self, new: Sequence[str]) -> None:
        self._characters += sum(map(len, new))
        if self._characters > _MOST_CHARACTERS:
            self._known, self._characters = {}, 0
