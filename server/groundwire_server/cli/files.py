"""Which files a list of paths names, and what their documents are called."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

# What the parsers read. In a folder only these are taken; a file that is named is sent as it
# is, and the server says what it thinks of it.
EXTENSIONS = frozenset(
    {".pdf", ".docx", ".html", ".htm", ".xhtml", ".md", ".markdown", ".txt", ".text"}
)


@dataclass(frozen=True, slots=True)
class Found:
    """A file and the id that its document gets."""

    path: Path
    document_id: str


def find(paths: Iterable[Path]) -> list[Found]:
    """The files, in order of name within each path.

    A file is called by its name; one from a folder by its way from there, beginning with the
    folder's own name, so that two of the same name in one folder stay two documents. What is
    hidden is left out of folders.
    """
    found: dict[Path, Found] = {}
    for path in paths:
        for file in _within(path) if path.is_dir() else [Found(path, path.name)]:
            found.setdefault(file.path.resolve(), file)
    return list(found.values())


def is_text(name: str) -> bool:
    """Whether UTF-8 can carry a name. The system allows any bytes."""
    return as_text(name) == name


def as_text(name: str) -> str:
    """A name to be shown, with a mark for each byte that is no text."""
    return os.fsencode(name).decode("utf-8", "replace")


def _within(folder: Path) -> Iterator[Found]:
    name = folder.resolve().name
    for path in sorted(folder.rglob("*")):
        inside = path.relative_to(folder)
        if any(part.startswith(".") for part in inside.parts):
            continue
        if path.suffix.lower() in EXTENSIONS and path.is_file():
            yield Found(path, f"{name}/{inside.as_posix()}")
