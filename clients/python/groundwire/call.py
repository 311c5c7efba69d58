"""What a call is, so that one description of it serves both clients.

A function in `groundwire.requests` turns arguments into a call: which RPC, which message,
how to read the answer. A transport (`blocking`, `aio`) runs it. The descriptors here join
the two: on a :class:`Group` with a blocking transport, ``search = unary(requests.search)``
is a method that returns the result; with an asyncio transport it is a coroutine function.
"""

from __future__ import annotations

from collections.abc import (
    AsyncIterator,
    Awaitable,
    Callable,
    Iterator,
    Sequence,
)
from dataclasses import dataclass
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, ParamSpec, Self, TypeAlias, TypeVar, overload

from google.protobuf.message import Message

if TYPE_CHECKING:
    from groundwire.aio import AsyncGeneration, AsyncTransport
    from groundwire.blocking import BlockingTransport, Generation
    from groundwire.documents import Source
    from groundwire.messages import Messages
    from groundwire.results.documents import IngestProgress, IngestResult
    from groundwire.v1.generate_service_pb2 import GenerateRequest
    from groundwire.v1.retrieve_service_pb2 import DownloadSnapshotRequest, IngestHeader

P = ParamSpec("P")
R = TypeVar("R")
T = TypeVar("T")
Answer = TypeVar("Answer", bound=Message)


@dataclass(frozen=True, slots=True)
class Unary(Generic[R]):
    """One message there, one back."""

    path: str
    request: Message
    parse: Callable[[bytes], Any]
    decode: Callable[[Any], R]
    timeout: float | None
    generates: bool = False
    """Whether it takes as long as generating text takes."""


@dataclass(frozen=True, slots=True)
class Page(Generic[R]):
    """Some results, and where the next ones start (empty: nowhere)."""

    items: Sequence[R]
    next_cursor: str


@dataclass(frozen=True, slots=True)
class Pages(Generic[R]):
    """Results that come page by page."""

    page: Callable[[str], Unary[Page[R]]]
    """The call for the page that starts at a cursor."""


@dataclass(frozen=True, slots=True)
class Stream:
    """One message there, the events of an answer back."""

    request: GenerateRequest
    timeout: float | None


@dataclass(frozen=True, slots=True)
class Upload:
    """A file there, in pieces; progress and a result back."""

    header: IngestHeader
    source: Source
    on_progress: Callable[[IngestProgress], None]
    timeout: float | None
    """Of silence, not of the whole."""


@dataclass(frozen=True, slots=True)
class ClientStream(Generic[R]):
    """Any number of messages there, one back."""

    path: str
    messages: Messages[Any]
    parse: Callable[[bytes], Any]
    decode: Callable[[Any], R]
    timeout: float | None
    """Of silence, not of the whole."""


@dataclass(frozen=True, slots=True)
class Exchange(Generic[R]):
    """Any number of messages there, one back for each."""

    path: str
    messages: Messages[Any]
    parse: Callable[[bytes], Any]
    decode: Callable[[Any], R]
    timeout: float | None
    """Of silence, not of the whole."""


@dataclass(frozen=True, slots=True)
class Download:
    """One message there, a snapshot back, into a folder."""

    request: DownloadSnapshotRequest
    folder: Path
    timeout: float | None
    """Of silence, not of the whole."""


def call(
    rpc: str,
    request: Message,
    answer: type[Answer],
    decode: Callable[[Answer], R],
    timeout: float | None,
    *,
    generates: bool = False,
) -> Unary[R]:
    """A unary call of ``rpc`` ("RetrieveService/Search")."""
    path = f"/groundwire.v1.{rpc}"
    return Unary(path, request, answer.FromString, decode, timeout, generates)


class Group(Generic[T]):
    """Some calls that share a transport."""

    def __init__(self, transport: T) -> None:
        self.transport = transport


Blocking: TypeAlias = "Group[BlockingTransport]"
Asyncio: TypeAlias = "Group[AsyncTransport]"


class unary(Generic[P, R]):  # noqa: N801 - a descriptor, used like `property`
    """A method that makes one call and gives its result."""

    def __init__(self, build: Callable[P, Unary[R]]) -> None:
        self.build = build

    @overload
    def __get__(self, group: None, owner: object = None) -> Self: ...
    @overload
    def __get__(self, group: Blocking, owner: object = None) -> Callable[P, R]: ...
    @overload
    def __get__(self, group: Asyncio, owner: object = None) -> Callable[P, Awaitable[R]]: ...
    def __get__(self, group: Group[Any] | None, owner: object = None) -> Any:
        return self if group is None else _bound(self.build, group.transport.unary)


class pages(Generic[P, R]):  # noqa: N801 - as above
    """A method that iterates over results, asking for the next page when it is needed."""

    def __init__(self, build: Callable[P, Pages[R]]) -> None:
        self.build = build

    @overload
    def __get__(self, group: None, owner: object = None) -> Self: ...
    @overload
    def __get__(self, group: Blocking, owner: object = None) -> Callable[P, Iterator[R]]: ...
    @overload
    def __get__(self, group: Asyncio, owner: object = None) -> Callable[P, AsyncIterator[R]]: ...
    def __get__(self, group: Group[Any] | None, owner: object = None) -> Any:
        return self if group is None else _bound(self.build, group.transport.pages)


class stream(Generic[P]):  # noqa: N801 - as above
    """A method that streams an answer."""

    def __init__(self, build: Callable[P, Stream]) -> None:
        self.build = build

    @overload
    def __get__(self, group: None, owner: object = None) -> Self: ...
    @overload
    def __get__(self, group: Blocking, owner: object = None) -> Callable[P, Generation]: ...
    @overload
    def __get__(self, group: Asyncio, owner: object = None) -> Callable[P, AsyncGeneration]: ...
    def __get__(self, group: Group[Any] | None, owner: object = None) -> Any:
        return self if group is None else _bound(self.build, group.transport.stream)


class upload(Generic[P]):  # noqa: N801 - as above
    """A method that sends a file and gives the result."""

    def __init__(self, build: Callable[P, Upload]) -> None:
        self.build = build

    @overload
    def __get__(self, group: None, owner: object = None) -> Self: ...
    @overload
    def __get__(self, group: Blocking, owner: object = None) -> Callable[P, IngestResult]: ...
    @overload
    def __get__(
        self, group: Asyncio, owner: object = None
    ) -> Callable[P, Awaitable[IngestResult]]: ...
    def __get__(self, group: Group[Any] | None, owner: object = None) -> Any:
        return self if group is None else _bound(self.build, group.transport.upload)


class client_stream(Generic[P, R]):  # noqa: N801 - as above
    """A method that sends many messages and gives the one result."""

    def __init__(self, build: Callable[P, ClientStream[R]]) -> None:
        self.build = build

    @overload
    def __get__(self, group: None, owner: object = None) -> Self: ...
    @overload
    def __get__(self, group: Blocking, owner: object = None) -> Callable[P, R]: ...
    @overload
    def __get__(self, group: Asyncio, owner: object = None) -> Callable[P, Awaitable[R]]: ...
    def __get__(self, group: Group[Any] | None, owner: object = None) -> Any:
        return self if group is None else _bound(self.build, group.transport.client_stream)


class exchange(Generic[P, R]):  # noqa: N801 - as above
    """A method that sends many messages and iterates over their answers."""

    def __init__(self, build: Callable[P, Exchange[R]]) -> None:
        self.build = build

    @overload
    def __get__(self, group: None, owner: object = None) -> Self: ...
    @overload
    def __get__(self, group: Blocking, owner: object = None) -> Callable[P, Iterator[R]]: ...
    @overload
    def __get__(self, group: Asyncio, owner: object = None) -> Callable[P, AsyncIterator[R]]: ...
    def __get__(self, group: Group[Any] | None, owner: object = None) -> Any:
        return self if group is None else _bound(self.build, group.transport.exchange)


class download(Generic[P]):  # noqa: N801 - as above
    """A method that fetches a snapshot and gives the path of its folder."""

    def __init__(self, build: Callable[P, Download]) -> None:
        self.build = build

    @overload
    def __get__(self, group: None, owner: object = None) -> Self: ...
    @overload
    def __get__(self, group: Blocking, owner: object = None) -> Callable[P, Path]: ...
    @overload
    def __get__(self, group: Asyncio, owner: object = None) -> Callable[P, Awaitable[Path]]: ...
    def __get__(self, group: Group[Any] | None, owner: object = None) -> Any:
        return self if group is None else _bound(self.build, group.transport.download)


def _bound(build: Callable[P, Any], run: Callable[[Any], R]) -> Callable[P, R]:
    @wraps(build)
    def method(*args: P.args, **kwargs: P.kwargs) -> R:
        return run(build(*args, **kwargs))

    return method
