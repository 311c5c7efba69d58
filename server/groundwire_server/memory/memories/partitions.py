"""Where memories are kept: in the index, one collection for each tenant.

A subject is a field of it, so that ten thousand subjects take no more files than one. The
collections belong to tenants that no caller can be, which is why no list has them and no search
of anybody's reaches them; everything else that an index does is done for them too.
"""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Callable
from contextlib import suppress

from groundwire_index.backend import CollectionBackend, IndexBackend
from groundwire_index.errors import AlreadyExistsError, FailedPreconditionError, NotFoundError
from groundwire_index.records import CollectionSpec, Fingerprint, Metric

NAME = "memories"
# No tenant's name holds a slash (`interceptors/identity.py`).
_PREFIX = "memories/"


class Partitions:
    """The collections of memories, by tenant. All methods block and are thread-safe."""

    def __init__(self, index: Callable[[], IndexBackend]) -> None:
        """``index`` gives the index once it is open."""
        self._index = index
        self._turns: defaultdict[str, threading.Lock] = defaultdict(threading.Lock)

    def find(self, tenant: str) -> CollectionBackend | None:
        """The memories of a tenant; None if it never had any."""
        try:
            return self._index().collection(_PREFIX + tenant, NAME)
        except NotFoundError:
            return None

    def make(self, tenant: str, fingerprint: Fingerprint) -> CollectionBackend:
        """The same, of this embedder if it is new."""
        found = self.find(tenant)
        while found is None:
            spec = CollectionSpec(NAME, Metric.COSINE, fingerprint.dimension, fingerprint)
            # Somebody else may be a moment earlier.
            with suppress(AlreadyExistsError):
                self._index().create_collection(_PREFIX + tenant, spec)
            found = self.find(tenant)
        return found

    def turn(self, tenant: str) -> threading.Lock:
        """Who replaces or removes what he has read holds it, from reading to writing."""
        return self._turns[tenant]

    def tenants(self) -> list[str]:
        """Those that have memories, or had some."""
        owners = self._index().tenants_with(NAME)
        return [one.removeprefix(_PREFIX) for one in owners if one.startswith(_PREFIX)]


def require_same(collection: CollectionBackend, embedder: Fingerprint) -> None:
    """Refuse to compare what another embedder has made.

    Raises FailedPreconditionError, which says what to do.
    """
    stored = collection.spec.fingerprint
    if stored == embedder:
        return
    model = stored.model if stored else "no embedder"
    raise FailedPreconditionError(
        f'the memories of this tenant were made with the embedder "{model}", and this server '
        f'embeds with "{embedder.model}", or another revision of it: start it with the former one; '
        "or read the memories with ListMemories, Forget them, and Remember them again",
        reason="EMBEDDER_MISMATCH",
        metadata={"memories_embedder": model, "server_embedder": embedder.model},
    )
