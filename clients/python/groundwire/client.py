"""The two clients: the same calls, blocking or on an event loop."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Self, TypeVar

import grpc
import grpc.aio

from groundwire.aio import AsyncTransport
from groundwire.blocking import BlockingTransport
from groundwire.call import Group, client_stream, download, exchange, pages, stream, unary, upload
from groundwire.channel import Connection, Option
from groundwire.requests import (
    admin,
    collections,
    documents,
    memories,
    memory,
    records,
    snapshots,
)
from groundwire.requests.embed import embed
from groundwire.requests.embed_stream import embed_stream
from groundwire.requests.generate import complete, count_tokens, generate
from groundwire.requests.search import search, search_batch
from groundwire.requests.upsert_stream import upsert_stream

T = TypeVar("T")


class Retrieve(Group[T]):
    """Collections of records and documents."""

    create_collection = unary(collections.create_collection)
    get_collection = unary(collections.get_collection)
    list_collections = pages(collections.list_collections)
    update_collection = unary(collections.update_collection)
    set_alias = unary(collections.set_alias)
    delete_alias = unary(collections.delete_alias)
    delete_collection = unary(collections.delete_collection)
    upsert = unary(records.upsert)
    upsert_stream = client_stream(upsert_stream)
    delete = unary(records.delete)
    get = unary(records.get)
    scroll = pages(records.scroll)
    count = unary(records.count)
    search = unary(search)
    search_batch = unary(search_batch)
    ingest = upload(documents.ingest)
    list_documents = pages(documents.list_documents)
    delete_document = unary(documents.delete_document)
    create_snapshot = unary(snapshots.create_snapshot)
    list_snapshots = pages(snapshots.list_snapshots)
    restore_snapshot = unary(snapshots.restore_snapshot)
    delete_snapshot = unary(snapshots.delete_snapshot)
    download_snapshot = download(snapshots.download_snapshot)
    upload_snapshot = client_stream(snapshots.upload_snapshot)


class Memory(Group[T]):
    """Sessions and long-term memories."""

    create_session = unary(memory.create_session)
    get_session = unary(memory.get_session)
    list_sessions = pages(memory.list_sessions)
    removed_sessions = unary(memory.removed_sessions)
    delete_session = unary(memory.delete_session)
    fork_session = unary(memory.fork_session)
    list_forks = unary(memory.list_forks)
    get_thread = unary(memory.get_thread)
    get_session_stats = unary(memory.get_session_stats)
    append = unary(memory.append)
    messages = pages(memory.messages)
    build_context = unary(memory.build_context)
    remember = unary(memories.remember)
    recall = unary(memories.recall)
    update_memory = unary(memories.update_memory)
    list_memories = pages(memories.list_memories)
    forget = unary(memories.forget)


class Admin(Group[T]):
    """The server itself."""

    server_info = unary(admin.server_info)
    models = unary(admin.models)
    load = unary(admin.load)
    abort = unary(admin.abort)
    usage = pages(admin.usage)
    cache_stats = unary(admin.cache_stats)
    clear_cache = unary(admin.clear_cache)


class Services(Group[T]):
    """Every call there is: generating and embedding here, the others by service."""

    generate = stream(generate)
    complete = unary(complete)
    count_tokens = unary(count_tokens)
    embed = unary(embed)
    embed_stream = exchange(embed_stream)

    def __init__(
        self,
        target: str = "localhost:50051",
        *,
        tenant: str = "",
        subject: str = "",
        timeout: float = 30.0,
        generation_timeout: float = 600.0,
        credentials: grpc.ChannelCredentials | None = None,
        keepalive: float = 60.0,
        max_message_bytes: int = 64 * 2**20,
        metadata: Mapping[str, str] | None = None,
        options: Sequence[Option] = (),
    ) -> None:
        """Connect to a server; nothing is sent before the first call.

        ``target`` is HOST:PORT, or any gRPC name. Without ``credentials`` the connection is
        plain text; ``grpc.ssl_channel_credentials()`` makes it TLS. ``tenant`` and ``subject``
        say who is calling where the server takes a caller's word for it.

        A call may take ``timeout`` seconds, one that generates ``generation_timeout``; an
        ingest may take any time, unless nothing moves for ``generation_timeout``. Each call can
        be given its own, and ``math.inf`` is no limit.
        ``keepalive`` is the seconds of silence after which a call in progress checks that
        the server is there (``math.inf``: never). ``metadata`` goes with every call, and
        ``options`` are channel options for gRPC.
        """
        transport = self._open(
            Connection(
                target,
                tenant,
                subject,
                timeout,
                generation_timeout,
                credentials,
                keepalive,
                max_message_bytes,
                metadata or {},
                options,
            )
        )
        super().__init__(transport)
        self.retrieve = Retrieve(transport)
        self.memory = Memory(transport)
        self.admin = Admin(transport)

    @abstractmethod
    def _open(self, connection: Connection) -> T: ...


class Client(Services[BlockingTransport]):
    """A client whose calls block. Safe for any number of threads; close it, or use ``with``."""

    def _open(self, connection: Connection) -> BlockingTransport:
        return BlockingTransport(connection)

    @property
    def channel(self) -> grpc.Channel:
        """The gRPC channel, for stubs of `groundwire.v1`."""
        return self.transport.channel

    def close(self) -> None:
        """Close the connection; calls in progress are cancelled."""
        self.transport.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


class AsyncClient(Services[AsyncTransport]):
    """A client whose calls are awaited, on the event loop that runs when it is made."""

    def _open(self, connection: Connection) -> AsyncTransport:
        return AsyncTransport(connection)

    @property
    def channel(self) -> grpc.aio.Channel:
        """The gRPC channel, for stubs of `groundwire.v1`."""
        return self.transport.channel

    async def close(self) -> None:
        """Close the connection; calls in progress are cancelled."""
        await self.transport.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.close()
