"""Cursors of a scroll: where it is, and of which moment, signed by the collection."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import struct
from dataclasses import dataclass

from groundwire_index.errors import InvalidArgumentError

_POSITION = struct.Struct("<BQQ")
_FORMAT = 1
_SIGNATURE_BYTES = 16


@dataclass(frozen=True, slots=True)
class Cursor:
    """A scroll's position."""

    sequence: int
    """The state that the scroll reads."""
    place: int
    """Place of the last record that it gave."""

    def sealed(self, key: bytes, filter_digest: bytes) -> str:
        """The cursor as clients get it, good for one collection and one filter."""
        position = _POSITION.pack(_FORMAT, self.sequence, self.place)
        sealed = position + _signature(position, key, filter_digest)
        return base64.urlsafe_b64encode(sealed).decode().rstrip("=")


def open_cursor(sealed: str, key: bytes, filter_digest: bytes) -> Cursor:
    """Raises InvalidArgumentError if it is not a cursor of this collection and filter."""
    try:
        data = base64.b64decode(sealed + "=" * (-len(sealed) % 4), altchars=b"-_", validate=True)
        position, signature = data[: _POSITION.size], data[_POSITION.size :]
        genuine = hmac.compare_digest(signature, _signature(position, key, filter_digest))
        form, sequence, place = _POSITION.unpack(position)
    except (binascii.Error, ValueError, struct.error):
        genuine, form, sequence, place = False, 0, 0, 0
    if not genuine or form != _FORMAT:
        raise InvalidArgumentError(
            "cursor",
            "is not of this collection and filter: pass the next_cursor of the page before, "
            "with the same filter, or nothing to start again",
            reason="CURSOR_INVALID",
        )
    return Cursor(sequence, place)


def _signature(position: bytes, key: bytes, filter_digest: bytes) -> bytes:
    return hmac.new(key, position + filter_digest, hashlib.sha256).digest()[:_SIGNATURE_BYTES]
