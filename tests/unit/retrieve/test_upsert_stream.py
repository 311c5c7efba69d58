from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import grpc
import pytest
from google.rpc import error_details_pb2, status_pb2
from groundwire.v1 import retrieve_service_pb2 as pb

from tests.patience import PATIENCE_S
from tests.unit.retrieve.letters import LettersEmbedder
from tests.unit.retrieve.serving import Served, record, refusal, serving

# Longer than any test takes.


async def sent(*requests: pb.UpsertStreamRequest) -> AsyncIterator[pb.UpsertStreamRequest]:
    for request in requests:
        yield request


def message(*records: object, **fields: str) -> pb.UpsertStreamRequest:
    return pb.UpsertStreamRequest(records=records, **fields)  # type: ignore[arg-type]


async def told(call: object) -> dict[str, str]:
    """What the error of a call says in its metadata."""
    with pytest.raises(grpc.aio.AioRpcError) as failed:
        await call  # type: ignore[misc]
    trailers = dict(failed.value.trailing_metadata() or ())
    info = error_details_pb2.ErrorInfo()
    for detail in status_pb2.Status.FromString(trailers["grpc-status-details-bin"]).details:  # type: ignore[arg-type]
        detail.Unpack(info)
    return dict(info.metadata)


async def test_all_messages_are_stored_and_counted(served: Served) -> None:
    await served.create_plain()
    answer = await served.stub.UpsertStream(
        sent(
            message(record("a", vector=[1, 0]), record("b", vector=[0, 1]), collection="c"),
            message(record("a", vector=[0, 1]), record("a", vector=[1, 1])),
        )
    )
    assert (answer.sequence, answer.count) == (2, 3)
    assert await served.count() == 2
    (last,) = await served.get("a", vector=True)
    assert last == record("a", vector=[1, 1])


async def test_records_without_a_vector_are_embedded(
    served: Served, embedder: LettersEmbedder
) -> None:
    await served.create()
    await served.stub.UpsertStream(
        sent(message(record("a", "aaa"), collection="c"), message(record("b", "bbb")))
    )
    assert embedder.calls == [["aaa"], ["bbb"]]
    hits = (await served.stub.Search(pb.SearchRequest(collection="c", text="b"))).hits
    assert hits[0].id == "b"


async def test_messages_before_a_bad_one_are_stored_and_the_error_says_so(served: Served) -> None:
    await served.create_plain()

    def requests() -> AsyncIterator[pb.UpsertStreamRequest]:
        return sent(
            message(record("a", vector=[1, 0]), record("b", vector=[1, 0]), collection="c"),
            message(record("c", vector=[1, 0])),
            message(record("d", vector=[1, 0]), record("bad", vector=[1, 0, 0])),
            message(record("e", vector=[1, 0])),
        )

    refused = await refusal(served.stub.UpsertStream(requests()))
    assert refused.code == grpc.StatusCode.INVALID_ARGUMENT
    assert refused.fields == ("messages[2].records[1].vector",)
    assert await told(served.stub.UpsertStream(requests())) == {
        "messages_stored": "2",
        "records_stored": "3",
        "sequence": "4",
    }
    found = await served.get("a", "b", "c", "d", "e")
    assert [one is not None for one in found] == [True, True, True, False, False]


@pytest.mark.parametrize(
    ("requests", "field"),
    [
        ([], "collection"),
        ([message(record("a", vector=[1, 0]))], "messages[0].collection"),
        ([message(collection="c"), message(collection="other")], "messages[1].collection"),
        ([message(collection="c", idempotency_key="k" * 257)], "messages[0].idempotency_key"),
        (
            [message(*[record("a", vector=[1, 0])] * 10_001, collection="c")],
            "messages[0].records",
        ),
        ([message(record("", vector=[1, 0]), collection="c")], "messages[0].records[0].id"),
    ],
)
async def test_what_is_wrong_is_named_with_its_message(
    served: Served, requests: list[pb.UpsertStreamRequest], field: str
) -> None:
    await served.create_plain()
    refused = await refusal(served.stub.UpsertStream(sent(*requests)))
    assert (refused.code, refused.fields) == (grpc.StatusCode.INVALID_ARGUMENT, (field,))


async def test_vectors_of_another_model_are_refused(served: Served) -> None:
    await served.create()
    request = message(record("a", vector=[1.0] * 36), collection="c", embedding_model="other")
    refused = await refusal(served.stub.UpsertStream(sent(request)))
    assert refused.code == grpc.StatusCode.FAILED_PRECONDITION


async def test_a_message_without_records_writes_nothing(served: Served) -> None:
    await served.create_plain()
    answer = await served.stub.UpsertStream(sent(message(collection="c")))
    assert (answer.sequence, answer.count) == (0, 0)


async def test_a_stream_that_is_sent_again_goes_on_where_it_ended(served: Served) -> None:
    await served.create_plain()
    first = message(record("a", vector=[1, 0]), collection="c", idempotency_key="k/0")
    bad = message(record("b", vector=[1]), idempotency_key="k/1")
    mended = message(record("b", vector=[0, 1]), idempotency_key="k/1")
    await refusal(served.stub.UpsertStream(sent(first, bad)))
    answer = await served.stub.UpsertStream(sent(first, mended))
    assert (answer.sequence, answer.count) == (2, 2)


async def test_a_client_that_goes_away_leaves_whole_messages(served: Served) -> None:
    await served.create_plain()
    stored = asyncio.Event()

    async def requests() -> AsyncIterator[pb.UpsertStreamRequest]:
        yield message(*(record(str(n), vector=[1, n]) for n in range(100)), collection="c")
        yield message(*(record(f"b{n}", vector=[1, n]) for n in range(100)))
        while await served.count() < 100:
            pass
        stored.set()
        await asyncio.Event().wait()

    call = served.stub.UpsertStream(requests())
    waiting = asyncio.ensure_future(call)
    await asyncio.wait_for(stored.wait(), PATIENCE_S)
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert await served.count() in (100, 200)
    await served.upsert(record("after", vector=[1, 0]))


class Watching(LettersEmbedder):
    """Notes at each call how many messages the client has let go of."""

    def __init__(self) -> None:
        super().__init__()
        self.taken = 0
        self.ahead: list[int] = []

    async def embed(self, texts, kind, **options):  # type: ignore[no-untyped-def]
        self.ahead.append(self.taken - len(self.ahead))
        return await super().embed(texts, kind, **options)


async def test_a_server_that_is_slower_than_its_client_is_not_flooded(tmp_path: Path) -> None:
    embedder = Watching()

    async def requests() -> AsyncIterator[pb.UpsertStreamRequest]:
        for number in range(60):
            embedder.taken += 1
            large = record(f"large{number}", "z" * 2**20, vector=[1.0] * 36)
            yield message(record(str(number), "x"), large, collection="c")

    # Else gRPC widens the windows where answers take long, as on a busy machine.
    async with serving(tmp_path, embedder, options=[("grpc.http2.bdp_probe", 0)]) as served:
        await served.create()
        answer = await served.stub.UpsertStream(requests())
    assert answer.count == 120
    # What HTTP/2's windows hold comes on top of the one that is read and the one written.
    assert max(embedder.ahead) <= 4
