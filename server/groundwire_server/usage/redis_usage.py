"""Usage on the Redis of the sessions."""

from __future__ import annotations

import secrets
from collections.abc import Iterator, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any

from groundwire_server.memory.redis_keeper import RedisKeeper, SomeoneElse
from groundwire_server.memory.redis_link import Argument, RedisLink, load_script
from groundwire_server.usage.counts import Counts
from groundwire_server.usage.keys import DayKeys, encoded, models_of
from groundwire_server.usage.store import OTHERS, Batch, Row, TenantDay

_CONNECTIONS = 8


class RedisUsage:
    """Hashes with counts on a Redis from 6.2, a Valkey, or a cluster of either.

    A batch is one script on one slot. Each day expires by itself.
    """

    name = "usage"

    def __init__(
        self,
        url: str,
        *,
        days: int,
        subjects: int,
        keeper: RedisKeeper | None = None,
        timeout_s: float = 2.0,
    ) -> None:
        """Keep ``days`` days before today, and ``subjects`` of each tenant apart on each of them.

        See `RedisSessions` for the others.
        """
        self._link = RedisLink(
            url, keeper or SomeoneElse(url), timeout_s=timeout_s, max_connections=_CONNECTIONS
        )
        self._days = days
        self._subjects = subjects
        self._writer = secrets.token_hex(8)
        self._add = load_script("add", writes=True, package=__package__)
        self._read = load_script("read", writes=False, package=__package__)

    async def start(self) -> None:
        """Do nothing: connections are made when they are used."""

    async def check(self) -> None:
        """Do nothing: nobody's call fails because its usage is not stored yet."""

    async def add(self, batch: Batch) -> None:
        """Add a batch, once."""
        keys = DayKeys(batch.of)
        await self._link.run(
            self._add,
            [keys.subjects, keys.last, *_row_keys(keys, batch)],
            [
                self._writer,
                batch.number,
                _expires(batch.of.day, self._days),
                self._subjects,
                *_arguments(batch),
            ],
            # A batch that was added is known by its number.
            repeatable=True,
        )

    async def rows(self, of: TenantDay) -> Sequence[Row]:
        """What there is of a day."""
        (found,) = await self._link.run(self._read, [DayKeys(of).subjects], repeatable=True)
        return [
            Row(subject, model) for subject, models in _pairs(found) for model in models_of(models)
        ]

    async def counts(self, of: TenantDay, rows: Sequence[Row]) -> Sequence[Counts]:
        """The counts of rows, in order."""
        keys = DayKeys(of)
        found = await self._link.run(self._read, [keys.row(row) for row in rows], repeatable=True)
        return [
            Counts.of({name: int(number) for name, number in _pairs(fields)}) for fields in found
        ]

    async def close(self) -> None:
        """Close the connections. Idempotent."""
        await self._link.close()


def _row_keys(keys: DayKeys, batch: Batch) -> Iterator[str]:
    for row in batch.rows:
        yield keys.row(row)
        yield keys.row(Row(OTHERS, row.model))


def _arguments(batch: Batch) -> Iterator[Argument]:
    for row, counts in batch.rows.items():
        fields = counts.fields
        yield from (row.subject, encoded(row.model), len(fields))
        for name, number in fields.items():
            yield from (name, number)


def _pairs(flat: Sequence[Any]) -> Iterator[tuple[str, str]]:
    for name, value in zip(flat[::2], flat[1::2], strict=True):
        yield name.decode(), value.decode()


def _expires(day: date, days: int) -> int:
    """Seconds since 1970 at the end of the last day on which a day is kept."""
    end = datetime(day.year, day.month, day.day, tzinfo=UTC) + timedelta(days=days + 1)
    return int(end.timestamp())
