"""Which file names are accepted."""

from __future__ import annotations

import unicodedata
from pathlib import PurePosixPath

from groundwire_index.errors import InvalidArgumentError

__all__ = ["check_filename", "extension", "stem"]

MAX_FILENAME_BYTES = 512


def check_filename(filename: str) -> None:
    """Accept a plain name, or raise InvalidArgumentError on ``filename``.

    Folders, ``.``, ``..``, control characters and names over 512 bytes are refused, never
    repaired: a name that was quietly shortened would replace another document.
    """
    problem = _problem(filename)
    if problem:
        raise InvalidArgumentError("filename", problem, reason="INVALID_FILENAME")


def extension(filename: str) -> str:
    """The extension in lower case with its dot, e.g. ``.pdf``; empty if there is none."""
    return PurePosixPath(filename).suffix.lower()


def stem(filename: str) -> str:
    """The name without its extension."""
    return PurePosixPath(filename).stem or filename


def _problem(filename: str) -> str:
    if not filename.strip():
        return "is empty: send the name of the file"
    if "/" in filename or "\\" in filename:
        return "has folders in it: send the name alone, such as 'report.pdf'"
    if filename in {".", ".."}:
        return f"{filename!r} is a folder: send the name of a file"
    if any(unicodedata.category(character) in {"Cc", "Cs"} for character in filename):
        return "has control characters or broken Unicode in it: rename the file"
    if len(filename.encode()) > MAX_FILENAME_BYTES:
        return f"is longer than {MAX_FILENAME_BYTES} bytes: rename the file"
    return ""
