"""What became of the records of one source."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from groundwire_server.cli.transfer.source import Refused, TransferError

MAX_REFUSED = 1000


@dataclass(slots=True)
class Tally:
    """Every record that was read is in one of these counts."""

    added: int = 0
    replaced: int = 0
    unchanged: int = 0
    """There already, and equal: not written again."""
    repeated: int = 0
    """Followed by another of the same id on the same page, which was stored in its stead."""
    refused: list[Refused] = field(default_factory=list)

    @property
    def stored(self) -> int:
        """Records that are in the collection because of this, or were before."""
        return self.added + self.replaced + self.unchanged

    @property
    def read(self) -> int:
        """Records that the source gave."""
        return self.stored + self.repeated + len(self.refused)

    def count(
        self, *, added: int, replaced: int, unchanged: int, refused: Iterable[Refused]
    ) -> None:
        """Count what became of a batch. TransferError as `refuse` does."""
        self.added += added
        self.replaced += replaced
        self.unchanged += unchanged
        for one in refused:
            self.refuse(one)

    def refuse(self, refused: Refused) -> None:
        """Count one that cannot be stored. TransferError after too many: it is a mistake."""
        self.refused.append(refused)
        if len(self.refused) > MAX_REFUSED:
            raise TransferError(
                f"more than {MAX_REFUSED:,} records were refused, the last, {refused.place}, "
                f"because: {refused.why}"
            )
