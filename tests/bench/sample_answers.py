"""Answers to questions about the sample handbook, with what is right about them."""

from __future__ import annotations

import json
import tempfile
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from groundwire_index import Index
from groundwire_index.filters import DOCUMENT_ID, Condition, Operator
from groundwire_index.ingest import chunk, parse
from groundwire_index.records import CollectionSpec, Metric
from groundwire_server.embedders.embedder import Embedder, EmbedKind
from groundwire_server.engines.engine import (
    EngineRequest,
    FinishReason,
    GroundedQuestion,
    SourcePassage,
    TextPiece,
)
from groundwire_server.engines.extractive import ExtractiveEngine
from groundwire_server.grounding.adjacent import joined
from groundwire_server.grounding.events import Finished, Passage
from groundwire_server.grounding.request import Grounding
from groundwire_server.grounding.retrieve import Retriever
from groundwire_server.grounding.similarity import Similarity
from groundwire_server.grounding.stopwatch import Stopwatch
from groundwire_server.grounding.support import Place
from groundwire_server.grounding.transcript import GroundedTranscript, evidence_of
from groundwire_server.ingestion.chunk_records import chunk_records

SAMPLES = Path(__file__).parents[2] / "samples"
# Where an answer has a mark, whatever the number of its passage is.
MARK = "[*]"


@dataclass(frozen=True)
class Answer:
    """What a model said, the sources it had, and whether it is right."""

    text: str
    passages: Sequence[Passage]
    is_right: bool
    claims: Sequence[tuple[str, bool]] = ()
    """The sentences with a mark, and whether the sources say so."""


def _lines(name: str) -> Iterator[dict[str, Any]]:
    for line in (SAMPLES / name).read_text().splitlines():
        yield json.loads(line)


class Handbook:
    """The sample handbook, ingested as the server does it by default."""

    def __init__(self, index: Index, embedder: Embedder) -> None:
        self._index = index
        self._embedder = embedder

    async def read(self) -> None:
        """Ingest it."""
        fingerprint = self._embedder.fingerprint
        spec = CollectionSpec("handbook", Metric.COSINE, fingerprint.dimension, fingerprint)
        self._index.create_collection("bench", spec)
        for path in sorted((SAMPLES / "handbook").iterdir()):
            parsed = parse(path.read_bytes(), filename=path.name, mime_type="")
            chunks = chunk(
                parsed,
                max_tokens=192,
                overlap_tokens=32,
                count_tokens=self._embedder.count_tokens,
            )
            texts = [one.text for one in chunks]
            vectors = (await self._embedder.embed(texts, EmbedKind.PASSAGE)).vectors
            metadata = {"title": parsed.title}
            self._index.collection("bench", "handbook").upsert(
                chunk_records(path.name, metadata, chunks, vectors)
            )

    async def passages(self, question: str, without: str = "") -> list[Passage]:
        """The sources of an answer; ``without`` those of one document."""
        where = Condition(DOCUMENT_ID, Operator.NE, without) if without else None
        grounding = Grounding("handbook", filter=where)
        collection = await Retriever(self._index, self._embedder).open("bench", grounding)
        found = joined(await collection.passages(question, grounding, Stopwatch(lambda: 0.0)))
        return [replace(one, number=number) for number, one in enumerate(found, start=1)]

    async def written(self) -> AsyncIterator[Answer]:
        """Answers such as a small model writes, right and wrong."""
        for line in _lines("answers.jsonl"):
            passages = await self.passages(line["question"])
            *parts, end = line["answer"].split(MARK)
            claims = [part.strip(" .") for part in parts]
            marked = [
                f"{part}[{_named(passages, claim)}]"
                for part, claim in zip(parts, claims, strict=True)
            ]
            yield Answer(
                "".join([*marked, end]),
                passages,
                line["right"],
                list(zip(claims, line["supported"], strict=True)),
            )

    async def quoted(self) -> AsyncIterator[Answer]:
        """Answers of the quoting engine: right, and wrong without the document that says it."""
        for line in _lines("questions.jsonl"):
            question = line["question"]
            for without in {"", line.get("document", "")}:
                passages = await self.passages(question, without)
                text = await self._quoted(question, passages)
                expected = line.get("expected", [])
                said = bool(expected) and all(one.lower() in text.lower() for one in expected)
                yield Answer(text, passages, said)

    async def _quoted(self, question: str, passages: Sequence[Passage]) -> str:
        sources = tuple(SourcePassage(one.number, one.text, one.title) for one in passages)
        request = EngineRequest("bench", grounded=GroundedQuestion(question, sources))
        events = ExtractiveEngine(self._embedder).generate(request)
        return "".join([event.text async for event in events if isinstance(event, TextPiece)])


def _named(passages: Sequence[Passage], claim: str) -> int:
    """The passage that a mark behind a claim names: the one that holds most of its words."""

    def coverage(passage: Passage) -> float:
        return max((place.coverage for place in places_of([passage], claim)), default=0.0)

    return max(passages, key=coverage).number


def places_of(passages: Sequence[Passage], claim: str) -> list[Place]:
    """The places of all sources that may support a claim."""
    return [place for passage in passages for place in evidence_of(passage).places(claim)]


@asynccontextmanager
async def handbook(embedder: Embedder) -> AsyncIterator[Handbook]:
    """The handbook, in an index of its own."""
    with tempfile.TemporaryDirectory() as folder, Index.open(Path(folder) / "index") as index:
        made = Handbook(index, embedder)
        await made.read()
        yield made


async def judged(answer: Answer, similarity: Similarity) -> Finished:
    """How an answer ends."""
    transcript = GroundedTranscript(answer.passages, similarity)
    events = list(transcript.add(TextPiece(answer.text, 1)))
    await transcript.settle()
    events += transcript.end(FinishReason.STOP)
    (finished,) = (event for event in events if isinstance(event, Finished))
    return finished
