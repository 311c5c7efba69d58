"""Taking, listing, restoring, moving and deleting snapshots of collections."""

from __future__ import annotations

import os
from pathlib import Path

from groundwire.call import ClientStream, Download, Pages, Unary, call
from groundwire.made import made
from groundwire.messages import Messages
from groundwire.requests.keys import idempotency_key as key
from groundwire.results import collections
from groundwire.results import snapshots as results
from groundwire.snapshot_folder import chunks_of
from groundwire.v1 import retrieve_service_pb2 as pb


def create_snapshot(
    collection: str, *, idempotency_key: str = "", timeout: float | None = None
) -> Unary[results.Snapshot]:
    """Take a snapshot of a collection while it is in use.

    When this returns, it is on the server's disk, and all of it has been checked.
    """
    return call(
        "RetrieveService/CreateSnapshot",
        pb.CreateSnapshotRequest(collection=collection, idempotency_key=key(idempotency_key)),
        pb.CreateSnapshotResponse,
        lambda answer: results.snapshot(answer.snapshot),
        timeout,
        generates=True,
    )


def list_snapshots(
    *, collection: str = "", page_size: int = 100, timeout: float | None = None
) -> Pages[results.Snapshot]:
    """Iterate over snapshots, newest first: of one collection, or of all."""
    return Pages(
        lambda cursor: call(
            "RetrieveService/ListSnapshots",
            made(
                pb.ListSnapshotsRequest, collection=collection, page_size=page_size, cursor=cursor
            ),
            pb.ListSnapshotsResponse,
            results.snapshots,
            timeout,
        )
    )


def restore_snapshot(
    snapshot_id: str,
    *,
    collection: str = "",
    replace: bool = False,
    timeout: float | None = None,
) -> Unary[collections.Collection]:
    """Restore a snapshot under a name, its own if empty; the collection is there at once.

    A name that is taken is an AlreadyExistsError unless ``replace`` is set. Not repeated after a
    failure: a second try could undo what was written after the first.
    """
    return call(
        "RetrieveService/RestoreSnapshot",
        pb.RestoreSnapshotRequest(snapshot_id=snapshot_id, collection=collection, replace=replace),
        pb.RestoreSnapshotResponse,
        lambda answer: collections.collection(answer.collection),
        timeout,
        generates=True,
    )


def delete_snapshot(snapshot_id: str, *, timeout: float | None = None) -> Unary[None]:
    """Delete a snapshot. Not repeated after a failure."""
    return call(
        "RetrieveService/DeleteSnapshot",
        pb.DeleteSnapshotRequest(snapshot_id=snapshot_id),
        pb.DeleteSnapshotResponse,
        lambda _: None,
        timeout,
    )


def download_snapshot(
    snapshot_id: str, folder: str | os.PathLike[str], *, timeout: float | None = None
) -> Download:
    """Fetch a snapshot into a new folder, which is there once all of it has arrived and is sound.

    Its path. ``timeout`` is the seconds during which nothing moves.
    """
    request = pb.DownloadSnapshotRequest(snapshot_id=snapshot_id)
    return Download(request, Path(folder), timeout)


def upload_snapshot(
    folder: str | os.PathLike[str], *, timeout: float | None = None
) -> ClientStream[results.Snapshot]:
    """Send a snapshot from a folder; it keeps its id, and the server checks all of it.

    ``timeout`` is the seconds during which nothing moves.
    """
    return ClientStream(
        "/groundwire.v1.RetrieveService/UploadSnapshot",
        Messages(chunks_of(Path(folder)), _Each()),
        pb.UploadSnapshotResponse.FromString,
        lambda answer: results.snapshot(answer.snapshot),
        timeout,
    )


class _Each:
    """Every chunk is a message."""

    def add(self, message: pb.UploadSnapshotRequest) -> pb.UploadSnapshotRequest:
        """It goes at once."""
        return message

    def last(self) -> None:
        """Nothing is left."""
