"""Tokens of texts that another server's model reads: by its tokenizer, or about."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from groundwire_index.errors import FailedPreconditionError

# English has about 4 bytes of UTF-8 a token, most other languages 2.5 to 3.5: rather too many.
_BYTES_PER_TOKEN = 3
# What a tokenizer puts around a text, if nobody knows.
_SPECIAL_TOKENS = 2


class TokenCounter(Protocol):
    """Counts tokens. Thread-safe."""

    is_exact: bool
    special_tokens: int
    """What the model reads around each text."""

    def count(self, texts: Sequence[str]) -> list[int]:
        """Tokens of each text, without special ones."""
        ...

    def head(self, text: str, tokens: int) -> str:
        """The beginning of a text that has about so many tokens, and no more."""
        ...


class EstimatedTokens:
    """One for three bytes of UTF-8."""

    is_exact = False
    special_tokens = _SPECIAL_TOKENS

    def count(self, texts: Sequence[str]) -> list[int]:
        """Tokens of each text, about."""
        return [-(-len(text.encode()) // _BYTES_PER_TOKEN) for text in texts]

    def head(self, text: str, tokens: int) -> str:
        """Three bytes for each token, in whole characters."""
        return text.encode()[: tokens * _BYTES_PER_TOKEN].decode(errors="ignore")


class LocalTokenizer:
    """A copy of the model's ``tokenizer.json``."""

    is_exact = True

    def __init__(self, path: Path) -> None:
        """Take the file, or the folder that it is in. Blocking.

        Raises FailedPreconditionError if there is none.
        """
        from tokenizers import Tokenizer

        file = path / "tokenizer.json" if path.is_dir() else path
        if not file.is_file():
            raise FailedPreconditionError(
                f"embedder_tokenizer: there is no {file}: give the tokenizer.json of "
                "embedder_model, or its folder; or leave it out, and tokens are estimated",
                reason="EMBEDDER_TOKENIZER",
            )
        try:
            self._tokenizer = Tokenizer.from_file(str(file))
        except Exception as error:  # noqa: BLE001 - it raises nothing more precise
            raise FailedPreconditionError(
                f"embedder_tokenizer: {file} is no tokenizer: {error}", reason="EMBEDDER_TOKENIZER"
            ) from None
        self._tokenizer.no_padding()
        self._tokenizer.no_truncation()
        self.special_tokens = int(self._tokenizer.num_special_tokens_to_add(is_pair=False))

    def count(self, texts: Sequence[str]) -> list[int]:
        """Tokens of each text."""
        encodings = self._tokenizer.encode_batch_fast(list(texts), add_special_tokens=False)
        return [len(encoding.ids) for encoding in encodings]

    def head(self, text: str, tokens: int) -> str:
        """Up to where the last of so many tokens ends."""
        offsets = self._tokenizer.encode(text, add_special_tokens=False).offsets
        return text if len(offsets) <= tokens else text[: offsets[tokens - 1][1]]
