"""Neighbouring chunks become one passage, which reads as the document does."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import pytest
from groundwire_index.ingest import Chunk, chunk, parse
from groundwire_index.records import ChunkPosition
from groundwire_server.grounding.adjacent import joined
from groundwire_server.grounding.events import Passage
from hypothesis import given
from hypothesis import strategies as st

GUIDE = "\n\n".join(
    f"# Part {part}\n\n"
    + " ".join(f"Lamp {part}.{lamp} is lit at dusk and put out at dawn." for lamp in range(9))
    for part in range(4)
)
DOCUMENT = parse(GUIDE.encode(), filename="guide.md", mime_type="text/markdown")
CHUNKS = chunk(
    DOCUMENT,
    max_tokens=48,
    overlap_tokens=20,
    count_tokens=lambda texts: [len(text.split()) for text in texts],
)


def passage(number: int, piece: Chunk, document: str = "guide") -> Passage:
    position = ChunkPosition(piece.ordinal, piece.start, piece.end, headings=tuple(piece.headings))
    return Passage(
        number=number,
        chunk_id=f"{document}#{piece.ordinal}",
        document_id=document,
        title="Guide",
        text=piece.text,
        score=1 / number,
        relevance=1 / number,
        page=piece.ordinal + 1,
        headings=tuple(piece.headings),
        position=position,
    )


def found(*ordinals: int) -> list[Passage]:
    """Chunks of the guide, in the order in which a search found them."""
    return [passage(rank, CHUNKS[ordinal]) for rank, ordinal in enumerate(ordinals, start=1)]


def without_space(text: str) -> str:
    return "".join(text.split())


def test_the_document_has_chunks_that_overlap() -> None:
    assert len(CHUNKS) > 5
    assert any(after.start < before.end for before, after in pairwise(CHUNKS))


@given(st.permutations(range(len(CHUNKS))), st.integers(1, len(CHUNKS)))
def test_every_passage_reads_as_the_document_does(order: list[int], count: int) -> None:
    passages = joined(found(*order[:count]))
    for one in passages:
        ordinals = [int(chunk_id.partition("#")[2]) for chunk_id in one.chunk_ids]
        first, last = CHUNKS[ordinals[0]], CHUNKS[ordinals[-1]]
        assert ordinals == list(range(first.ordinal, last.ordinal + 1))
        assert without_space(one.text) == without_space(DOCUMENT.text[first.start : last.end])
    named = [chunk_id for one in passages for chunk_id in one.chunk_ids]
    assert sorted(named) == sorted(f"guide#{ordinal}" for ordinal in order[:count])
    edges = {chunk_id for one in passages for chunk_id in (one.chunk_ids[0], one.chunk_ids[-1])}
    for one in passages:
        after = int(one.chunk_ids[-1].partition("#")[2]) + 1
        assert f"guide#{after}" not in edges


def test_it_stands_where_its_best_chunk_stood_and_is_named_by_its_first() -> None:
    lone, both = joined(found(7, 3, 0, 2))[:2]
    assert lone.chunk_ids == ("guide#7",)
    assert both.chunk_ids == ("guide#2", "guide#3")
    assert (both.chunk_id, both.page) == ("guide#2", 3)
    assert both.headings == tuple(CHUNKS[2].headings)
    assert (both.score, both.relevance) == (1 / 2, 1 / 2)


def test_each_part_of_the_text_is_known_to_be_of_its_chunk() -> None:
    (whole,) = joined(found(*range(len(CHUNKS))))
    starts = [0, *(chunk.start for chunk in whole.joined), len(whole.text)]
    for piece, (start, end) in zip(CHUNKS, pairwise(starts), strict=True):
        assert whole.text[start:end].strip() in piece.text
        assert whole.chunk_ids_of(start, end) == (f"guide#{piece.ordinal}",)
    assert whole.chunk_ids_of(0, len(whole.text)) == whole.chunk_ids
    assert [chunk.headings for chunk in whole.joined] == [
        tuple(piece.headings) for piece in CHUNKS[1:]
    ]


def test_chunks_of_different_documents_stay_apart() -> None:
    passages = [passage(1, CHUNKS[0], "guide"), passage(2, CHUNKS[1], "copy")]
    assert joined(passages) == passages


@pytest.mark.parametrize(
    "changed",
    [
        {"text": "Something else."},
        {"position": None},
        {"document_id": ""},
    ],
)
def test_records_that_are_not_as_they_were_cut_stay_apart(changed: dict[str, object]) -> None:
    at = next(at for at in range(1, len(CHUNKS)) if CHUNKS[at].start < CHUNKS[at - 1].end)
    first, second = found(at - 1, at)
    assert len(joined([first, second])) == 1
    passages = [replace(first, **changed), replace(second, **changed)]
    assert joined(passages) == passages


def test_duplicates_of_any_chunk_are_named_by_the_whole() -> None:
    first, second = found(0, 1)
    (both,) = joined([replace(first, duplicate_ids=("x",)), replace(second, duplicate_ids=("y",))])
    assert both.duplicate_ids == ("x", "y")
