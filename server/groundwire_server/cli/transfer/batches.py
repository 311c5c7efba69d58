"""Pages cut to what one message may hold."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from groundwire import Record
from groundwire.vectors import VectorLike, encode

from groundwire_server.cli.transfer.source import Placed

# Well under the size that servers accept by default, and enough to make the call worth it.
MAX_BYTES = 8 * 2**20
# Texts to embed in one call: few enough for the slowest machine to be done in its time.
MAX_EMBEDDED = 64


def batches(page: Sequence[Placed], max_bytes: int = MAX_BYTES) -> Iterator[list[Placed]]:
    """The page in pieces of about ``max_bytes`` at most; a larger record goes alone."""
    batch: list[Placed] = []
    held = 0
    for placed in page:
        size = _size(placed.record)
        if batch and held + size > max_bytes:
            yield batch
            batch, held = [], 0
        batch.append(placed)
        held += size
    if batch:
        yield batch


def _size(record: Record) -> int:
    text = len((record.text or "").encode(errors="replace"))
    return len(record.id) + text + len(str(record.metadata)) + _vector_size(record.vector)


def _vector_size(vector: VectorLike | None) -> int:
    if vector is None:
        return MAX_BYTES // MAX_EMBEDDED
    return len(encode(vector).f32le)
