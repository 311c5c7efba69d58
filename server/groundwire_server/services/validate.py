"""Checks of request fields that the services share.

Each raises InvalidArgumentError, which names the field and says what is allowed.
"""

from __future__ import annotations

import re
import unicodedata

from groundwire_index.errors import InvalidArgumentError

MAX_TEXT_BYTES = 2**20
MAX_KEY_BYTES = 256
MAX_ID_BYTES = 512

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")


def require(condition: bool, field: str, description: str) -> None:
    """Refuse the request unless the condition holds."""
    if not condition:
        raise InvalidArgumentError(field, description)


def require_range(
    value: float, field: str, *, low: float | None = None, high: float | None = None
) -> None:
    """Refuse a number outside ``low`` to ``high``, both allowed; NaN is always outside."""
    if (low is None or value >= low) and (high is None or value <= high) and value == value:
        return
    raise InvalidArgumentError(field, f"{_number(value)} is not allowed: {_range_text(low, high)}")


def require_count(count: int, field: str, *, low: int = 1, high: int) -> None:
    """Refuse a list with fewer than ``low`` or more than ``high`` items."""
    if not low <= count <= high:
        raise InvalidArgumentError(field, f"has {count:,} items; {low:,} to {high:,} are allowed")


def require_text(value: str, field: str, *, max_bytes: int = MAX_TEXT_BYTES) -> None:
    """Refuse text that is empty, only white space, or longer than ``max_bytes`` of UTF-8."""
    if not value or value.isspace():
        raise InvalidArgumentError(field, "must hold something other than white space")
    require_bytes(value, field, max_bytes=max_bytes)


def require_bytes(value: str, field: str, *, max_bytes: int) -> None:
    """Refuse text longer than ``max_bytes`` of UTF-8."""
    # A code point takes at most four bytes: most texts need no encoding to be known as short.
    if len(value) * 4 <= max_bytes:
        return
    size = len(value.encode())
    if size > max_bytes:
        raise InvalidArgumentError(
            field, f"is {size:,} bytes long; at most {max_bytes:,} are allowed"
        )


def require_id(value: str, field: str) -> None:
    """Refuse an id that is not 1 to 512 bytes of UTF-8 without control characters."""
    require(bool(value), field, "must not be empty")
    require_bytes(value, field, max_bytes=MAX_ID_BYTES)
    if not value.isprintable() and any(unicodedata.category(char) == "Cc" for char in value):
        raise InvalidArgumentError(field, "must not hold control characters")


def require_name(value: str, field: str) -> None:
    """Refuse a name that is not 1 to 128 of [A-Za-z0-9._-] after a letter or digit."""
    if not _NAME.fullmatch(value):
        raise InvalidArgumentError(
            field,
            "must be 1 to 128 characters of [A-Za-z0-9._-], starting with a letter or digit",
        )


def require_idempotency_key(value: str) -> None:
    """Refuse an idempotency key of more than 256 bytes."""
    require_bytes(value, "idempotency_key", max_bytes=MAX_KEY_BYTES)


def page_size_of(value: int, *, field: str = "page_size", default: int = 100) -> int:
    """The page size, 1 to 1,000; ``default`` if 0."""
    require_range(value, field, low=0, high=1000)
    return value or default


def _range_text(low: float | None, high: float | None) -> str:
    if low is None:
        return f"at most {_number(high)}"
    if high is None:
        return f"at least {_number(low)}"
    return f"{_number(low)} to {_number(high)}"


def _number(value: float | None) -> str:
    return f"{int(value):,}" if value is not None and float(value).is_integer() else f"{value:g}"
