"""Whole numbers that binary64 cannot hold, such as 64-bit ids, as texts."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace

from groundwire.values import JSON, LARGEST_WHOLE

from groundwire_server.cli.transfer.source import Page, Placed, Refused, Source


class LargeNumbersAsText:
    """A source whose metadata has them as texts, in all of its records."""

    def __init__(self, source: Source) -> None:
        self.name = source.name
        self.metric = source.metric
        self.description = source.description
        self.notes = source.notes
        self._source = source

    def count(self) -> int:
        """As the source counts."""
        return self._source.count()

    def pages(self) -> Iterator[Page]:
        """The source's pages."""
        return ([_written(item) for item in page] for page in self._source.pages())


def _written(item: Placed | Refused) -> Placed | Refused:
    if isinstance(item, Refused):
        return item
    metadata = {key: _value(value) for key, value in item.record.metadata.items()}
    return replace(item, record=replace(item.record, metadata=metadata))


def _value(value: JSON) -> JSON:
    if isinstance(value, int) and abs(value) > LARGEST_WHOLE:
        return str(value)
    if isinstance(value, Mapping):
        return {key: _value(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_value(one) for one in value]
    return value
