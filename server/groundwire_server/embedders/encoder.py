"""What runs a model: texts to tokens, tokens to vectors."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from groundwire_index.records import Fingerprint
from numpy.typing import NDArray

from groundwire_server.embedders.embedder import EmbedKind
from groundwire_server.embedders.precision import Precision


@dataclass(frozen=True, slots=True)
class EncoderOptions:
    """How a model is run."""

    precision: Precision = "auto"
    query_prefix: str = ""
    passage_prefix: str = ""
    shorter_dimensions: tuple[int, ...] = ()
    """Lengths that vectors may be cut to; those that the model declares if empty."""


DEFAULT_OPTIONS = EncoderOptions()


@dataclass(frozen=True, slots=True)
class Tokens:
    """One text as the model reads it: prefixed, truncated, with special tokens."""

    text: str
    kind: EmbedKind
    ids: Sequence[int]
    truncated: bool

    def __len__(self) -> int:
        return len(self.ids)


class Encoder(Protocol):
    """A loaded model.

    ``encode`` is called by one thread at a time; all else is thread-safe. The vector of a text
    does not depend on what else is in its batch, but for rounding.
    """

    @property
    def fingerprint(self) -> Fingerprint:
        """What the vectors may be compared with."""
        ...

    @property
    def max_tokens(self) -> int:
        """Longest text in tokens, special ones included."""
        ...

    @property
    def shorter_dimensions(self) -> Sequence[int]:
        """Lengths that vectors may be cut to, ascending."""
        ...

    @property
    def efficient_tokens(self) -> int:
        """Tokens of a batch past which a larger one is no faster for each token."""
        ...

    def length(self, text: str, kind: EmbedKind) -> int:
        """Tokens of a text with prefix and special ones, without truncation."""
        ...

    def tokenize(self, texts: Sequence[str], kind: EmbedKind) -> list[Tokens]:
        """Tokenise, one for one."""
        ...

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        """Count tokens without special ones, prefixes and truncation."""
        ...

    def encode(self, batch: Sequence[Tokens]) -> NDArray[np.float32]:
        """Vectors of unit length, shape (batch, dimension). All of one kind."""
        ...
