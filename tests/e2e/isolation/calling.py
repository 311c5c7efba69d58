"""Any RPC of the contract, by its name, as any tenant; and what came of it, to the byte."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import grpc
from google.protobuf.descriptor import FieldDescriptor, MethodDescriptor
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass
from groundwire.v1 import (
    admin_service_pb2,
    embed_service_pb2,
    generate_service_pb2,
    memory_service_pb2,
    retrieve_service_pb2,
)

from tests.e2e.serving import TIMEOUT_S

METHODS: dict[str, MethodDescriptor] = {
    f"{service.name}/{method.name}": method
    for module in (
        admin_service_pb2,
        embed_service_pb2,
        generate_service_pb2,
        memory_service_pb2,
        retrieve_service_pb2,
    )
    for service in module.DESCRIPTOR.services_by_name.values()
    for method in service.methods
}
# Times, and what the server makes up or measures: no two calls have the same.
_TIMES = ("google.protobuf.Timestamp", "google.protobuf.Duration")
_MADE_UP = frozenset(
    {
        "groundwire.v1.Memory.id",
        "groundwire.v1.Memory.supersedes",
        "groundwire.v1.Memory.superseded_by",
        "groundwire.v1.ContextItem.memory_ids",
        "groundwire.v1.Finished.memory_ids",
        "groundwire.v1.ForgetReceipt.audit_id",
        "groundwire.v1.ForgetReceipt.signature",
        "groundwire.v1.Snapshot.id",
        "groundwire.v1.Snapshot.sha256",
        "groundwire.v1.Snapshot.size_bytes",
        "groundwire.v1.ListSessionsResponse.next_cursor",
        "groundwire.v1.ListMemoriesResponse.next_cursor",
        "groundwire.v1.ListSnapshotsResponse.next_cursor",
        "groundwire.v1.ScrollResponse.next_cursor",
        "groundwire.v1.CollectionCounts.disk_bytes",
        "groundwire.v1.GetLoadResponse.resident_bytes",
        # By when a memory was made.
        "groundwire.v1.RecalledMemory.recency",
        "groundwire.v1.RecalledMemory.score",
    }
)


@dataclass(frozen=True)
class Outcome:
    """All that a caller learns."""

    code: grpc.StatusCode
    message: str
    trailers: bytes
    responses: tuple[Message, ...]

    @property
    def comparable(self) -> bytes:
        """The same for two calls that differ in when they were made alone."""
        said = [
            response.SerializeToString(deterministic=True)
            for response in _joined(map(_still, self.responses))
        ]
        return b"\0".join([self.code.name.encode(), self.message.encode(), self.trailers, *said])


@dataclass(frozen=True)
class Caller:
    """A client that says that it is somebody."""

    channel: grpc.aio.Channel
    tenant: str
    subject: str = "default"

    def blanked(self, data: bytes) -> bytes:
        """Without the name of the tenant."""
        return data.replace(self.tenant.encode(), b"<tenant>")

    async def call(self, name: str, *requests: Message) -> Outcome:
        """Call a method with a message, or with all of these if it takes a stream."""
        method = METHODS[name]
        call = self._stub(method)(
            _each(requests) if method.client_streaming else requests[0],
            metadata=(("groundwire-tenant", self.tenant), ("groundwire-subject", self.subject)),
            timeout=TIMEOUT_S,
        )
        responses: list[Message] = []
        try:
            if method.server_streaming:
                responses += [response async for response in call]
            else:
                responses.append(await call)
        except grpc.aio.AioRpcError as error:
            trailers = b"".join(
                key.encode() + (value if isinstance(value, bytes) else value.encode())
                for key, value in error.trailing_metadata() or ()
            )
            return Outcome(error.code(), error.details() or "", trailers, tuple(responses))
        return Outcome(grpc.StatusCode.OK, "", b"", tuple(responses))

    def _stub(self, method: MethodDescriptor) -> grpc.aio.MultiCallable:
        kind = f"{_side(method.client_streaming)}_{_side(method.server_streaming)}"
        return getattr(self.channel, kind)(
            f"/{method.containing_service.full_name}/{method.name}",
            lambda request: request.SerializeToString(),
            GetMessageClass(method.output_type).FromString,
        )


def _side(streaming: bool) -> str:
    return "stream" if streaming else "unary"


async def _each(requests: Sequence[Message]):
    for request in requests:
        yield request


def _still(message: Message) -> Message:
    """A copy without what is different each time."""
    copy = type(message)()
    copy.CopyFrom(message)
    _clear(copy)
    if isinstance(copy, memory_service_pb2.ListSessionsResponse):
        # By when they were used last.
        copy.sessions.sort(key=lambda session: session.id)
    return copy


def _joined(responses: Iterable[Message]) -> Iterator[Message]:
    """Pieces of text that follow one another as one: a slow reader is given fewer."""
    last: Message | None = None
    for response in responses:
        if _is_text(last) and _is_text(response):
            last.text_delta.text += response.text_delta.text
            last.text_delta.token_count += response.text_delta.token_count
            continue
        if last is not None:
            yield last
        last = response
    if last is not None:
        yield last


def _is_text(message: Message | None) -> bool:
    is_event = isinstance(message, generate_service_pb2.GenerateResponse)
    return is_event and message.WhichOneof("event") == "text_delta"


def _clear(message: Message) -> None:
    for field, value in list(message.ListFields()):
        if field.full_name in _MADE_UP or _is_time(field):
            message.ClearField(field.name)
        elif field.message_type and field.message_type.GetOptions().map_entry:
            continue
        elif field.message_type:
            for one in value if field.is_repeated else [value]:
                _clear(one)


def _is_time(field: FieldDescriptor) -> bool:
    return field.message_type is not None and field.message_type.full_name in _TIMES
