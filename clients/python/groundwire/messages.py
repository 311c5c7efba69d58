"""The messages of a client's stream, and what goes wrong where they come from."""

from __future__ import annotations

from asyncio import CancelledError
from collections.abc import AsyncIterable, AsyncIterator, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

from google.protobuf.message import Message

from groundwire.errors import GroundwireError

T = TypeVar("T", contravariant=True)


class Batch(Protocol[T]):
    """Gathers items into messages."""

    def add(self, item: T) -> Message | None:
        """Take an item; the message that is full now, if one is."""

    def last(self) -> Message | None:
        """The message with what is left, if anything is."""


@dataclass(frozen=True, slots=True)
class Messages(Generic[T]):
    """Items from anywhere, as they come, gathered into messages."""

    items: Iterable[T] | AsyncIterable[T]
    batch: Batch[T]

    @property
    def are_async(self) -> bool:
        """Whether the items come asynchronously."""
        return isinstance(self.items, AsyncIterable)

    def __iter__(self) -> Iterator[Message]:
        if isinstance(self.items, AsyncIterable):
            raise TypeError("What comes asynchronously needs an AsyncClient.")
        for item in self.items:
            if message := self.batch.add(item):
                yield message
        if message := self.batch.last():
            yield message

    async def __aiter__(self) -> AsyncIterator[Message]:
        if not isinstance(self.items, AsyncIterable):
            raise TypeError("These items do not come asynchronously.")
        async for item in self.items:
            if message := self.batch.add(item):
                yield message
        if message := self.batch.last():
            yield message


class Sending:
    """Messages on their way. gRPC hides what they raise: it is kept here."""

    def __init__(self, messages: Messages[T]) -> None:
        self._messages = messages
        self._failure: Exception | None = None

    def __iter__(self) -> Iterator[Message]:
        try:
            yield from self._messages
        except Exception as error:
            self._failure = error
            raise

    async def __aiter__(self) -> AsyncIterator[Message]:
        try:
            async for message in self._messages:
                yield message
        except Exception as error:
            self._failure = error
            raise

    @contextmanager
    def failures(self) -> Iterator[None]:
        """Raise what the messages raised, in place of what gRPC makes of it."""
        try:
            yield
        except (GroundwireError, CancelledError):
            # grpc.aio cancels a call whose messages fail.
            if self._failure is not None:
                raise self._failure from None
            raise


def serialized(message: Message) -> bytes:
    """The bytes of a message."""
    return message.SerializeToString()
