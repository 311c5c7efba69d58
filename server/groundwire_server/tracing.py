"""The trace of a call, as it is known anywhere in the server."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from types import MappingProxyType
from typing import Protocol, Self, TypeAlias

Attributes: TypeAlias = "Mapping[str, str | int | float | Sequence[str]]"
NOTHING: Mapping[str, str] = MappingProxyType({})


class Span(Protocol):
    """A stretch of a call. Cheap, and nothing at all where the call is not traced."""

    @property
    def trace_id(self) -> str:
        """32 hexadecimal digits; empty without a trace, and when the call is over."""
        ...

    @property
    def headers(self) -> Mapping[str, str]:
        """W3C trace context, for what is asked of another server."""
        ...

    def begin(self, name: str, attributes: Attributes = NOTHING) -> Span:
        """A part of it that begins now, to be ended."""
        ...

    def add(self, name: str, began: float, ended: float) -> None:
        """A part of it that is over; times are those of ``time.perf_counter``."""
        ...

    def set(self, attributes: Attributes) -> None:
        """Say more of it."""
        ...

    def end(self, error: str = "") -> None:
        """It is over; ``error`` is the kind of what went wrong."""
        ...


class Tracer(Protocol):
    """Where spans go."""

    def begin(
        self, name: str, attributes: Attributes, context: Mapping[str, Sequence[str]]
    ) -> Span:
        """The span of a call that begins now, under the caller's W3C trace context, if any.

        ``context`` has the values of each header by its name. What is malformed is ignored.
        """
        ...

    async def close(self, at_most_s: float) -> None:
        """Hand on what has ended. What has not gone after so many seconds is dropped."""
        ...


class NoSpan:
    """The call is not traced."""

    trace_id = ""
    headers = NOTHING

    def begin(self, name: str, attributes: Attributes = NOTHING) -> Self:  # noqa: ARG002 - a span's
        """No part of it is."""
        return self

    def add(self, name: str, began: float, ended: float) -> None:
        """Nothing."""

    def set(self, attributes: Attributes) -> None:
        """Nothing."""

    def end(self, error: str = "") -> None:
        """Nothing."""


NO_SPAN = NoSpan()
# Set by the tracing interceptor for the task that handles one call.
current_span: ContextVar[Span] = ContextVar("current_span", default=NO_SPAN)


@contextmanager
def part(name: str) -> Iterator[None]:
    """A part of the current call, for as long as this lasts."""
    span = current_span.get().begin(name)
    try:
        yield
    except BaseException as error:
        span.end(type(error).__name__)
        raise
    span.end()
