"""Deleted text is overwritten when its time is over, also where nobody writes."""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import cast

import pytest
from groundwire_index import CollectionSpec, Index, Metric, Record
from groundwire_index.errors import ResourceExhaustedError, UnavailableError
from groundwire_server.memory.retention import Policies, SessionRetention, Swept
from groundwire_server.memory.session_views import Described
from groundwire_server.observability.metrics import Metrics
from groundwire_server.session_settings import RetentionSettings, policies_of
from groundwire_server.settings import Settings
from groundwire_server.upkeep import (
    PURGE_PERIOD_S,
    SWEEP_FIRST_S,
    SWEEP_PERIOD_S,
    Upkeep,
    index_upkeep,
    session_upkeep,
)
from prometheus_client import generate_latest
from pydantic import ValidationError

from tests.faults.server.application import Ticks

RETENTION_S = 3600.0


class Clock:
    def __init__(self) -> None:
        self.time = 1e9

    def __call__(self) -> float:
        return self.time


class Purge:
    """Fails as it is told, one time after the other, and then works."""

    def __init__(self, *errors: Exception) -> None:
        self._errors = list(errors)
        self.count = 0

    def __call__(self) -> int:
        if self._errors:
            raise self._errors.pop(0)
        self.count += 1
        return 0


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "index"


@pytest.fixture
def index(path: Path, clock: Clock) -> Iterator[Index]:
    with Index.open(path, now=clock, retention_s=RETENTION_S) as index:
        yield index


@pytest.fixture
def ticks() -> Ticks:
    return Ticks()


@pytest.fixture
async def upkeep(index: Index, ticks: Ticks) -> AsyncIterator[Upkeep]:
    upkeep = index_upkeep(index.purge, sleep=ticks.sleep)
    await upkeep.start()
    yield upkeep
    await upkeep.close()


def stored_rows(path: Path) -> int:
    """Rows of the one collection, those that are deleted too."""
    (database,) = path.rglob("collection.db")
    with closing(sqlite3.connect(database)) as connection:
        (count,) = connection.execute("SELECT count(*) FROM rows").fetchone()
    return int(count)


@pytest.mark.usefixtures("upkeep")
async def test_what_was_deleted_is_purged_once_its_retention_is_over(
    index: Index, path: Path, clock: Clock, ticks: Ticks
) -> None:
    index.create_collection("t", CollectionSpec("c", Metric.COSINE, 2))
    collection = index.collection("t", "c")
    collection.upsert([Record("a", text="the code is 7431"), Record("b", text="kept")])
    collection.delete_ids(["a"])
    clock.time += RETENTION_S - 1
    await ticks.tick(PURGE_PERIOD_S)
    assert stored_rows(path) == 2
    clock.time += 2
    await ticks.tick(PURGE_PERIOD_S)
    assert stored_rows(path) == 1
    assert collection.count().count == 1


async def test_a_purge_that_fails_is_tried_again(
    ticks: Ticks, caplog: pytest.LogCaptureFixture
) -> None:
    purge = Purge(ResourceExhaustedError("the disk is full"))
    upkeep = index_upkeep(purge, sleep=ticks.sleep)
    await upkeep.start()
    await ticks.tick(PURGE_PERIOD_S)
    assert "the disk is full" in caplog.text
    await upkeep.check()
    await ticks.tick(PURGE_PERIOD_S)
    assert purge.count == 1
    await upkeep.close()


async def test_it_stops_when_it_is_closed_and_can_be_closed_before_it_starts(ticks: Ticks) -> None:
    upkeep = index_upkeep(Purge(), sleep=ticks.sleep)
    await upkeep.close()
    await upkeep.start()
    await ticks.asleep(PURGE_PERIOD_S)
    await upkeep.close()
    await upkeep.close()
    await upkeep.check()


class Retention:
    """Sweeps that find what they are told, one after the other."""

    def __init__(self, *found: Swept | Exception) -> None:
        self._found = list(found)
        self.policies: list[Policies] = []

    async def sweep(
        self, policies: Policies, *, on_kept: Callable[[str, Described], None]
    ) -> Swept:
        on_kept("acme", cast(Described, self))
        self.policies.append(policies)
        found = self._found.pop(0)
        if isinstance(found, Exception):
            raise found
        return found


async def test_sessions_are_looked_after_soon_and_then_every_hour_and_it_is_told(
    ticks: Ticks, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    retention = Retention(
        UnavailableError("away"), Swept(), Swept(idle=2, surplus=3, size=4, freed=1)
    )
    settings = {"*": RetentionSettings(idle_days=90), "acme": RetentionSettings()}
    policies = policies_of(settings)
    metrics, seen = Metrics(), list[str]()
    upkeep = session_upkeep(
        cast(SessionRetention, retention),
        policies,
        metrics.sessions.on_swept,
        on_kept=lambda tenant, _: seen.append(tenant),
        sleep=ticks.sleep,
    )
    await upkeep.start()
    await ticks.wake(SWEEP_FIRST_S)
    await ticks.asleep(SWEEP_PERIOD_S)
    assert "away" in caplog.text
    await ticks.tick(SWEEP_PERIOD_S)
    assert "retention has removed" not in caplog.text
    await ticks.tick(SWEEP_PERIOD_S)
    assert "retention has removed" in caplog.text
    await upkeep.close()
    assert retention.policies == [policies] * 3
    assert seen == ["acme"] * 3
    assert (policies.of("any").idle_days, policies.of("acme").idle_days) == (90, None)
    page = generate_latest(metrics.registry).decode()
    assert 'groundwire_sessions_removed_total{reason="idle"} 2.0' in page
    assert 'groundwire_sessions_removed_total{reason="surplus"} 3.0' in page
    assert 'groundwire_sessions_removed_total{reason="size"} 4.0' in page
    assert "groundwire_session_forks_freed_total 1.0" in page


@pytest.mark.parametrize(
    "wrong",
    [
        {"idle_days": 0},
        {"sessions_per_subject": 0},
        {"bytes": 0},
        {"turns": 1.5},
        {"idle_weeks": 1},
        {"idle_days": -1},
    ],
)
def test_a_retention_that_makes_no_sense_is_refused(wrong: dict[str, int]) -> None:
    with pytest.raises(ValidationError):
        Settings(session_retention={"*": wrong})
