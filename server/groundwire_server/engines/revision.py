"""Which state of a model's weights and settings is served."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, suppress
from pathlib import Path

from groundwire_server.blocking import run_blocking


class Revision:
    """Tells states of a model apart, as far as they can be told from here.

    By how it is set up; for weights in a folder, by the sizes and times of the files; for those of
    the hub, by the commit that was fetched: as they were when the engine was last started. What
    changes behind the URL of an API is not seen.
    """

    def __init__(self, settings: Mapping[str, object], sources: Mapping[str, str]) -> None:
        """``sources``: folders and hub names of the model and of its adapters, by their names."""
        self._settings = settings
        self._sources = sources
        self.text = self._named()
        """The name of the state."""

    @asynccontextmanager
    async def starting(self) -> AsyncIterator[None]:
        """Look at what the engine loads in the block.

        Weights that are replaced meanwhile may have been loaded or not: they have a name of their
        own, which those from before and those from afterwards do not have.
        """
        before = await run_blocking(self._looked_at)
        self.text = self._named(before)
        yield
        after = await run_blocking(self._looked_at)
        if after != before:
            self.text = self._named(before, after)

    def _looked_at(self) -> str:
        return repr(sorted((name, _state_of(source)) for name, source in self._sources.items()))

    def _named(self, *states: str) -> str:
        told = repr((sorted(self._settings.items()), sorted(self._sources.items()), states))
        return hashlib.blake2b(told.encode(), digest_size=16).hexdigest()


def _state_of(source: str) -> object:
    folder = Path(source)
    if folder.is_dir():
        return sorted(_files(folder))
    return source, _commit(source)


def _files(folder: Path) -> Iterator[tuple[str, int, int]]:
    for path in folder.rglob("*"):
        # A folder of the hub's cache has links to its files. They may be replaced just now.
        with suppress(FileNotFoundError):
            if path.is_file():
                found = path.stat()
                yield str(path.relative_to(folder)), found.st_size, found.st_mtime_ns


def _commit(source: str) -> str:
    """Of what was fetched from the hub; empty before that."""
    from huggingface_hub import try_to_load_from_cache

    try:
        config = try_to_load_from_cache(source, "config.json")
    except ValueError:
        return ""
    return Path(config).parent.name if isinstance(config, str) else ""
