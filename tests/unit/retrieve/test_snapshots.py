"""Snapshots over a real socket: taken, listed, restored, sent out and in, deleted."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import TYPE_CHECKING

import grpc
import grpc.aio
import pytest
from groundwire.v1 import retrieve_service_pb2 as pb

from tests.unit.retrieve.serving import Served, record, refusal

if TYPE_CHECKING:
    from collections.abc import Iterable


async def take(served: Served, **fields: str) -> pb.Snapshot:
    fields.setdefault("collection", "c")
    return (await served.stub.CreateSnapshot(pb.CreateSnapshotRequest(**fields))).snapshot


async def chunks_of(served: Served, snapshot_id: str) -> list[pb.SnapshotChunk]:
    request = pb.DownloadSnapshotRequest(snapshot_id=snapshot_id)
    return [answer.chunk async for answer in served.stub.DownloadSnapshot(request)]


async def sending(chunks: Iterable[pb.SnapshotChunk]) -> AsyncIterator[pb.UploadSnapshotRequest]:
    for chunk in chunks:
        yield pb.UploadSnapshotRequest(chunk=chunk)


async def filled(served: Served) -> pb.Snapshot:
    await served.create_plain()
    await served.upsert(record("a", "one", [1, 0]), record("b", "two", [0, 1]))
    return await take(served)


async def test_a_snapshot_is_restored_under_its_name_or_another(served: Served) -> None:
    taken = await filled(served)
    assert (taken.collection, taken.sequence, taken.records, taken.vectors) == ("c", 1, 2, 2)
    assert len(taken.sha256) == 64
    await served.upsert(record("a", "changed", [1, 1]))
    other = pb.RestoreSnapshotRequest(snapshot_id=taken.id, collection="d")
    assert (await served.stub.RestoreSnapshot(other)).collection.name == "d"
    assert [one.text for one in await served.get("a", "b", collection="d", text=True)] == [
        "one",
        "two",
    ]
    again = await refusal(
        served.stub.RestoreSnapshot(pb.RestoreSnapshotRequest(snapshot_id=taken.id))
    )
    assert again.code is grpc.StatusCode.ALREADY_EXISTS
    replacing = pb.RestoreSnapshotRequest(snapshot_id=taken.id, replace=True)
    assert (await served.stub.RestoreSnapshot(replacing)).collection.sequence == 1
    assert [one.text for one in await served.get("a", text=True)] == ["one"]


async def test_they_are_listed_page_by_page_and_deleted(served: Served) -> None:
    taken = [(await filled(served)).id, (await take(served)).id, (await take(served)).id]
    listed, cursor = [], ""
    for _ in range(2):
        page = await served.stub.ListSnapshots(
            pb.ListSnapshotsRequest(collection="c", page_size=2, cursor=cursor)
        )
        listed += [one.id for one in page.snapshots]
        cursor = page.next_cursor
    assert (listed, cursor) == (taken[::-1], "")
    await served.stub.DeleteSnapshot(pb.DeleteSnapshotRequest(snapshot_id=taken[0]))
    gone = await refusal(served.stub.DeleteSnapshot(pb.DeleteSnapshotRequest(snapshot_id=taken[0])))
    assert gone.code is grpc.StatusCode.NOT_FOUND
    assert len((await served.stub.ListSnapshots(pb.ListSnapshotsRequest())).snapshots) == 2


async def test_one_key_takes_one_snapshot(served: Served) -> None:
    await filled(served)
    first = await take(served, idempotency_key="k")
    assert await take(served, idempotency_key="k") == first


async def test_it_is_sent_out_and_in_again(served: Served) -> None:
    taken = await filled(served)
    chunks = await chunks_of(served, taken.id)
    await served.stub.DeleteSnapshot(pb.DeleteSnapshotRequest(snapshot_id=taken.id))
    answer = await served.stub.UploadSnapshot(sending(chunks))
    assert answer.snapshot == taken
    restoring = pb.RestoreSnapshotRequest(snapshot_id=taken.id, collection="d")
    assert (await served.stub.RestoreSnapshot(restoring)).collection.counts.records == 2


@pytest.mark.parametrize(
    ("damage", "code"),
    [
        ("data", grpc.StatusCode.DATA_LOSS),
        ("end", grpc.StatusCode.INVALID_ARGUMENT),
        ("manifest", grpc.StatusCode.INVALID_ARGUMENT),
        ("everything", grpc.StatusCode.INVALID_ARGUMENT),
    ],
)
async def test_what_arrives_damaged_is_refused_and_not_kept(
    served: Served, damage: str, code: grpc.StatusCode
) -> None:
    taken = await filled(served)
    chunks = await chunks_of(served, taken.id)
    await served.stub.DeleteSnapshot(pb.DeleteSnapshotRequest(snapshot_id=taken.id))
    match damage:
        case "data":
            chunks[1].data = b"x" + chunks[1].data[1:]
        case "end":
            chunks.pop()
        case "manifest":
            chunks.pop(0)
        case "everything":
            chunks.clear()
    refused = await refusal(served.stub.UploadSnapshot(sending(chunks)))
    assert refused.code is code
    assert not (await served.stub.ListSnapshots(pb.ListSnapshotsRequest())).snapshots


async def test_bad_requests_are_told_apart(served: Served) -> None:
    taken = await filled(served)
    stub = served.stub
    for call, code, fields in (
        (stub.CreateSnapshot(pb.CreateSnapshotRequest()), "INVALID_ARGUMENT", ("collection",)),
        (stub.CreateSnapshot(pb.CreateSnapshotRequest(collection="no")), "NOT_FOUND", ()),
        (stub.RestoreSnapshot(pb.RestoreSnapshotRequest()), "INVALID_ARGUMENT", ("snapshot_id",)),
        (
            stub.RestoreSnapshot(
                pb.RestoreSnapshotRequest(snapshot_id=taken.id, collection="../x")
            ),
            "INVALID_ARGUMENT",
            ("collection",),
        ),
        (
            stub.ListSnapshots(pb.ListSnapshotsRequest(cursor="?")),
            "INVALID_ARGUMENT",
            ("cursor",),
        ),
    ):
        refused = await refusal(call)
        assert (refused.code.name, refused.fields) == (code, fields)
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await chunks_of(served, "none")
    assert caught.value.code() is grpc.StatusCode.NOT_FOUND
