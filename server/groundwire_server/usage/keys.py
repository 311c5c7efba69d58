"""Names of Redis keys. All of a tenant's day are in one slot of a cluster."""

from __future__ import annotations

from urllib.parse import quote, unquote

from groundwire_server.usage.store import Row, TenantDay


class DayKeys:
    """The keys of one day of one tenant."""

    def __init__(self, of: TenantDay) -> None:
        self._prefix = f"gw:{{{encoded(of.tenant)}:usage:{of.day.isoformat()}}}"

    @property
    def subjects(self) -> str:
        """A hash: the models of each subject."""
        return f"{self._prefix}:subjects"

    @property
    def last(self) -> str:
        """A hash: the number of the batch that each server has added last."""
        return f"{self._prefix}:last"

    def row(self, row: Row) -> str:
        """A hash: the counts of a row."""
        return f"{self._prefix}:{encoded(row.subject)}:{encoded(row.model)}:counts"


def encoded(name: str) -> str:
    """A name without colons, semicolons and braces."""
    return quote(name, safe="")


def models_of(listed: str) -> list[str]:
    """The models of a subject; see ``add.lua``."""
    return [unquote(model) for model in listed[1:-1].split(";")]
