"""The engines that requests may name."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from groundwire_index.errors import NotFoundError

from groundwire_server.engines.engine import Engine


class Engines:
    """Engines by the model name that requests use, one of them the default."""

    def __init__(self, engines: Sequence[Engine], default: str) -> None:
        """Take the engines, in the order they are listed; ``default`` is one's model name.

        Raises ValueError if two serve the same model name, NotFoundError if none serves
        ``default``.
        """
        self._engines = {engine.model: engine for engine in engines}
        if len(self._engines) != len(engines):
            raise ValueError("two engines serve the same model name")
        self._default = self._named(default)

    @property
    def default(self) -> Engine:
        """The engine of requests that name no model."""
        return self._default

    def get(self, model: str) -> Engine:
        """The engine of a model, the default one for "".

        Raises NotFoundError, which lists the models that there are.
        """
        return self._named(model) if model else self._default

    def __iter__(self) -> Iterator[Engine]:
        return iter(self._engines.values())

    def __len__(self) -> int:
        return len(self._engines)

    def _named(self, model: str) -> Engine:
        if engine := self._engines.get(model):
            return engine
        known = ", ".join(f'"{name}"' for name in self._engines)
        raise NotFoundError(
            f'no model "{model}" is served here; there are: {known}',
            reason="MODEL_NOT_FOUND",
            metadata={"resource_type": "model", "resource_name": model},
        )
