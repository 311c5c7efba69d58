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


class NoCache:
    """Keeps nothing."""

    async def get(self, tenant: str, names: Sequence[bytes]) -> Sequence[bytes | None]:  # noqa: ARG002
        """Nothing is there."""
        return [None] * len(names)

    async def put(self, tenant: str, values: Mapping[bytes, bytes]) -> None:
        """Forget them."""
