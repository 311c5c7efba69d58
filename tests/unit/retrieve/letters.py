"""An embedder that needs no weights: texts are close when they use the same letters."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from groundwire_index.records import Fingerprint
from groundwire_server.embedders.embedder import Embeddings, EmbedKind, Priority, Truncation
from groundwire_server.waiting import Waiting

LETTERS = "abcdefghijklmnopqrstuvwxyz0123456789"


class LettersEmbedder:
    """Unit vectors of letter counts; one token per word."""

    waiting = Waiting()

    def __init__(self, model: str = "letters") -> None:
        self.calls: list[list[str]] = []
        self.priorities: list[Priority] = []
        self.fingerprint = Fingerprint(
            model=model,
            revision="1",
            pooling="mean",
            query_prefix="",
            passage_prefix="",
            dimension=len(LETTERS),
            normalized=True,
        )
        self.max_tokens = 256

    async def start(self) -> None: ...

    async def close(self) -> None: ...

    async def embed(
        self,
        texts: Sequence[str],
        kind: EmbedKind,
        *,
        priority: Priority = Priority.INTERACTIVE,
        truncation: Truncation = Truncation.END,
    ) -> Embeddings:
        self.calls.append(list(texts))
        self.priorities.append(priority)
        counts = np.array(
            [[text.lower().count(letter) + 1e-3 for letter in LETTERS] for text in texts],
            np.float32,
        ).reshape(len(texts), len(LETTERS))
        vectors = counts / np.linalg.norm(counts, axis=1, keepdims=True)
        return Embeddings(vectors, tuple(self.count_tokens(texts)), (False,) * len(texts))

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        return [len(text.split()) for text in texts]
