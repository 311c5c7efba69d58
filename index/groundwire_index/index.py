"""A folder of collections, held by one process at a time."""

from __future__ import annotations

from pathlib import Path
from types import TracebackType
from typing import Self

from groundwire_index.collection import Collection
from groundwire_index.records import CollectionInfo, CollectionSpec


class Index:
    """All methods block and are thread-safe."""

    @classmethod
    def open(cls, path: Path) -> Self: ...
    def close(self) -> None: ...
    def __enter__(self) -> Self: ...
    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None: ...
    def create_collection(
        self, tenant: str, spec: CollectionSpec, *, idempotency_key: str = ""
    ) -> CollectionInfo: ...
    def collection(self, tenant: str, name: str) -> Collection: ...
    def list_collections(
        self, tenant: str, *, after: str = "", limit: int = 100
    ) -> list[CollectionInfo]: ...
    def delete_collection(self, tenant: str, name: str) -> int: ...
