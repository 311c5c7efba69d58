"""A summary without a model: the sentences that stand for most of what was said.

Sentences are chosen one after the other, each time the one by which what was said is best
represented: the sum, over all that was said, of the similarity to what is nearest among the chosen
(facility location; Lin and Bilmes, "A class of submodular functions for document summarization",
ACL 2011). What was chosen before is among what can be chosen, and stands for more.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from groundwire_index.ingest.sentences import sentences
from numpy.typing import NDArray

from groundwire_server.blocking import run_blocking
from groundwire_server.embedders.embedder import Embedder, EmbedKind, Priority
from groundwire_server.engines.engine import Role
from groundwire_server.memory.session import Turn

NAME = "extractive"
MOST_LINES = 12
# Of each step; what is over is left to the next one.
MOST_SENTENCES = 128
_LONGEST_LINE = 240
# A line that was chosen before stands for others that were not.
_WEIGHT_OF_FORMER = 4.0
_SPEAKERS = {Role.USER: "User", Role.ASSISTANT: "Assistant"}


class ChosenSentences:
    """Summarises by quoting; never makes anything up. Instructions and tools are left out."""

    model = NAME

    def __init__(self, embedder: Embedder) -> None:
        self._embedder = embedder

    @property
    def is_busy(self) -> bool:
        """Whether somebody waits for the embedder."""
        return bool(self._embedder.waiting.requests)

    async def summarized(self, tenant: str, former: str, turns: Sequence[Turn]) -> tuple[str, int]:
        """The summary of what ``former`` stands for and of some first turns; how many those are."""
        del tenant
        old = former.splitlines()
        taken, new = _lines_of(turns)
        lines = list(dict.fromkeys([*old, *new]))
        if len(lines) > MOST_LINES:
            embedded = await self._embedder.embed(
                lines, EmbedKind.PASSAGE, priority=Priority.INGESTION
            )
            weights = np.where(np.arange(len(lines)) < len(old), _WEIGHT_OF_FORMER, 1.0)
            chosen = await run_blocking(_chosen, embedded.vectors, weights)
            lines = [lines[at] for at in chosen]
        return "\n".join(lines), taken


def _lines_of(turns: Sequence[Turn]) -> tuple[int, list[str]]:
    lines: list[str] = []
    for taken, turn in enumerate(turns):
        said = list(_said(turn))
        if lines and len(lines) + len(said) > MOST_SENTENCES:
            return taken, lines
        lines += said[:MOST_SENTENCES]
    return len(turns), lines


def _said(turn: Turn) -> Iterator[str]:
    speaker = _SPEAKERS.get(turn.role)
    if speaker is None:
        return
    for start, end in sentences(turn.content):
        text = " ".join(turn.content[start:end].split())
        yield f"{speaker}: {text if len(text) <= _LONGEST_LINE else text[:_LONGEST_LINE] + '…'}"


def _chosen(vectors: NDArray[np.float32], weights: NDArray[np.float64]) -> list[int]:
    similar = np.maximum(vectors @ vectors.T, 0.0)
    covered = np.zeros(len(vectors))
    chosen: list[int] = []
    for _ in range(MOST_LINES):
        gains = weights @ np.maximum(similar - covered[:, None], 0.0)
        gains[chosen] = -1.0
        best = int(gains.argmax())
        chosen.append(best)
        covered = np.maximum(covered, similar[:, best])
    return sorted(chosen)
