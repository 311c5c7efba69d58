"""What describes a snapshot."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from groundwire.call import Page
from groundwire.v1 import retrieve_service_pb2 as pb
from groundwire.values import to_time


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A collection as it was after one write."""

    id: str
    """Ids are in order of time."""
    collection: str
    """The name it had."""
    sequence: int
    records: int
    vectors: int
    size_bytes: int
    """Of all files; what they share with the collection takes room once."""
    create_time: datetime | None
    sha256: str
    """Of its manifest, which covers every file."""


def snapshot(message: pb.Snapshot) -> Snapshot:
    """Read a snapshot."""
    return Snapshot(
        id=message.id,
        collection=message.collection,
        sequence=message.sequence,
        records=message.records,
        vectors=message.vectors,
        size_bytes=message.size_bytes,
        create_time=to_time(message.create_time),
        sha256=message.sha256,
    )


def snapshots(message: pb.ListSnapshotsResponse) -> Page[Snapshot]:
    """Read a page of snapshots."""
    return Page([snapshot(one) for one in message.snapshots], message.next_cursor)
