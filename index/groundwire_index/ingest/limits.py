"""How large a file may be, packed and unpacked, before it is refused."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["ParseLimits"]


@dataclass(frozen=True, slots=True)
class ParseLimits:
    """Bounds on what one file may cost. Every one is checked before the cost is paid."""

    max_bytes: int = 256 * 2**20
    """Size of the file."""
    max_text_characters: int = 20_000_000
    """Code points of extracted text."""
    max_pages: int = 10_000
    """Pages of a PDF."""
    max_decompressed_bytes: int = 256 * 2**20
    """Size of everything in a DOCX, unpacked."""
    max_markup_bytes: int = 32 * 2**20
    """Size of the XML in a DOCX, unpacked; in memory it takes many times as much."""
    max_compression_ratio: int = 200
    """Unpacked size of a DOCX over its packed size. Text alone reaches about 20."""
    max_archive_entries: int = 10_000
    """Files in a DOCX."""
