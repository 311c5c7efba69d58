"""An embedding model behind any OpenAI-compatible API: vLLM elsewhere, Ollama, a hosted one."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from groundwire_index.errors import ResourceExhaustedError, UnavailableError
from groundwire_index.records import Fingerprint

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
from groundwire_server.embedders.remote_requests import EmbeddingRequests
from groundwire_server.embedders.remote_tokens import (
    EstimatedTokens,
    LocalTokenizer,
    TokenCounter,
)
from groundwire_server.engines.openai import require_installed
from groundwire_server.engines.openai_dialect import AUTO, Dialect
from groundwire_server.waiting import Waiting

if TYPE_CHECKING:
    from groundwire_server.engines.openai_http import OpenAiServer

# Of a server that does not say how much it reads.
_MAX_TOKENS = 512

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Remote:
    """What is known of the model once its server has been reached."""

    fingerprint: Fingerprint
    max_tokens: int
    dialect: Dialect


class RemoteEmbedder:
    """One embedding model of a server of the OpenAI API.

    It starts also while the server is out of reach, and works as soon as it is there. The server
    is trusted that a name stays the same model: nothing else tells.
    """

    def __init__(
        self,
        url: str,
        model: str,
        *,
        api_key: str = "",
        query_prefix: str = "",
        passage_prefix: str = "",
        shorter_dimensions: Sequence[int] = (),
        max_tokens: int = 0,
        tokenizer: str = "",
        silence_s: float = 60.0,
        on_batch: Callable[[Batch], object] = lambda _: None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Take the URL of the API and a model that it has.

        ``max_tokens`` 0 is what the server says. ``tokenizer`` is a file or folder; without one
        tokens are estimated. An answer that is silent for ``silence_s`` seconds is given up.
        ``on_batch`` is told of each request that was answered.
        """
        self._url = url
        self._model = model
        self._api_key = api_key
        self._prefixes = {EmbedKind.QUERY: query_prefix, EmbedKind.PASSAGE: passage_prefix}
        self._chosen_dimensions = tuple(shorter_dimensions)
        self._max_tokens = max_tokens
        self._tokenizer_path = tokenizer
        self._silence_s = silence_s
        self._requests = EmbeddingRequests(model, on_batch, clock)
        self._tokens: TokenCounter = EstimatedTokens()
        self._server: OpenAiServer | None = None
        self._remote: _Remote | None = None
        self._learning: asyncio.Task[_Remote] | None = None

    @property
    def fingerprint(self) -> Fingerprint:
        """What the vectors may be compared with; UnavailableError until the server was reached."""
        return self._known().fingerprint

    @property
    def max_tokens(self) -> int:
        """Longest text in tokens, special tokens included."""
        return self._known().max_tokens

    @property
    def shorter_dimensions(self) -> Sequence[int]:
        """Lengths that its vectors may be cut to, ascending: those that were chosen."""
        return shorter_dimensions({}, self._chosen_dimensions, self.fingerprint.dimension)

    @property
    def waiting(self) -> Waiting:
        """Calls with texts that have not been sent, and the tokens of these, about."""
        return self._requests.waiting

    async def start(self) -> None:
        """Look whether the server has the model, and how long its vectors are.

        Raises FailedPreconditionError if it has not, or for what waiting cannot mend besides.
        """
        require_installed("embedder_url")
        await run_blocking(import_module, "groundwire_server.engines.openai_http")
        from groundwire_server.engines.openai_http import OpenAiServer

        if self._tokenizer_path:
            self._tokens = await run_blocking(LocalTokenizer, Path(self._tokenizer_path))
        self._server = OpenAiServer(
            self._url, self._api_key, silence_s=self._silence_s, settings="embedder"
        )
        try:
            await self._learn(self._server)
        except (UnavailableError, ResourceExhaustedError) as error:
            log.warning('the embedder "%s" is not there yet: %s', self._model, error)

    async def embed(
        self,
        texts: Sequence[str],
        kind: EmbedKind,
        *,
        priority: Priority = Priority.INTERACTIVE,
        truncation: Truncation = Truncation.END,
    ) -> Embeddings:
        """Embed a batch; all or none.

        Raises TextTooLongError where the tokenizer knows it, else what the server says, of a text
        that must not be cut; UnavailableError before `start`, after `close`, and while the server
        cannot be reached.
        """
        server, remote = self._started(), self._known()
        prefixed = [self._prefixes[kind] + text for text in texts]
        counts = await self._lengths(prefixed, server, remote)
        too_long = [count > remote.max_tokens for count in counts]
        is_exact = self._tokens.is_exact or bool(remote.dialect.tokenize)
        if truncation is Truncation.NONE and is_exact and any(too_long):
            position = too_long.index(True)
            raise TextTooLongError(position, counts[position], remote.max_tokens)
        options: Mapping[str, Any] = {}
        if truncation is Truncation.NONE:
            too_long = [False] * len(texts)
        else:
            options = remote.dialect.truncation
            if not options:
                prefixed = await run_blocking(self._heads, prefixed, too_long, remote.max_tokens)
        read = [min(count, remote.max_tokens) for count in counts]
        dimension = remote.fingerprint.dimension
        vectors = await self._requests.vectors(
            server, prefixed, read, dimension, options=options, priority=priority
        )
        return Embeddings(vectors, tuple(read), tuple(too_long))

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        """Count tokens without special ones; about, without a tokenizer. Thread-safe, blocking."""
        return self._tokens.count(texts)

    async def check(self) -> None:
        """Ask the server for its model, which takes no model. Raises what a call would."""
        server = self._started()
        remote = await self._learnt_beside(server)
        if remote.dialect.health:
            await server.get_root(remote.dialect.health)

    async def close(self) -> None:
        """Close every connection, ending what still runs. Idempotent."""
        if self._learning is not None:
            self._learning.cancel()
            await asyncio.gather(self._learning, return_exceptions=True)
            self._learning = None
        if self._server is not None:
            await self._server.close()

    async def _learnt_beside(self, server: OpenAiServer) -> _Remote:
        """The same in a task that outlives who asks.

        A check has little time, and some servers load a model when it is first asked.
        """
        learning = self._learning or asyncio.create_task(self._learn(server))
        self._learning = learning
        try:
            return await asyncio.shield(learning)
        finally:
            if learning.done():
                self._learning = None

    async def _learn(self, server: OpenAiServer) -> _Remote:
        from groundwire_server.engines.openai_models import served_model

        served = await served_model(server, self._model, AUTO)
        if self._remote is None:
            dimension = await self._requests.dimension(server)
            fingerprint = Fingerprint(
                model=self._model,
                revision="remote",
                pooling="remote",
                query_prefix=self._prefixes[EmbedKind.QUERY],
                passage_prefix=self._prefixes[EmbedKind.PASSAGE],
                dimension=dimension,
                normalized=True,
            )
            # Refuses lengths that are not shorter.
            shorter_dimensions({}, self._chosen_dimensions, dimension)
            longest = self._max_tokens or served.context_length or _MAX_TOKENS
            self._remote = _Remote(fingerprint, longest, served.dialect)
        return self._remote

    async def _lengths(
        self, texts: Sequence[str], server: OpenAiServer, remote: _Remote
    ) -> list[int]:
        """Tokens of each text with special ones; vLLM counts what may be too long."""
        special = self._tokens.special_tokens
        counts = [count + special for count in await run_blocking(self._tokens.count, texts)]
        if not self._tokens.is_exact and remote.dialect.tokenize:
            for position, count in enumerate(counts):
                if count > remote.max_tokens:
                    question = {"model": self._model, "prompt": texts[position]}
                    answer = await server.post_root(remote.dialect.tokenize, question)
                    counts[position] = int(answer["count"])
        return counts

    def _heads(self, texts: Sequence[str], too_long: Sequence[bool], max_tokens: int) -> list[str]:
        room = max_tokens - self._tokens.special_tokens
        return [
            self._tokens.head(text, room) if is_too_long else text
            for text, is_too_long in zip(texts, too_long, strict=True)
        ]

    def _started(self) -> OpenAiServer:
        if self._server is None:
            raise UnavailableError(
                f'the embedder "{self._model}" is still starting', reason="STARTING"
            )
        self._server.require_open()
        return self._server

    def _known(self) -> _Remote:
        if self._remote is None:
            raise UnavailableError(
                f'the embedder "{self._model}" at {self._url} has not been reached yet',
                reason="STARTING",
            )
        return self._remote
