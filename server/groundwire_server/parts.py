"""Shapes that the parts of the server take to become its components."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence

from groundwire_index.backend import IndexBackend
from groundwire_index.errors import UnavailableError

from groundwire_server.blocking import run_blocking
from groundwire_server.components import Component
from groundwire_server.embedders.embedder import Embedder
from groundwire_server.engines.served_model import ServedModel

log = logging.getLogger(__name__)


class OpenIndex:
    """The index, open from `start` to `close`."""

    name = "index"

    def __init__(self, open_index: Callable[[], IndexBackend]) -> None:
        self._open = open_index
        self._index: IndexBackend | None = None

    @property
    def index(self) -> IndexBackend:
        """The index; UnavailableError unless it is open."""
        if self._index is None:
            raise UnavailableError("the index is not open", reason="STARTING")
        return self._index

    async def start(self) -> None:
        """Open it, which recovers what a crash has left."""
        self._index = await run_blocking(self._open)

    async def check(self) -> None:
        """Whether it is open: what can fail later is said by the call that it fails."""
        _ = self.index

    async def close(self) -> None:
        """Close it, after the writes that have begun."""
        if self._index is not None:
            await run_blocking(self._index.close)
            self._index = None


class RunningEmbedder:
    """An embedder as a component."""

    name = "embedder"

    def __init__(self, embedder: Embedder) -> None:
        self.start = embedder.start
        self.check = embedder.check
        self.close = embedder.close


class RunningModel:
    """A model that generates text as a component."""

    def __init__(self, model: ServedModel) -> None:
        self.name = model_component(model)
        self.start = model.start
        self.check = model.check
        self.close = model.close


class InOrder:
    """Components of which each needs the one before it, as one."""

    def __init__(self, name: str, components: Sequence[Component]) -> None:
        self.name = name
        self._components = components

    async def start(self) -> None:
        """Start one after the other."""
        for component in self._components:
            await component.start()

    async def check(self) -> None:
        """Raise what the first that fails raises."""
        for component in self._components:
            await component.check()

    async def close(self) -> None:
        """Close the last first. One that cannot be closed does not keep others open."""
        for component in reversed(self._components):
            try:
                await component.close()
            except Exception:
                log.exception("%s did not close", component.name)


def model_component(model: ServedModel) -> str:
    """The name of a model's engine as a component, e.g. "engine/mixtral"."""
    return f"engine/{model.base}"
