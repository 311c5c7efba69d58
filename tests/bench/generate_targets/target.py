"""What can be measured: it answers prompts in streams, many at once."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import Protocol, Self

MAX_TOKENS = 64
# Continued greedily, the small model does not end before so many.
PROMPT = "The observatory stands on a ridge, and opens"
MODEL_ARGS = {"dtype": "float32", "gpu_memory_utilization": 0.3}


@dataclass(slots=True)
class Streamed:
    """One answer as it came."""

    began: float = field(default_factory=time.perf_counter)
    first_s: float | None = None
    """Seconds to the first text, for tokens may be parts of characters; where none is sent, to the
    first token."""
    tokens: int = 0

    def came(self, tokens: int, *, text: bool = True) -> None:
        """Some more tokens have come, with ``text`` or without."""
        if self.first_s is None and text:
            self.first_s = time.perf_counter() - self.began
        self.tokens += tokens


class Target(Protocol):
    """A server of the small model. Entered before it is asked; it cleans up when it is left."""

    name: str

    async def __aenter__(self) -> Self: ...

    async def __aexit__(self, *error: object) -> None: ...

    async def stream(self) -> Streamed:
        """Have `PROMPT` continued greedily by ``MAX_TOKENS``, token by token."""
        ...

    async def answer(self, requests: int, at_once: int) -> float:
        """The same so many times, so many of them at once, by a client that costs little.

        The seconds it took.
        """
        ...
