"""Ingest of text through gRPC, against the embedder alone on the same chunks.

The two take turns, so that what else the machine does falls on both. The peer is the embedder
in this process, given all chunks at once: the best it can do.
"""

from __future__ import annotations

import random
import statistics
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import grpc
import uvloop
from groundwire.v1 import retrieve_service_pb2 as pb
from groundwire.v1 import retrieve_service_pb2_grpc as pb_grpc
from groundwire_server.embedders.embedder import EmbedKind
from groundwire_server.embedders.sentence_transformers import SentenceTransformersEmbedder

from tests.bench.texts import sentences
from tests.e2e.serving import ServerProcess

BAR = 0.9
ROUNDS = 5
DOCUMENTS = 3
DOCUMENT_CHARACTERS = 60_000
PIECE = 2**18


def documents(seed: int) -> list[str]:
    """Plain texts of the sample handbook's sentences, in an order that none had before."""
    rng = random.Random(seed)
    known = sentences()
    return [_document(rng, known) for _ in range(DOCUMENTS)]


def _document(rng: random.Random, known: Sequence[str]) -> str:
    paragraphs: list[str] = []
    size = 0
    while size < DOCUMENT_CHARACTERS:
        paragraphs.append(" ".join(rng.choices(known, k=rng.randint(2, 6))))
        size += len(paragraphs[-1])
    return "\n\n".join(paragraphs)


async def _requests(name: str, text: str) -> AsyncIterator[pb.IngestDocumentRequest]:
    yield pb.IngestDocumentRequest(header=pb.IngestHeader(collection="bench", filename=name))
    data = text.encode()
    for start in range(0, len(data), PIECE):
        yield pb.IngestDocumentRequest(data=data[start : start + PIECE])


async def ingested_per_second(stub: pb_grpc.RetrieveServiceStub, texts: list[str]) -> float:
    """Chunks per second from the first byte sent to the last document ready, one by one."""
    began = time.perf_counter()
    chunks = 0
    for number, text in enumerate(texts):
        async for event in stub.IngestDocument(_requests(f"{number}.txt", text)):
            chunks += event.result.chunks
    return chunks / (time.perf_counter() - began)


async def chunk_texts(stub: pb_grpc.RetrieveServiceStub) -> list[str]:
    """The texts of all chunks that are stored."""
    texts: list[str] = []
    request = pb.ScrollRequest(collection="bench", page_size=1000)
    while True:
        page = await stub.Scroll(request)
        texts += [record.text for record in page.records]
        if not page.next_cursor:
            return texts
        request.cursor = page.next_cursor


async def embedded_per_second(embedder: SentenceTransformersEmbedder, texts: list[str]) -> float:
    """Chunks per second of the embedder alone."""
    began = time.perf_counter()
    await embedder.embed(texts, EmbedKind.PASSAGE)
    return len(texts) / (time.perf_counter() - began)


async def measure(address: str) -> tuple[list[float], list[float]]:
    embedder = SentenceTransformersEmbedder("all-MiniLM-L6-v2")
    await embedder.start()
    ours, peer = [], []
    async with grpc.aio.insecure_channel(address) as channel:
        stub = pb_grpc.RetrieveServiceStub(channel)
        await stub.CreateCollection(pb.CreateCollectionRequest(name="bench"))
        for number in range(ROUNDS + 1):
            rate = await ingested_per_second(stub, documents(number))
            alone = await embedded_per_second(embedder, await chunk_texts(stub))
            if number:  # The first round is for warming up.
                ours.append(rate)
                peer.append(alone)
    await embedder.close()
    return ours, peer


def main() -> int:
    with (
        tempfile.TemporaryDirectory() as folder,
        ServerProcess(Path(folder) / "data") as server,
    ):
        ours, peer = uvloop.run(measure(server.address))
    ratio = statistics.median(one / other for one, other in zip(ours, peer, strict=True))
    print(
        f"IngestDocument: {statistics.median(ours):,.0f} chunks/s; the embedder alone: "
        f"{statistics.median(peer):,.0f} chunks/s; ratio {ratio:.2f} (bar: at least {BAR})"
    )
    return 0 if ratio >= BAR else 1


if __name__ == "__main__":
    sys.exit(main())
