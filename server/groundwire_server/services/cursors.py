"""Cursors of lists that are ordered by name: opaque to clients, stable under writes."""

from __future__ import annotations

import base64

from groundwire_index.errors import InvalidArgumentError


def cursor_after(name: str) -> str:
    """The cursor of the page that begins after this name."""
    return base64.urlsafe_b64encode(name.encode()).decode().rstrip("=")


def name_before(cursor: str) -> str:
    """The name after which the page begins; empty for the first page."""
    padded = cursor + "=" * (-len(cursor) % 4)
    try:
        return base64.b64decode(padded, altchars=b"-_", validate=True).decode()
    except ValueError as error:
        raise InvalidArgumentError(
            "cursor", "is not one that this server gave out: pass next_cursor, or nothing"
        ) from error
