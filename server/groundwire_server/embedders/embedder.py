"""What an embedder is: texts in, unit vectors out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum, IntEnum
from typing import Protocol

import numpy as np
from groundwire_index.errors import LimitExceededError
from groundwire_index.records import Fingerprint
from numpy.typing import NDArray

from groundwire_server.waiting import Waiting


class EmbedKind(Enum):
    """What a text is for."""

    QUERY = "query"
    PASSAGE = "passage"


class Priority(IntEnum):
    """Whose texts are embedded first. None of them ever keeps another waiting for good."""

    INTERACTIVE = 0
    """Someone waits for this one answer."""
    BULK = 1
    """Someone waits for the answers to many texts."""
    INGESTION = 2
    """What is stored, to be found later."""


class Truncation(Enum):
    """What happens to a text that is longer than the model reads."""

    END = "end"
    """Its end is not read."""
    NONE = "none"
    """The call is refused."""


class TextTooLongError(LimitExceededError):
    """A text is longer than the model reads, and is not to be cut."""

    reason = "INPUT_TOO_LONG"

    def __init__(self, position: int, tokens: int, max_tokens: int) -> None:
        """Name the text by its position, and its tokens with prefix and special ones."""
        super().__init__(f"texts[{position}] has {tokens:,} tokens; the model reads {max_tokens:,}")
        self.position = position
        self.tokens = tokens
        self.max_tokens = max_tokens


@dataclass(frozen=True, slots=True, eq=False)
class Embeddings:
    """The answer to one call, in request order."""

    vectors: NDArray[np.float32]
    """Shape (texts, dimension)."""
    token_counts: tuple[int, ...]
    """Tokens the model read of each text, after truncation."""
    truncated: tuple[bool, ...]
    """Which texts were longer than the limit."""


class Embedder(Protocol):
    """Turns texts into vectors.

    Safe for concurrent callers on one event loop, whose texts share batches. A caller that is
    cancelled is dropped from batches not yet begun. Raises UnavailableError when not started.
    """

    @property
    def fingerprint(self) -> Fingerprint:
        """What the vectors may be compared with. Known after `start`."""
        ...

    @property
    def max_tokens(self) -> int:
        """Longest text in tokens, special tokens included; what is past it is not read."""
        ...

    @property
    def shorter_dimensions(self) -> Sequence[int]:
        """Lengths that its vectors may be cut to, ascending; known after `start`."""
        ...

    @property
    def waiting(self) -> Waiting:
        """Calls with texts that are in no batch yet, and the tokens of these."""
        ...

    async def start(self) -> None:
        """Load the model. Called once, before anything else."""
        ...

    async def embed(
        self,
        texts: Sequence[str],
        kind: EmbedKind,
        *,
        priority: Priority = Priority.INTERACTIVE,
        truncation: Truncation = Truncation.END,
    ) -> Embeddings:
        """Embed a batch; all or none. Passages that fill more than one batch are BULK at most.

        Raises TextTooLongError, before the model runs, where a text must not be cut.
        """
        ...

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        """Count tokens without special ones and without truncation. Thread-safe, blocking."""
        ...

    async def check(self) -> None:
        """Raise a GroundwireError if calls would fail now. Cheap."""
        ...

    async def close(self) -> None:
        """Stop. Idempotent."""
        ...
