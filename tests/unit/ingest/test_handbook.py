"""The sample handbook: one text, whatever the format, and every expected fact in a chunk."""

from __future__ import annotations

import json
import runpy
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from groundwire_index.ingest import chunk, parse

SAMPLES = Path(__file__).parents[3] / "samples"
FILES = sorted((SAMPLES / "handbook").iterdir())


def count_words(texts: Sequence[str]) -> list[int]:
    return [len(text.split()) for text in texts]


def expectations() -> Iterator[dict[str, Any]]:
    for line in (SAMPLES / "questions.jsonl").read_text().splitlines():
        question = json.loads(line)
        yield from (asked for asked in (question, question.get("follow_up")) if asked)


def test_the_handbook_comes_in_every_format_that_people_write() -> None:
    assert {path.suffix for path in FILES} == {".pdf", ".docx", ".html", ".md"}


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_every_format_gives_the_text_that_it_was_made_from(path: Path) -> None:
    source = SAMPLES / "source" / f"{path.stem}.md"
    made, original = (parse(file.read_bytes(), filename=file.name) for file in (path, source))
    assert made.text == original.text
    assert made.headings == original.headings
    assert made.title == original.title


def test_making_the_handbook_twice_gives_the_same_bytes(tmp_path: Path) -> None:
    shutil.copytree(SAMPLES, tmp_path, dirs_exist_ok=True)
    made = []
    for _ in range(2):
        runpy.run_path(str(tmp_path / "make_handbook.py"), run_name="__main__")
        folder = sorted((tmp_path / "handbook").iterdir())
        made.append({path.name: path.read_bytes() for path in folder})
    assert made[0] == made[1]
    assert made[0].keys() == {path.name for path in FILES}


def test_every_expected_fact_is_in_one_chunk_of_the_document_named() -> None:
    texts = {
        path.name: [
            piece.text
            for piece in chunk(
                parse(path.read_bytes(), filename=path.name),
                max_tokens=128,
                overlap_tokens=20,
                count_tokens=count_words,
            )
        ]
        for path in FILES
    }
    missing = [
        asked["question"]
        for asked in expectations()
        if "document" in asked
        and not any(
            all(fact in text for fact in asked["expected"]) for text in texts[asked["document"]]
        )
    ]
    assert missing == []
