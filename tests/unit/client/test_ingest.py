"""Files go up in pieces; progress and a result come back."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Iterator
from contextlib import suppress
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any

import grpc
import pytest
from groundwire import IngestProgress, errors
from groundwire.documents import PIECE_BYTES
from groundwire.v1 import record_pb2, retrieve_service_pb2_grpc
from groundwire.v1 import retrieve_service_pb2 as pb

from tests.patience import PATIENCE_S, longer_each_time
from tests.standstills import undisturbed
from tests.unit.client.scripted import Flag, serving

BEAT_S = 0.25
BEATS = 8


class Slow(retrieve_service_pb2_grpc.RetrieveServiceServicer):
    """Reports progress at every beat, and comes to an end after the last; then to a standstill."""

    def __init__(self, *, ends: bool = True) -> None:
        self.begun, self.left = Flag(), Flag()
        self._beats = BEATS if ends else 1
        self._ends = ends

    def IngestDocument(self, requests, context) -> Iterator[pb.IngestDocumentResponse]:  # noqa: N802
        context.add_callback(self.left.set)
        self.begun.set()
        for _ in requests:
            pass
        for done in range(self._beats):
            self.left.wait(BEAT_S)
            progress = pb.IngestProgress(stage=pb.INGEST_STAGE_EMBEDDED, done=done, total=9)
            yield pb.IngestDocumentResponse(progress=progress)
        if self._ends:
            yield pb.IngestDocumentResponse(result=pb.IngestResult(chunks=9))
        self.left.wait(PATIENCE_S)


class Store(retrieve_service_pb2_grpc.RetrieveServiceServicer):
    """Takes a document in."""

    def __init__(self) -> None:
        self.header = pb.IngestHeader()
        self.pieces: list[bytes] = []

    def IngestDocument(self, requests, context) -> Iterator[pb.IngestDocumentResponse]:  # noqa: N802
        self.header = next(requests).header
        if self.header.collection == "missing":
            context.abort(grpc.StatusCode.NOT_FOUND, "no such collection")
        self.pieces = [request.data for request in requests]
        size = sum(map(len, self.pieces))
        for stage, done in ((pb.INGEST_STAGE_RECEIVED, size), (pb.INGEST_STAGE_EMBEDDED, 2)):
            progress = pb.IngestProgress(stage=stage, done=done, total=done)
            yield pb.IngestDocumentResponse(progress=progress)
        if self.header.collection == "silent":
            return
        document = record_pb2.Document(id="d", filename=self.header.filename, version=2)
        result = pb.IngestResult(document_id="d", version=2, chunks=2, replaced=True)
        result.document.CopyFrom(document)
        yield pb.IngestDocumentResponse(result=result)


CONTENT = b"# Guide\n" * PIECE_BYTES


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "guide.md"
    path.write_bytes(CONTENT)
    return path


async def test_a_file_is_sent_in_pieces_with_its_name(ask, file: Path) -> None:
    with serving(server := Store()) as address:
        result = await ask(
            address,
            lambda client: client.retrieve.ingest(
                "handbook", file, metadata={"year": 2031, "tags": ["a"]}, max_tokens=64
            ),
        )
    assert b"".join(server.pieces) == CONTENT
    assert len(server.pieces) == 8
    assert (server.header.collection, server.header.filename) == ("handbook", "guide.md")
    assert server.header.metadata["year"] == 2031
    assert server.header.chunking.max_tokens == 64
    assert not server.header.chunking.HasField("overlap_tokens")
    assert (result.document.version, result.chunks, result.replaced) == (2, 2, True)


async def test_progress_is_told_step_by_step(ask, file: Path) -> None:
    steps: list[IngestProgress] = []
    with serving(Store()) as address:
        await ask(
            address,
            lambda client: client.retrieve.ingest("handbook", str(file), on_progress=steps.append),
        )
    assert [step.stage for step in steps] == ["received", "embedded"]
    assert steps[0].total == len(CONTENT)


async def test_bytes_are_sent_under_a_given_name(ask) -> None:
    with serving(server := Store()) as address:
        await ask(
            address,
            lambda client: client.retrieve.ingest("handbook", b"text", filename="note.txt"),
        )
    assert (server.header.filename, server.pieces) == ("note.txt", [b"text"])


async def test_an_empty_file_is_a_header_alone(ask) -> None:
    with serving(server := Store()) as address:
        await ask(
            address, lambda client: client.retrieve.ingest("handbook", b"", filename="note.txt")
        )
    assert server.pieces == []


async def test_a_refusal_arrives_while_the_file_is_still_being_sent(ask, file: Path) -> None:
    refused = pytest.raises(errors.NotFoundError, match="no such collection")
    with serving(Store()) as address, refused:
        await ask(address, lambda client: client.retrieve.ingest("missing", file))


async def test_a_missing_file_is_an_os_error(ask, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        await ask(
            "127.0.0.1:1", lambda client: client.retrieve.ingest("handbook", tmp_path / "none.md")
        )


async def test_an_ingest_that_ends_without_a_result_is_an_error(ask) -> None:
    broken = pytest.raises(errors.UnknownError, match="without a result")
    with serving(Store()) as address, broken:
        await ask(address, lambda client: client.retrieve.ingest("silent", b"x", filename="a.txt"))


async def test_an_ingest_may_take_longer_than_its_timeout_while_progress_comes(ask) -> None:
    async def ingest() -> None:
        with serving(Slow()) as address:
            result = await ask(
                address,
                lambda client: client.retrieve.ingest(
                    "handbook", b"x", filename="a.txt", timeout=BEAT_S * BEATS * 0.8
                ),
            )
        assert result.chunks == 9

    await undisturbed(ingest, at_most_s=2 * BEAT_S)


@pytest.mark.parametrize("whose", ["of the client", "of the call"])
async def test_an_ingest_in_which_nothing_moves_is_given_up_and_the_server_told(
    ask, whose: str
) -> None:
    with serving(slow := Slow(ends=False)) as address:
        for timeout_s in longer_each_time(0.5):
            of_client = {"generation_timeout": timeout_s} if whose == "of the client" else {}
            of_call = {} if of_client else {"timeout": timeout_s}
            with pytest.raises(errors.DeadlineExceededError, match="no progress reported"):
                await ask(
                    address,
                    partial(_ingest, of_call),
                    **of_client,
                )
            if slow.begun.is_set():  # Else it was over before it came there.
                break
        await slow.left.awaited()


def _ingest(options: dict[str, float], client: Any) -> Any:
    return client.retrieve.ingest("c", b"x", filename="a.txt", **options)


async def test_a_file_that_is_read_slowly_may_take_longer_than_the_timeout(
    ask, tmp_path: Path
) -> None:
    numbers = count()

    async def ingest() -> None:
        os.mkfifo(pipe := tmp_path / f"slow{next(numbers)}.md")
        writing = asyncio.create_task(asyncio.to_thread(_write_slowly, pipe))
        with serving(server := Store()) as address:
            await ask(
                address,
                lambda client: client.retrieve.ingest("c", pipe, timeout=BEAT_S * BEATS * 0.8),
            )
        await writing
        assert len(server.pieces) == BEATS

    await undisturbed(ingest, at_most_s=2 * BEAT_S)


def _write_slowly(pipe: Path) -> None:
    with suppress(BrokenPipeError), pipe.open("wb") as file:
        for _ in range(BEATS):
            threading.Event().wait(BEAT_S)
            file.write(bytes(PIECE_BYTES))
