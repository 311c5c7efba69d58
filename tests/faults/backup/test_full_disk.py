"""The disk of a backup or of a restored folder fills up: it is said, and nothing is left on it."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from groundwire_index.errors import FailedPreconditionError, ResourceExhaustedError
from groundwire_server.backup.reading import check, source_at
from groundwire_server.backup.restoring import restore

from tests.small_disk import small_disk
from tests.unit.backup.stored import assert_stored, backed_up, names, store

MEBIBYTES = 16
# From less than the first file needs to more than all do, which is 4 MiB for a redis-server.
ROOM = range(0, 6 * 2**20, 2**16 + 4096)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    data = tmp_path_factory.mktemp("full") / "data"
    store(data)
    for form in ("backup", "backup.tar"):
        backed_up(data, data.with_name(form))
    return data


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    with small_disk(tmp_path / "disk", MEBIBYTES) as disk:
        yield disk


def told(attempt: Callable[[], object]) -> str | None:
    """Why it could not be done; None if it was."""
    try:
        attempt()
    except (ResourceExhaustedError, FailedPreconditionError) as error:
        return error.message
    return None


def attempts(disk: Path, attempt: Callable[[], object]) -> int:
    """Try with more and more room, until there is enough; how often there was not."""
    for failed, room in enumerate(ROOM):
        with (disk / "filler").open("wb") as filler:
            free = os.statvfs(disk).f_bavail * os.statvfs(disk).f_bsize
            os.posix_fallocate(filler.fileno(), 0, free - room)
        refusal = told(attempt)
        (disk / "filler").unlink()
        if refusal is None:
            return failed
        assert "full" in refusal
        assert names(disk) == []
    raise AssertionError("there was never enough room")


@pytest.mark.parametrize("form", ["backup", "backup.tar"])
def test_a_backup_is_whole_or_not_there(data: Path, disk: Path, form: str) -> None:
    assert attempts(disk, lambda: backed_up(data, disk / form)) > 10
    assert names(disk) == [form]
    assert check(source_at(disk / form)).sessions == 2


@pytest.mark.parametrize("form", ["backup", "backup.tar"])
def test_a_restored_folder_is_whole_or_not_there(data: Path, disk: Path, form: str) -> None:
    backup = data.with_name(form)

    def attempt() -> None:
        restore(backup, disk / "new", "", lambda _: None, replacing=False)

    assert attempts(disk, attempt) > 3
    assert names(disk) == ["new"]
    assert_stored(disk / "new")
