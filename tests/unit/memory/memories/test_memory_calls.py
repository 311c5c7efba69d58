"""What the calls of memories refuse, naming the field, and what they pass on."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, cast

import pytest
from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp
from groundwire.v1 import memory_pb2
from groundwire.v1 import memory_service_pb2 as pb
from groundwire_index.errors import AlreadyExistsError, InvalidArgumentError
from groundwire_server.engines.models import Models
from groundwire_server.identity import Identity, current_identity
from groundwire_server.interceptors.method import Context
from groundwire_server.memory.session import Sessions
from groundwire_server.services.memory import MemoryService

from tests.unit.memory.memories.conftest import SUBJECT, TENANT, Clock, Opened

CONTEXT = cast(Context, None)
FACT = memory_pb2.MEMORY_KIND_FACT
KIB = 2**10


@pytest.fixture(autouse=True)
def caller() -> Iterator[Identity]:
    identity = Identity(TENANT, SUBJECT)
    token = current_identity.set(identity)
    yield identity
    current_identity.reset(token)


@pytest.fixture
def service(opened: Opened) -> MemoryService:
    return MemoryService(cast(Sessions, None), cast(Models, None), opened.memories)


async def call(service: MemoryService, request: Message) -> Any:
    name = type(request).__name__.removesuffix("Request")
    return await getattr(service, name)(request, CONTEXT)


def remember(text: str = "boats", **fields: Any) -> pb.RememberRequest:
    return pb.RememberRequest(**{"text": text, "kind": FACT, **fields})


def source(session_id: str = "talk", turn: int = 1) -> memory_pb2.MemorySource:
    return memory_pb2.MemorySource(session_id=session_id, turn=turn)


def ids(*values: str) -> pb.ForgetRequest:
    return pb.ForgetRequest(memory_ids=pb.MemoryIds(ids=values))


def matching(**fields: Any) -> pb.ForgetRequest:
    return pb.ForgetRequest(filter=pb.MemoryFilter(**fields))


FAR = Timestamp(seconds=8_000_000_000)
BAD: list[tuple[Message, str]] = [
    (remember(""), "text"),
    (remember(" \n"), "text"),
    (remember("x" * (16 * KIB + 1)), "text"),
    (remember("ü" * (8 * KIB + 1)), "text"),
    (remember(kind=0), "kind"),
    (remember(kind=99), "kind"),
    (remember(subject="a\x00b"), "subject"),
    (remember(subject="a\nb"), "subject"),
    (remember(subject="x" * 513), "subject"),
    (remember(importance=1.01), "importance"),
    (remember(importance=-0.1), "importance"),
    (remember(importance=float("nan")), "importance"),
    (remember(importance=float("inf")), "importance"),
    (remember(sources=[source()] * 101), "sources"),
    (remember(sources=[source(), source("{x}")]), "sources[1].session_id"),
    (remember(sources=[source(turn=0)]), "sources[0].turn"),
    (remember(sources=[source(turn=2**60)]), "sources[0].turn"),
    (remember(valid_from=FAR), "valid_from"),
    (remember(valid_from=Timestamp(seconds=-1)), "valid_from"),
    (remember(valid_from=Timestamp(seconds=1, nanos=-1)), "valid_from"),
    (remember(expire_time=FAR), "expire_time"),
    (remember(expire_time=Timestamp(seconds=1)), "expire_time"),
    (remember(idempotency_key="k" * 257), "idempotency_key"),
    (pb.RecallRequest(), "query"),
    (pb.RecallRequest(query="x" * (16 * KIB + 1)), "query"),
    (pb.RecallRequest(query="q", top_k=0), "top_k"),
    (pb.RecallRequest(query="q", top_k=101), "top_k"),
    (pb.RecallRequest(query="q", kinds=[FACT, 0]), "kinds[1]"),
    (pb.RecallRequest(query="q", kinds=[FACT] * 5), "kinds"),
    (pb.RecallRequest(query="q", subject="\x7f"), "subject"),
    (pb.RecallRequest(query="q", as_of=FAR), "as_of"),
    (pb.UpdateMemoryRequest(text="t"), "memory_id"),
    (pb.UpdateMemoryRequest(memory_id="\x01", text="t"), "memory_id"),
    (pb.UpdateMemoryRequest(memory_id="m"), "text"),
    (pb.UpdateMemoryRequest(memory_id="m", text=""), "text"),
    (pb.UpdateMemoryRequest(memory_id="m", importance=2), "importance"),
    (pb.UpdateMemoryRequest(memory_id="m", expire_time=FAR), "expire_time"),
    (pb.UpdateMemoryRequest(memory_id="m", text="t", idempotency_key="k" * 257), "idempotency_key"),
    (pb.ListMemoriesRequest(page_size=1001), "page_size"),
    (pb.ListMemoriesRequest(subject="a\tb"), "subject"),
    (pb.ListMemoriesRequest(kinds=[7]), "kinds[0]"),
    (pb.ListMemoriesRequest(cursor="made up"), "cursor"),
    (pb.ForgetRequest(), "target"),
    (pb.ForgetRequest(subject=""), "subject"),
    (pb.ForgetRequest(subject="a\rb"), "subject"),
    (pb.ForgetRequest(session_id="a b"), "session_id"),
    (pb.ForgetRequest(session_id="t", idempotency_key="k" * 257), "idempotency_key"),
    (ids(), "memory_ids.ids"),
    (ids(*["m"] * 10_001), "memory_ids.ids"),
    (ids("m", ""), "memory_ids.ids[1]"),
    (matching(), "filter"),
    (matching(subject="a\x00"), "filter.subject"),
    (matching(kinds=[9]), "filter.kinds[0]"),
    (matching(created_from=FAR), "filter.created_from"),
    (matching(created_before=FAR), "filter.created_before"),
]


@pytest.mark.parametrize(
    ("request_", "field"), BAD, ids=[f"{type(one).__name__}.{field}" for one, field in BAD]
)
async def test_bad_input_is_refused_by_its_field_and_nothing_is_written(
    service: MemoryService, opened: Opened, request_: Message, field: str
) -> None:
    await opened.remember("held")
    embedded = len(opened.embedder.calls)
    with pytest.raises(InvalidArgumentError) as raised:
        await call(service, request_)
    assert [one.field for one in raised.value.violations] == [field]
    assert len(opened.embedder.calls) == embedded
    assert [one.text for one in await opened.listed()] == ["held"]
    assert not (opened.folder / "memories").exists()


async def test_a_memory_goes_over_the_wire_and_back(service: MemoryService, clock: Clock) -> None:
    later = Timestamp()
    later.FromDatetime(clock.time)
    later.seconds += 3600
    request = remember(
        importance=0.0, sources=[source()], expire_time=later, subject="Grüße, {tenant:x}"
    )
    memory = (await call(service, request)).memory
    assert (memory.text, memory.kind, memory.importance) == ("boats", FACT, 0.0)
    assert (memory.sources, memory.expire_time) == ([source()], later)
    assert memory.create_time == memory.valid_from
    assert not memory.HasField("valid_until")
    recall = pb.RecallRequest(query="boats", subject=request.subject)
    (found,) = (await call(service, recall)).memories
    assert found.memory == memory
    assert found.importance == 0.0
    update = pb.UpdateMemoryRequest(memory_id=memory.id, text="ships")
    new = (await call(service, update)).memory
    assert (new.supersedes, new.text, new.subject) == (memory.id, "ships", request.subject)
    listing = pb.ListMemoriesRequest(subject=request.subject, include_superseded=True)
    page = (await call(service, listing)).memories
    assert page[0] == new
    assert (page[1].superseded_by, page[1].valid_until) == (new.id, new.valid_from)
    receipt = (await call(service, ids(new.id))).receipt
    assert dict(receipt.removed) == {"memory": 1, "index_row": 2}
    assert len(receipt.signature) == 32
    assert not (await call(service, listing)).memories


async def test_without_a_subject_it_is_the_callers(service: MemoryService) -> None:
    memory = (await call(service, remember())).memory
    assert (memory.subject, memory.importance) == (SUBJECT, 0.5)
    assert len((await call(service, pb.ListMemoriesRequest())).memories) == 1
    assert len((await call(service, pb.ListMemoriesRequest(subject=SUBJECT))).memories) == 1


async def test_a_key_is_of_the_tenant_and_of_one_request(service: MemoryService) -> None:
    first = await call(service, remember(idempotency_key="key"))
    assert await call(service, remember(idempotency_key="key")) == first
    for other in (
        remember("other", idempotency_key="key"),
        remember(subject="bob", idempotency_key="key"),
        pb.UpdateMemoryRequest(memory_id=first.memory.id, text="boats", idempotency_key="key"),
    ):
        with pytest.raises(AlreadyExistsError):
            await call(service, other)
    token = current_identity.set(Identity(TENANT, "bob"))
    with pytest.raises(AlreadyExistsError):
        await call(service, remember(idempotency_key="key"))
    current_identity.set(Identity("other", SUBJECT))
    assert (await call(service, remember(idempotency_key="key"))).memory.id != first.memory.id
    current_identity.reset(token)
