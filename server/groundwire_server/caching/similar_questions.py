"""Questions that were answered lately, to be found by what they mean."""

from __future__ import annotations

import struct
from dataclasses import dataclass

import numpy as np
from groundwire_index.errors import GroundwireError
from numpy.typing import NDArray

from groundwire_server.caching.cache import AnswerCache
from groundwire_server.caching.same_question import ask_the_same
from groundwire_server.embedders.embedder import Embedder, EmbedKind

# Questions that are kept of those that could have each other's answers.
MOST = 128
# What is longer has more in it than a comparison of words can tell.
LONGEST = 300
_HEADER = struct.Struct("<H16s")


@dataclass(frozen=True, slots=True)
class Asked:
    """A question, and what it means."""

    text: str
    vector: NDArray[np.float32]


class SimilarQuestions:
    """The answers of questions, by what these mean. What fails has no consequences."""

    def __init__(self, cache: AnswerCache, embedder: Embedder, floor: float) -> None:
        """Below the cosine ``floor`` two questions are not even compared word by word."""
        self._cache = cache
        self._embedder = embedder
        self._floor = floor

    async def read(self, question: str) -> Asked | None:
        """Embed a question; None for one that is found by equality alone."""
        if not question.strip() or len(question) > LONGEST:
            return None
        try:
            embedded = await self._embedder.embed([question], EmbedKind.QUERY)
        except GroundwireError:
            return None
        return None if embedded.truncated[0] else Asked(question, embedded.vectors[0])

    async def names(self, tenant: str, among: bytes, asked: Asked) -> list[bytes]:
        """The answers of questions that ask the same, the most similar first."""
        stored = await self._cache.recent(tenant, among)
        known = [(vector, name, text) for vector, name, text in map(_decoded, stored) if text]
        dimension = len(asked.vector)
        known = [one for one in known if len(one[0]) == dimension]
        if not known:
            return []
        cosines = np.stack([vector for vector, _, _ in known]) @ asked.vector
        return [
            known[at][1]
            for at in np.argsort(-cosines)
            if cosines[at] >= self._floor and ask_the_same(asked.text, known[at][2])
        ]

    async def add(self, tenant: str, among: bytes, asked: Asked, name: bytes) -> None:
        """Have the answer of this name found by its question."""
        await self._cache.add(tenant, among, _encoded(asked, name), most=MOST)


def _encoded(asked: Asked, name: bytes) -> bytes:
    vector = asked.vector.astype(np.float16)
    return _HEADER.pack(len(vector), name) + vector.tobytes() + asked.text.encode()


def _decoded(data: bytes) -> tuple[NDArray[np.float32], bytes, str]:
    """What `_encoded` made; without a text for anything else, which someone else has put there."""
    try:
        dimension, name = _HEADER.unpack_from(data)
        vector = np.frombuffer(data, np.float16, dimension, _HEADER.size).astype(np.float32)
        return vector, name, data[_HEADER.size + 2 * dimension :].decode()
    except (struct.error, ValueError):
        return np.empty(0, np.float32), b"", ""
