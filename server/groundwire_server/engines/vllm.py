"""Text from vLLM, in this process; its engine core is a process of its own."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping, Sequence
from typing import Any

from groundwire_index.errors import UnavailableError

from groundwire_server.engines.engine import EngineEvent, EngineRequest, Message


class VllmEngine:
    """One model, served by vLLM."""

    name = "vllm"

    def __init__(
        self,
        model: str,
        *,
        name: str = "",
        args: Mapping[str, Any] | None = None,
        max_tokens_default: int = 1024,
    ) -> None:
        self._source = model
        self._name = name or model.rstrip("/").rsplit("/", 1)[-1]
        self._args = dict(args or {})
        self._max_tokens_default = max_tokens_default

    @property
    def model(self) -> str:
        """The model name that requests use."""
        return self._name

    @property
    def context_length(self) -> int:
        """Tokens of prompt and answer together."""
        return 0

    async def start(self) -> None:
        """Load the model."""
        raise self._down()

    async def generate(self, request: EngineRequest) -> AsyncGenerator[EngineEvent, None]:
        """Stream the events of one generation."""
        raise self._down()
        yield

    async def count_tokens(self, content: str | Sequence[Message]) -> int:
        """Count tokens, of messages under the chat template."""
        raise self._down()

    async def check(self) -> None:
        """Raise UnavailableError if requests would fail now."""
        raise self._down()

    async def close(self) -> None:
        """Stop, ending what still runs. Idempotent."""

    def _down(self) -> UnavailableError:
        return UnavailableError(f'the vLLM engine of "{self._name}" is not started')
