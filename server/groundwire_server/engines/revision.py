"""Which state of a model's weights and settings is served."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from functools import cached_property
from pathlib import Path


class Revision:
    """Tells states of a model apart, as far as they can be told from here.

    By how it is set up; for weights in a folder, by the sizes and times of the files; for those of
    the hub, by the commit that was fetched. What changes behind the URL of an API is not seen.
    """

    def __init__(self, settings: Mapping[str, object], sources: Mapping[str, str]) -> None:
        """``sources``: folders and hub names of the model and of its adapters, by their names."""
        self._settings = settings
        self._sources = sources

    @cached_property
    def text(self) -> str:
        """Looked up when it is asked for first, which blocks."""
        sources = {name: _state_of(source) for name, source in self._sources.items()}
        told = repr((sorted(self._settings.items()), sorted(sources.items())))
        return hashlib.blake2b(told.encode(), digest_size=16).hexdigest()


def _state_of(source: str) -> object:
    folder = Path(source)
    if folder.is_dir():
        return sorted(_files(folder))
    return source, _commit(source)


def _files(folder: Path) -> Iterator[tuple[str, int, int]]:
    for path in folder.rglob("*"):
        # A folder of the hub's cache has links to its files.
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
