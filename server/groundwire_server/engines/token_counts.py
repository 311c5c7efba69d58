"""Token counts of texts, remembered: what a context is packed from is counted again and again."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence

from groundwire_server.blocking import run_blocking

_ENTRIES = 2**15
# Characters that take less time to count than to hand to another thread.
_SHORT = 2**10


class TokenCounts:
    """Counts of the texts that were asked for last, by one tokenizer that never changes.

    To be used from one event loop. A text is remembered by Python's hash, of 64 bits and keyed
    anew in each process, and its length: it is not kept, and whoever asks learns no more than its
    length.
    """

    def __init__(
        self, count: Callable[[list[str]], Sequence[int]], *, entries: int = _ENTRIES
    ) -> None:
        """``count`` counts the tokens of each text; for long ones it is called in a thread."""
        self._count = count
        self._entries = entries
        self._known: OrderedDict[tuple[int, int], int] = OrderedDict()

    async def of(self, texts: Sequence[str]) -> list[int]:
        """The tokens of each text."""
        known, digests = self._known, [(hash(text), len(text)) for text in texts]
        counts = {digest: known[digest] for digest in digests if digest in known}
        if len(counts) < len(digests):
            missing = {
                digest: text
                for digest, text in zip(digests, texts, strict=True)
                if digest not in counts
            }
            counts.update(zip(missing, await self._counted([*missing.values()]), strict=True))
        for digest, count in counts.items():
            known[digest] = count
            known.move_to_end(digest)
        while len(known) > self._entries:
            known.popitem(last=False)
        return [counts[digest] for digest in digests]

    async def _counted(self, texts: list[str]) -> Sequence[int]:
        if sum(map(len, texts)) < _SHORT:
            return self._count(texts)
        return await run_blocking(self._count, texts)
