"""Token counts of texts, remembered: what a context is packed from is counted again and again."""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Callable, Sequence

from groundwire_server.blocking import run_blocking

_ENTRIES = 2**15
# Characters that take less time to count than to hand to another thread.
_SHORT = 2**10


class TokenCounts:
    """Counts of the texts that were asked for last, by one tokenizer that never changes.

    To be used from one event loop. A text is remembered by its digest: it is not kept, and
    whoever asks learns no more than its length.
    """

    def __init__(
        self, count: Callable[[list[str]], Sequence[int]], *, entries: int = _ENTRIES
    ) -> None:
        """``count`` counts the tokens of each text; for long ones it is called in a thread."""
        self._count = count
        self._entries = entries
        self._known: OrderedDict[bytes, int] = OrderedDict()

    async def of(self, texts: Sequence[str]) -> list[int]:
        """The tokens of each text."""
        digests = [_digest(text) for text in texts]
        missing = {
            digest: text
            for digest, text in zip(digests, texts, strict=True)
            if digest not in self._known
        }
        found: dict[bytes, int] = {}
        if missing:
            found = dict(zip(missing, await self._counted(list(missing.values())), strict=True))
        counts = []
        for digest in digests:
            count = self._known.get(digest)
            counts.append(found[digest] if count is None else count)
        for digest, count in zip(digests, counts, strict=True):
            self._known[digest] = count
            self._known.move_to_end(digest)
        while len(self._known) > self._entries:
            self._known.popitem(last=False)
        return counts

    async def _counted(self, texts: list[str]) -> Sequence[int]:
        if sum(map(len, texts)) < _SHORT:
            return self._count(texts)
        return await run_blocking(self._count, texts)


def _digest(text: str) -> bytes:
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).digest()
