"""What one tenant calls its things: what another may try."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace

_HEX = "0123456789abcdef"


@dataclass(frozen=True)
class Names:
    """Names and ids, chosen by the tenant or given by the server."""

    collection: str
    alias: str
    record: str
    document: str
    snapshot: str
    session: str
    fork: str
    memory: str
    subject: str
    request: str
    key: str
    """An idempotency key that every write of the tenant has used."""
    cursors: dict[str, str] = field(default_factory=dict)
    """What lists have given out, by their methods."""

    @property
    def values(self) -> Mapping[str, str]:
        """By what they name, without cursors."""
        found = {one.name: getattr(self, one.name) for one in fields(self)}
        return {name: value for name, value in found.items() if isinstance(value, str)}

    def nobodys(self, cursors: dict[str, str]) -> Names:
        """Names of the same form and length that nobody has; cursors have to be somebody's."""
        others = {name: _other(value) for name, value in self.values.items()}
        return replace(self, **others, cursors=cursors)

    def blanked(self, data: bytes) -> bytes:
        """Without these names, so that what was said of them can be compared."""
        for name, value in self.values.items():
            data = data.replace(value.encode(), f"<{name}>".encode())
        return data


def _other(value: str) -> str:
    """The same with another hexadecimal digit at its end."""
    last = value[-1]
    assert last in _HEX, value
    return value[:-1] + _HEX[(_HEX.index(last) + 1) % len(_HEX)]
