"""What a cache is: values that may be there, and that nobody misses."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol


class Cache(Protocol):
    """Values by name, apart for each tenant.

    Anything may be gone at any time. Nothing is raised: a cache that fails has nothing, and
    says so in its metrics.
    """

    async def get(self, tenant: str, names: Sequence[bytes]) -> Sequence[bytes | None]:
        """The values of these names, in order; None for one that is not there."""
        ...

    async def put(self, tenant: str, values: Mapping[bytes, bytes]) -> None:
        """Keep values, in the place of those of the same names."""
        ...


class AnswerCache(Cache, Protocol):
    """A cache that has lists besides, each of the values that were added last."""

    async def recent(self, tenant: str, name: bytes) -> Sequence[bytes]:
        """The values of a list, the last one first."""
        ...

    async def add(self, tenant: str, name: bytes, value: bytes, *, most: int) -> None:
        """Put a value first, and keep the first ``most`` of the list."""
        ...


class CacheContents(Protocol):
    """What a cache holds, for whoever looks after it. Raises UnavailableError."""

    async def count(self, tenant: str) -> int:
        """How many values there are of a tenant; those in lists are not counted."""
        ...

    async def clear(self, tenant: str) -> int:
        """Remove everything of a tenant; how many values there were."""
        ...
