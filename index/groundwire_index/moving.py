"""The writes that compaction makes: a segment is put aside, rows move there, others go."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from groundwire_index.segments import Moved, Part, norms_of
from groundwire_index.storage.segment_file import StoredMatrix
from groundwire_index.tail import Tail, write_tail
from groundwire_index.transaction import Transaction


@dataclass(frozen=True, slots=True)
class Resident:
    """A row whose vector is moved."""

    row: int
    segment: int
    slot: int
    checksum: int


def reserve(transaction: Transaction) -> int:
    """Put a segment aside that no write appends to; its number."""
    tail = transaction.tail
    number = tail.segment + 1 if tail.slots else tail.segment
    transaction.tail = Tail(number + 1, 0)
    transaction.connection.executemany(
        "INSERT OR IGNORE INTO segments (number, slots) VALUES (?, 0)", [(number,), (number + 1,)]
    )
    return number


@dataclass(frozen=True, slots=True, eq=False)
class Move:
    """Some rows are found in another segment from now on."""

    target: int
    first: int
    """Slot of the first in the target."""
    residents: Sequence[Resident]
    vectors: StoredMatrix

    def __call__(self, transaction: Transaction) -> None:
        """Rows that have been purged meanwhile leave a gap."""
        connection = transaction.connection
        died = [
            connection.execute(
                "UPDATE rows SET segment = ?, slot = ? WHERE row = ? AND segment = ? AND slot = ? "
                "RETURNING died",
                (self.target, slot, resident.row, resident.segment, resident.slot),
            ).fetchall()
            for slot, resident in enumerate(self.residents, start=self.first)
        ]
        part = Part(
            self.target,
            self.first,
            self.vectors,
            norms_of(self.vectors).astype(np.float32),
            np.array([resident.row for resident in self.residents], np.int64),
        )
        write_tail(connection, [part])
        transaction.moved.append(
            Moved(
                part=part,
                sources=[(resident.segment, resident.slot) for resident in self.residents],
                died=[found[0][0] if found else 0 for found in died],
            )
        )


@dataclass(frozen=True, slots=True)
class Drop:
    """Segments go that no row is in any more."""

    numbers: Sequence[int]

    def __call__(self, transaction: Transaction) -> list[int]:
        """Those that went; one that is still in use stays."""
        dropped = []
        for number in self.numbers:
            connection = transaction.connection
            if not connection.execute(
                "SELECT 1 FROM rows WHERE segment = ? LIMIT 1", (number,)
            ).fetchone():
                connection.execute("DELETE FROM segments WHERE number = ?", (number,))
                dropped.append(number)
        transaction.dropped += dropped
        return dropped
