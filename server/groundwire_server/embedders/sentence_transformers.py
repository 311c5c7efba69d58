"""The embedder: a sentence-transformers model behind a batcher."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence

import numpy as np
from groundwire_index.errors import UnavailableError
from groundwire_index.records import Fingerprint

from groundwire_server.blocking import run_blocking
from groundwire_server.embedders.batcher import Batch, Batcher
from groundwire_server.embedders.embedder import (
    Embeddings,
    EmbedKind,
    Priority,
    TextTooLongError,
    Truncation,
)
from groundwire_server.embedders.encoder import Encoder, EncoderOptions, Tokens
from groundwire_server.embedders.precision import Precision
from groundwire_server.embedders.weights import BUILT_IN_MODEL, built_in_folder, verify
from groundwire_server.waiting import Waiting

# Texts of so many characters in all are tokenised in less time than a thread takes to be woken.
_TOKENISED_AT_ONCE = 1000


class SentenceTransformersEmbedder:
    """A sentence-transformers model by name or folder; "all-MiniLM-L6-v2" needs no hub.

    A model's own prompts for queries and passages are its prefixes where none are given.
    Vectors have unit length.
    """

    def __init__(
        self,
        model: str,
        *,
        precision: Precision = "auto",
        query_prefix: str = "",
        passage_prefix: str = "",
        shorter_dimensions: Sequence[int] = (),
        batch_tokens: int = 4096,
        on_batch: Callable[[Batch], object] = lambda _: None,
    ) -> None:
        """Take a model by name or folder; ``batch_tokens`` bounds a batch, padding included.

        ``shorter_dimensions`` are lengths that its vectors may be cut to, where its
        configuration does not say. ``on_batch`` is told of each batch, in the model's thread.
        """
        self._model = model
        self._options = EncoderOptions(
            precision, query_prefix, passage_prefix, tuple(shorter_dimensions)
        )
        self._batch_tokens = batch_tokens
        self._on_batch = on_batch
        self._encoder: Encoder | None = None
        self._batcher: Batcher | None = None

    @property
    def fingerprint(self) -> Fingerprint:
        """What the vectors may be compared with. Known after `start`."""
        return self._started().fingerprint

    @property
    def max_tokens(self) -> int:
        """Longest text in tokens, special tokens included. Known after `start`."""
        return self._started().max_tokens

    @property
    def shorter_dimensions(self) -> Sequence[int]:
        """Lengths that its vectors may be cut to, ascending. Known after `start`."""
        return self._started().shorter_dimensions

    @property
    def waiting(self) -> Waiting:
        """Calls with texts that are in no batch yet, and the tokens of these."""
        return Waiting() if self._batcher is None else self._batcher.waiting

    async def start(self) -> None:
        """Load the model.

        Raises FailedPreconditionError if it is not to be had, DataLossError if the built-in
        weights are not what they should be.
        """
        encoder = await run_blocking(self._load)
        self._batcher = Batcher(
            encoder.encode,
            dimension=encoder.fingerprint.dimension,
            batch_tokens=min(self._batch_tokens, encoder.efficient_tokens),
            on_batch=self._on_batch,
        )
        self._encoder = encoder

    async def embed(
        self,
        texts: Sequence[str],
        kind: EmbedKind,
        *,
        priority: Priority = Priority.INTERACTIVE,
        truncation: Truncation = Truncation.END,
    ) -> Embeddings:
        """Embed a batch; all or none. Passages that fill more than one batch are BULK at most.

        Raises UnavailableError before `start` or after `close`, and TextTooLongError, before
        the model runs, where a text must not be cut.
        """
        encoder = self._started()
        if self._batcher is None:
            raise UnavailableError("the embedder is stopping", reason="STOPPING")
        if not texts:
            return Embeddings(np.empty((0, encoder.fingerprint.dimension), np.float32), (), ())
        tokens = await _tokenized(encoder, texts, kind)
        if truncation is Truncation.NONE:
            await _require_whole(encoder, texts, tokens)
        if kind is EmbedKind.PASSAGE and sum(map(len, tokens)) > encoder.efficient_tokens:
            priority = max(priority, Priority.BULK)
        vectors = await self._batcher.run(tokens, priority)
        return Embeddings(
            vectors,
            tuple(len(one) for one in tokens),
            tuple(one.truncated for one in tokens),
        )

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        """Count tokens without special ones and without truncation. Thread-safe, blocking."""
        return self._started().count_tokens(texts)

    async def check(self) -> None:
        """Whether the model is loaded: it runs in this process and does not fail by itself."""
        _ = self.fingerprint

    async def close(self) -> None:
        """Stop after the batch that runs. Idempotent."""
        batcher, self._batcher = self._batcher, None
        if batcher is not None:
            await run_blocking(batcher.close)

    def _load(self) -> Encoder:
        # Said aloud, because the tokenizers otherwise complain when the process forks.
        os.environ.setdefault("TOKENIZERS_PARALLELISM", "true")
        # Imported here: torch takes over a second, and the server listens meanwhile.
        if self._model == BUILT_IN_MODEL:
            from groundwire_server.embedders.bert import BertEncoder

            folder = built_in_folder()
            verify(folder)
            return BertEncoder(self._model, folder, self._options)
        from groundwire_server.embedders.library import LibraryEncoder

        return LibraryEncoder(self._model, self._options)

    def _started(self) -> Encoder:
        if self._encoder is None:
            raise UnavailableError(
                f'the embedder "{self._model}" is still starting', reason="STARTING"
            )
        return self._encoder


async def _tokenized(encoder: Encoder, texts: Sequence[str], kind: EmbedKind) -> list[Tokens]:
    if sum(map(len, texts)) <= _TOKENISED_AT_ONCE:
        return encoder.tokenize(texts, kind)
    return await run_blocking(encoder.tokenize, texts, kind)


async def _require_whole(encoder: Encoder, texts: Sequence[str], tokens: Sequence[Tokens]) -> None:
    for position, one in enumerate(tokens):
        if one.truncated:
            length = await run_blocking(encoder.length, texts[position], one.kind)
            raise TextTooLongError(position, length, encoder.max_tokens)
