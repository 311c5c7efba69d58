"""What tests of copies write, and how they compare and damage it."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from itertools import count
from pathlib import Path

from groundwire_index import Collection, Record

from tests.unit.index.samples import WITH_VECTOR, record, vector


def many(first: int, count: int) -> list[Record]:
    return [
        record(f"r{number}", vector(number + 1, 1, 2), f"text {number}", metadata={"n": number})
        for number in range(first, first + count)
    ]


def all_of(collection: Collection) -> Mapping[str, tuple[object, ...]]:
    page = collection.scroll(limit=1000, include=WITH_VECTOR)
    return {
        one.id: (one.text, one.metadata, None if one.vector is None else one.vector.tolist())
        for one in page.records
    }


def flip(path: Path, at: int = 20) -> None:
    content = bytearray(path.read_bytes())
    content[at] ^= 1
    path.write_bytes(content)


@contextmanager
def writes_to(collection: Collection, first: int = 0, each: int = 3) -> Iterator[None]:
    """Records are written all the while, so many with each write, on from r``first``."""
    stop = threading.Event()

    def write() -> None:
        for number in count(first, each):
            if stop.is_set():
                return
            collection.upsert(many(number, each))

    writer = threading.Thread(target=write)
    writer.start()
    try:
        yield
    finally:
        stop.set()
        writer.join()
