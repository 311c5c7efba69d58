"""Chunks that stand next to each other in a document are read as one passage."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from itertools import pairwise

from groundwire_server.grounding.events import JoinedChunk, Passage


def joined(passages: Sequence[Passage]) -> list[Passage]:
    """The passages, best first, those that follow each other in a document put together.

    What two chunks have in common where one goes over into the next is there once. A joined
    passage stands where the best of its chunks stood, with its score and relevance; its chunk
    id, page and headings are those of the first in the document.
    """
    groups = [_joined_run(run) for run in _runs_of(passages)]
    return sorted(groups, key=lambda passage: passage.number)


def _runs_of(passages: Iterable[Passage]) -> list[list[Passage]]:
    """Passages that follow each other; each of the others is a run of its own."""
    in_order = sorted(passages, key=lambda one: (one.document_id, _ordinal(one), one.number))
    runs: list[list[Passage]] = []
    for passage in in_order:
        if runs and _follow(runs[-1][-1], passage):
            runs[-1].append(passage)
        else:
            runs.append([passage])
    return runs


def _ordinal(passage: Passage) -> int:
    return passage.position.ordinal if passage.position else -1


def _follow(before: Passage, after: Passage) -> bool:
    if not before.document_id or before.document_id != after.document_id:
        return False
    if before.position is None or after.position is None:
        return False
    is_next = after.position.ordinal == before.position.ordinal + 1
    return is_next and _shared(before, after) is not None


def _shared(before: Passage, after: Passage) -> int | None:
    """Characters at the start of ``after`` that ``before`` ends with.

    None where their texts are not what their positions say: whoever stores records of their own
    may have changed them.
    """
    if before.position is None or after.position is None:
        return None
    shared = max(0, before.position.end - after.position.start)
    if shared >= len(after.text) or not before.text.endswith(after.text[:shared]):
        return None
    return shared


def _joined_run(run: Sequence[Passage]) -> Passage:
    first, best = run[0], min(run, key=lambda one: one.number)
    if len(run) == 1:
        return first
    text, chunks = first.text, []
    for before, after in pairwise(run):
        shared = _shared(before, after) or 0
        text += "" if shared else "\n\n"
        chunks.append(JoinedChunk(after.chunk_id, len(text), after.headings))
        text += after.text[shared:]
    return replace(
        first,
        number=best.number,
        text=text,
        score=best.score,
        relevance=best.relevance,
        position=None,
        joined=tuple(chunks),
        duplicate_ids=tuple(chunk_id for one in run for chunk_id in one.duplicate_ids),
    )
