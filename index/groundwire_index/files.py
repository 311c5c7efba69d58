"""Where the vectors of a collection are: one file a segment."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from groundwire_index.records import CollectionSpec, VectorType
from groundwire_index.storage.schema import SEGMENTS
from groundwire_index.storage.segment_file import SegmentFile

SEGMENT_BYTES = 64 * 2**20


@dataclass(frozen=True, slots=True)
class Files:
    """The segment files in the folder of a collection, and how large one gets."""

    folder: Path
    dimension: int
    vector_type: VectorType
    segment_bytes: int = SEGMENT_BYTES

    @classmethod
    def of(cls, folder: Path, spec: CollectionSpec) -> Self:
        """Those of a collection of this kind."""
        return cls(folder, spec.dimension, spec.vector_type)

    @property
    def vector_bytes(self) -> int:
        """Of one vector."""
        return self.vector_type.dtype.itemsize * self.dimension

    @property
    def capacity(self) -> int:
        """Vectors in a full segment."""
        return max(1, self.segment_bytes // self.vector_bytes)

    def path(self, number: int) -> Path:
        """Where a segment is. Its name says the type, as no byte in it does."""
        return self.folder / SEGMENTS / f"{number}{self._suffix}"

    def segment(self, number: int) -> SegmentFile:
        """The file of one segment."""
        return SegmentFile(self.path(number), self.dimension, self.vector_type.dtype, self.capacity)

    def numbers(self) -> list[int]:
        """The segments for which there is a file."""
        found = (self.folder / SEGMENTS).glob(f"*{self._suffix}")
        return sorted(int(path.stem) for path in found)

    def sweep(self, manifest: Mapping[int, int]) -> None:
        """Drop what a crash left beyond the committed end, given slots by segment."""
        for number in self.numbers():
            slots = manifest.get(number)
            if slots is None:
                self.path(number).unlink()
            else:
                self.segment(number).cut(slots)

    @property
    def _suffix(self) -> str:
        return f".f{8 * self.vector_type.dtype.itemsize}"
