"""What one call has used, noted by whoever uses it on the call's behalf."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Self


class CallUsage:
    """Is filled while the call lasts. A call that generates is known by the model that does so;
    what it embeds besides is a part of that."""

    __slots__ = (
        "_embedded_tokens",
        "_embedder",
        "_embeddings_found",
        "_found",
        "_generator",
        "_going_on",
        "_on_end",
        "_prompt_tokens",
        "completion_tokens",
        "confidence",
    )

    def __init__(self) -> None:
        self.completion_tokens = 0
        self.confidence: float | None = None
        self._generator = ""
        self._prompt_tokens = 0
        self._found = 0
        self._embedder = ""
        self._embedded_tokens = 0
        self._embeddings_found = 0
        self._going_on = 0
        self._on_end: Callable[[], None] | None = None

    @contextmanager
    def going_on(self) -> Iterator[Self]:
        """What is done in the block may go on after the call has ended."""
        self._going_on += 1
        try:
            yield self
        finally:
            self._going_on -= 1
            if self._on_end is not None:
                self.end(self._on_end)

    def end(self, on_end: Callable[[], None]) -> None:
        """The call has ended. ``on_end`` is called as soon as nothing of it goes on."""
        if self._going_on:
            self._on_end = on_end
        else:
            on_end()

    @property
    def model(self) -> str:
        """That generates, or else that embeds; empty if there is none."""
        return self._generator or self._embedder

    @property
    def prompt_tokens(self) -> int:
        """Tokens that the model was given."""
        return self._prompt_tokens if self._generator else self._embedded_tokens

    @property
    def cache_hits(self) -> int:
        """What of the model's work was in a cache."""
        return self._found if self._generator else self._embeddings_found

    def generates(self, model: str) -> None:
        """A model generates, rather than the one that was noted before."""
        self._generator = model

    def prompted(self, tokens: int) -> None:
        """The model that generates is given so many tokens in all."""
        self._prompt_tokens = tokens

    def answer_found(self) -> None:
        """The answer was in a cache."""
        self._found += 1

    def embedded(self, model: str, tokens: int) -> None:
        """A model was given texts to embed, or a cache had the vectors that it would make."""
        self._embedder = model
        self._embedded_tokens += tokens

    def embeddings_found(self, texts: int) -> None:
        """The vectors of so many texts were in a cache."""
        self._embeddings_found += texts


_current: ContextVar[CallUsage] = ContextVar("current_usage")


def begin_usage() -> CallUsage:
    """What this call uses, from now on. gRPC runs each call in a context of its own."""
    used = CallUsage()
    _current.set(used)
    return used


def current_usage() -> CallUsage:
    """Where to note what is used; nobody looks at that of what is done for no call."""
    return _current.get(None) or CallUsage()
