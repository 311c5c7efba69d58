"""Opens a ZIP archive from a stranger, and unpacks no more of it than was allowed."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from zipfile import ZIP_DEFLATED, ZIP_STORED, BadZipFile, ZipFile, ZipInfo

from groundwire_index.errors import InvalidArgumentError
from groundwire_index.ingest.limits import ParseLimits

__all__ = ["Archive", "open_archive"]

_END = b"PK\x05\x06"
_END64_LOCATOR = b"PK\x06\x07"
_END_SIZE, _LOCATOR_SIZE, _LONGEST_COMMENT = 22, 20, 65_535
# An entry of the directory takes 46 bytes and its name; Python takes a kilobyte for it.
_DIRECTORY_BYTES_PER_ENTRY = 512
# Where the ratio of a small file says nothing yet.
_RATIO_COUNTS_FROM = 2**20
_BLOCK = 65_536
_ENCRYPTED = 0x1


class Archive:
    """The files in an archive whose directory is within the limits."""

    def __init__(self, archive: ZipFile, limits: ParseLimits) -> None:
        self._archive = archive
        self._limits = limits
        self._entries = {entry.filename: entry for entry in archive.infolist()}

    def __contains__(self, name: str) -> bool:
        return name in self._entries

    def blocks(self, name: str) -> Iterator[bytes]:
        """Unpack one file of markup piece by piece, up to the limit on markup."""
        size = 0
        with _readable(), self._archive.open(self._entries[name]) as member:
            while block := member.read(_BLOCK):
                size += len(block)
                if size > self._limits.max_markup_bytes:
                    raise _bomb(f"{name} unpacks to more than {self._limits.max_markup_bytes:,}")
                yield block

    def read(self, name: str) -> bytes:
        """Unpack one file of markup; empty if there is none of this name."""
        return b"".join(self.blocks(name)) if name in self else b""


@contextmanager
def open_archive(data: bytes, limits: ParseLimits) -> Iterator[Archive]:
    """Open an archive after checking what its directory promises.

    Raises InvalidArgumentError on ``data``: TRUNCATED_DOCX, DAMAGED_DOCX, ENCRYPTED_DOCX or
    DECOMPRESSION_BOMB. A directory that promises less than is there is no way around the
    limits: no more than the promised size of a file is ever unpacked.
    """
    _check_directory_size(data, limits)
    with _readable():
        archive = ZipFile(BytesIO(data))
    with archive:
        _check_entries(archive.infolist(), len(data), limits)
        yield Archive(archive, limits)


@contextmanager
def _readable() -> Iterator[None]:
    """What Python raises on archives that are broken, or were made to look so."""
    try:
        yield
    except (
        BadZipFile,
        EOFError,
        NotImplementedError,
        OverflowError,
        RuntimeError,
        UnicodeDecodeError,
        ValueError,
        struct.error,
        zlib.error,
    ) as error:
        raise InvalidArgumentError(
            "data",
            f"is a damaged DOCX ({error}): open it in a word processor and save it again",
            reason="DAMAGED_DOCX",
        ) from None


def _check_directory_size(data: bytes, limits: ParseLimits) -> None:
    end = data.rfind(_END, max(0, len(data) - _END_SIZE - _LONGEST_COMMENT))
    if end < 0 or end + _END_SIZE > len(data):
        raise InvalidArgumentError(
            "data", "is a DOCX that ends early: send the whole file", reason="TRUNCATED_DOCX"
        )
    (size,) = struct.unpack_from("<I", data, end + 12)
    locator = end - _LOCATOR_SIZE
    if locator >= 0 and data.startswith(_END64_LOCATOR, locator):
        (record,) = struct.unpack_from("<Q", data, locator + 8)
        size = struct.unpack_from("<Q", data, record + 40)[0] if record + 48 <= end else len(data)
    if size > limits.max_archive_entries * _DIRECTORY_BYTES_PER_ENTRY:
        raise _bomb(f"it lists more than {limits.max_archive_entries:,} files in {size:,}")


def _check_entries(entries: list[ZipInfo], packed: int, limits: ParseLimits) -> None:
    if len(entries) > limits.max_archive_entries:
        raise _bomb(f"it holds {len(entries):,} files, over {limits.max_archive_entries:,}, in")
    if any(entry.flag_bits & _ENCRYPTED for entry in entries):
        raise InvalidArgumentError(
            "data", "is encrypted: save it without a password", reason="ENCRYPTED_DOCX"
        )
    if any(entry.compress_type not in (ZIP_STORED, ZIP_DEFLATED) for entry in entries):
        raise InvalidArgumentError(
            "data",
            "is packed in a way no word processor does: open it in one and save it again",
            reason="DAMAGED_DOCX",
        )
    unpacked = sum(entry.file_size for entry in entries)
    if unpacked > limits.max_decompressed_bytes or (
        unpacked > _RATIO_COUNTS_FROM and unpacked > packed * limits.max_compression_ratio
    ):
        raise _bomb(f"{packed:,} bytes unpack to {unpacked:,}")


def _bomb(what: str) -> InvalidArgumentError:
    return InvalidArgumentError(
        "data",
        f"is refused unread, because {what} bytes: save its content as a new document",
        reason="DECOMPRESSION_BOMB",
    )
