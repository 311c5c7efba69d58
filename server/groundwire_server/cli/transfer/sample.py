"""A few of many records, each as likely as any other to be among them."""

from __future__ import annotations

import random

from groundwire import Record

SIZE = 200


class Sample:
    """Reservoir sampling (Vitter, 1985), of ids; a record that comes again replaces itself."""

    def __init__(self, size: int = SIZE, seed: int = 0) -> None:
        self._size = size
        self._random = random.Random(seed)  # noqa: S311 - nothing secret
        self._kept: dict[str, Record] = {}
        self._seen = 0

    @property
    def records(self) -> list[Record]:
        """Those that were picked, as they were last."""
        return list(self._kept.values())

    def add(self, record: Record) -> None:
        """Let a record take part."""
        self._seen += 1
        if record.id in self._kept or len(self._kept) < self._size:
            self._kept[record.id] = record
        elif self._random.randrange(self._seen) < self._size:
            del self._kept[self._random.choice(list(self._kept))]
            self._kept[record.id] = record
