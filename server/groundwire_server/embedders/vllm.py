"""Embeddings from vLLM, in this process; its engine core is a process of its own."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import time
import uuid
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from groundwire_index.errors import UnavailableError
from groundwire_index.records import Fingerprint
from numpy.typing import NDArray

from groundwire_server.blocking import run_blocking
from groundwire_server.embedders.batcher import Batch
from groundwire_server.embedders.embedder import (
    Embeddings,
    EmbedKind,
    Priority,
    TextTooLongError,
    Truncation,
)
from groundwire_server.embedders.matryoshka import shorter_dimensions
from groundwire_server.embedders.weights import (
    BUILT_IN_MODEL,
    built_in_folder,
    file_digest,
    folder_digest,
)
from groundwire_server.engines.vllm_process import VllmProcess
from groundwire_server.engines.vllm_start import SettingNames, import_vllm, require_in_place
from groundwire_server.waiting import Waiting

_SETTINGS = SettingNames("embedder_model", "embedder_vllm_args")
# Texts that nobody waits for and that vLLM has at once: two or three of its batches.
_LATER_TEXTS = 256
# How often a call that waits for vLLM looks whether its engine core is alive.
_WATCH_PERIOD_S = 0.5


@dataclass(frozen=True, slots=True)
class _Started:
    vllm: Any
    tokenizer: Any
    fingerprint: Fingerprint
    max_tokens: int
    shorter_dimensions: Sequence[int]
    closing_tokens: int
    """Special tokens that a text ends with."""


class VllmEmbedder:
    """A pooling model, served by vLLM: it batches what all callers ask for by itself."""

    def __init__(
        self,
        model: str,
        *,
        args: Mapping[str, Any] | None = None,
        query_prefix: str = "",
        passage_prefix: str = "",
        shorter_dimensions: Sequence[int] = (),
        on_batch: Callable[[Batch], object] = lambda _: None,
    ) -> None:
        """Take a model by folder or hub name, or the built-in one.

        ``args`` are vLLM's own engine arguments. ``shorter_dimensions`` are lengths that its
        vectors may be cut to, where its configuration does not say. ``on_batch`` is told of the
        texts of each call.
        """
        self._model = model
        self._args = dict(args or {})
        self._prefixes = {EmbedKind.QUERY: query_prefix, EmbedKind.PASSAGE: passage_prefix}
        self._chosen_dimensions = tuple(shorter_dimensions)
        self._on_batch = on_batch
        self._process = VllmProcess(_SETTINGS)
        self._started: _Started | None = None
        self._later = asyncio.Semaphore(_LATER_TEXTS)
        # Tokens of each text that vLLM has not answered.
        self._running: dict[str, int] = {}

    @property
    def fingerprint(self) -> Fingerprint:
        """What the vectors may be compared with: the same weights by any other way too."""
        return self._known().fingerprint

    @property
    def max_tokens(self) -> int:
        """Longest text in tokens, special tokens included."""
        return self._known().max_tokens

    @property
    def shorter_dimensions(self) -> Sequence[int]:
        """Lengths that its vectors may be cut to, ascending."""
        return self._known().shorter_dimensions

    @property
    def waiting(self) -> Waiting:
        """Texts whose vectors are not there yet, and their tokens."""
        return Waiting(len(self._running), sum(self._running.values()))

    async def start(self) -> None:
        """Load the model. Raises FailedPreconditionError if that cannot be."""
        folder = str(built_in_folder()) if self._model == BUILT_IN_MODEL else self._model
        require_in_place(folder, _SETTINGS.model)
        await run_blocking(import_vllm)
        vllm = await self._process.start(folder, {"runner": "pooling", **self._args})
        self._started = await run_blocking(self._described, vllm, Path(folder))

    async def embed(
        self,
        texts: Sequence[str],
        kind: EmbedKind,
        *,
        priority: Priority = Priority.INTERACTIVE,
        truncation: Truncation = Truncation.END,
    ) -> Embeddings:
        """Embed a batch; all or none.

        Raises TextTooLongError, before the model runs, where a text must not be cut, and
        UnavailableError once the engine core has died.
        """
        started = self._alive()
        prefixed = [self._prefixes[kind] + text for text in texts]
        ids, lengths = await run_blocking(self._tokenized, started, prefixed)
        too_long = [length > started.max_tokens for length in lengths]
        if truncation is Truncation.NONE and any(too_long):
            position = too_long.index(True)
            raise TextTooLongError(position, lengths[position], started.max_tokens)
        vectors = np.empty((len(texts), started.fingerprint.dimension), np.float32)
        began = time.monotonic()

        async def pool(row: int) -> None:
            vectors[row] = await self._pooled(started, ids[row], priority)

        try:
            async with asyncio.TaskGroup() as group:
                watch = group.create_task(self._raise_when_dead(started))
                await asyncio.gather(*map(pool, range(len(ids))))
                watch.cancel()
        except BaseExceptionGroup as failures:
            raise failures.exceptions[0] from None
        counts = tuple(map(len, ids))
        self._on_batch(Batch(len(ids), sum(counts), time.monotonic() - began, ()))
        return Embeddings(vectors, counts, tuple(too_long))

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        """Count tokens without special ones and without truncation. Thread-safe, blocking."""
        tokenizer = self._known().tokenizer
        return [len(ids) for ids in _ids(tokenizer, texts, add_special_tokens=False)]

    async def check(self) -> None:
        """Raise UnavailableError if the engine core has died."""
        self._alive()

    async def close(self) -> None:
        """Stop, ending what still runs. Idempotent; also after a start that was cut off."""
        self._started = None
        await self._process.close(tuple(self._running))

    def _described(self, vllm: Any, folder: Path) -> _Started:
        config = vllm.model_config
        dimension = int(config.embedding_size)
        pooling = str(config.pooler_config.seq_pooling_type).lower()
        is_built_in = self._model == BUILT_IN_MODEL
        if is_built_in:
            revision = file_digest(folder / "model.safetensors")
        elif folder.is_dir():
            revision = folder_digest(folder)
        else:
            revision = str(getattr(config.hf_config, "_commit_hash", None) or "unknown")
        fingerprint = Fingerprint(
            model=folder.resolve().name if folder.is_dir() and not is_built_in else self._model,
            revision=revision,
            pooling=pooling,
            query_prefix=self._prefixes[EmbedKind.QUERY],
            passage_prefix=self._prefixes[EmbedKind.PASSAGE],
            dimension=dimension,
            normalized=True,
        )
        shorter = shorter_dimensions(config.hf_config.to_dict(), self._chosen_dimensions, dimension)
        tokenizer = vllm.renderer.get_tokenizer()
        return _Started(
            vllm,
            tokenizer,
            fingerprint,
            max_tokens=int(config.max_model_len),
            shorter_dimensions=shorter,
            closing_tokens=_closing_tokens(tokenizer),
        )

    def _tokenized(
        self, started: _Started, texts: Sequence[str]
    ) -> tuple[list[list[int]], list[int]]:
        """What the model reads of each text, and how long each is."""
        whole = _ids(started.tokenizer, texts)
        lengths = [len(ids) for ids in whole]
        # Not by the tokenizer: it is shared by threads, and would change for all of them.
        last = started.closing_tokens
        for row, length in enumerate(lengths):
            if length > started.max_tokens:
                head = whole[row][: started.max_tokens - last]
                whole[row] = [*head, *whole[row][length - last :]]
        return whole, lengths

    async def _pooled(
        self, started: _Started, ids: Sequence[int], priority: Priority
    ) -> NDArray[np.float32]:
        """The unit vector of one text."""
        from vllm import PoolingParams
        from vllm.v1.engine.exceptions import EngineDeadError

        request_id = uuid.uuid4().hex
        params = PoolingParams(task="embed")
        prompt = {"prompt_token_ids": list(ids)}
        async with self._turn(priority):
            self._running[request_id] = len(ids)
            try:
                outputs = started.vllm.encode(prompt, params, request_id, priority=int(priority))
                async with contextlib.aclosing(outputs):
                    answers = [output async for output in outputs]
            except EngineDeadError:
                raise self._dead() from None
            finally:
                del self._running[request_id]
        vector: NDArray[np.float32] = answers[-1].outputs.data.float().numpy()
        return vector / np.linalg.norm(vector)

    async def _raise_when_dead(self, started: _Started) -> None:
        # vLLM leaves a request waiting that it was given between the death and its being noticed.
        while not started.vllm.errored:  # noqa: ASYNC110 - it has no event
            await asyncio.sleep(_WATCH_PERIOD_S)
        raise self._dead()

    @asynccontextmanager
    async def _turn(self, priority: Priority) -> AsyncIterator[None]:
        if priority is Priority.INTERACTIVE:
            yield
        else:
            async with self._later:
                yield

    def _known(self) -> _Started:
        if self._started is None:
            raise UnavailableError(
                f'the embedder "{self._model}" is not running', reason="STARTING"
            )
        return self._started

    def _alive(self) -> _Started:
        started = self._known()
        if started.vllm.errored:
            raise self._dead()
        return started

    def _dead(self) -> UnavailableError:
        return UnavailableError(
            f'the engine core of the embedder "{self._model}" has died; its last lines in the log '
            "say why",
            reason="EMBEDDER_DEAD",
            retry_after_s=30.0,
        )


def _ids(
    tokenizer: Any, texts: Sequence[str], *, add_special_tokens: bool = True
) -> list[list[int]]:
    if not texts:
        return []
    encoded = tokenizer(
        list(texts), add_special_tokens=add_special_tokens, truncation=False, verbose=False
    )
    ids: list[list[int]] = encoded["input_ids"]
    return ids


def _closing_tokens(tokenizer: Any) -> int:
    (ids,) = _ids(tokenizer, ["a"])
    special = set(tokenizer.all_special_ids)
    return len(list(itertools.takewhile(special.__contains__, reversed(ids))))
