"""A backup or a restore that is killed: what was there before is whole, or what it made is."""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import sys
from itertools import count
from pathlib import Path

import pytest
from groundwire_index import Index
from groundwire_server.backup.reading import check, source_at
from groundwire_server.backup.restoring import restore

from tests.faults.backup.dying_child import DIED
from tests.unit.backup.stored import TENANTS, assert_stored, backed_up, names, store

ROOT = Path(__file__).parents[3]
# How many records each tenant has.
FORMER, RESTORED = [99, 100], [100, 100]
KILLS = int(os.environ.get("GROUNDWIRE_TEST_KILLS", "12"))


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    data = tmp_path_factory.mktemp("killed") / "data"
    store(data)
    backed_up(data, data.with_name("backup.tar"))
    return data


def killed(seed: int, lines: int, *arguments: str | Path) -> None:
    """Run a command, and kill it some time after it has said so many lines, if it still runs."""
    moment = random.Random(seed)
    command = [sys.executable, "-m", "groundwire_server", *map(str, arguments)]
    with subprocess.Popen(
        command, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True
    ) as running:
        assert running.stderr is not None
        for _ in range(moment.randrange(1, lines + 1)):
            running.stderr.readline()
        # A moment that is not tied to any line.
        spin = moment.randrange(3_000_000)
        while spin:
            spin -= 1
        running.send_signal(signal.SIGKILL)
        running.stderr.read()
    assert running.returncode in (0, -signal.SIGKILL)


@pytest.mark.parametrize("seed", range(KILLS))
def test_a_backup_is_whole_or_not_there_and_the_next_one_clears_up(
    data: Path, tmp_path: Path, seed: int
) -> None:
    target = tmp_path / random.Random(seed).choice(["backup", "backup.tar"])
    killed(seed, 4, "backup", target, "--data-dir", data)
    if target.exists():
        assert check(source_at(target)).sessions == len(TENANTS)
        target.rename(tmp_path / "first")
    backed_up(data, target)
    assert set(names(tmp_path)) <= {"first", target.name}
    restore(target, tmp_path / "new", "", lambda _: None, replacing=False)
    assert_stored(tmp_path / "new")


def changed_copy(data: Path, folder: Path) -> Path:
    """The data, but for one record."""
    shutil.copytree(data, folder)
    with Index.open(folder / "index") as index:
        index.collection(TENANTS[0], "notes").delete_ids(["r0"])
    return folder


def counts(folder: Path) -> list[int]:
    """Records of each tenant."""
    assert (folder / "index/catalog.db").exists()
    with Index.open(folder / "index") as index:
        return [index.collection(tenant, "notes").count().count for tenant in TENANTS]


@pytest.mark.parametrize("seed", range(KILLS))
def test_a_folder_is_the_former_or_the_restored_one(data: Path, tmp_path: Path, seed: int) -> None:
    folder = changed_copy(data, tmp_path / "folder")
    backup = data.with_name("backup.tar")
    killed(seed, 2, "restore", backup, "--data-dir", folder, "--replace")
    found = counts(folder)
    assert found in (FORMER, RESTORED)
    if found == RESTORED:
        assert_stored(folder)
    restore(backup, folder, "", lambda _: None, replacing=True)
    assert_stored(folder)
    assert names(tmp_path) == ["folder"]


def test_so_it_is_at_every_step(data: Path, tmp_path: Path) -> None:
    backup = data.with_name("backup.tar")
    found = []
    for last in count():
        (tmp_path / str(last)).mkdir()
        folder = changed_copy(data, tmp_path / str(last) / "folder")
        command = [sys.executable, "-m", "tests.faults.backup.dying_child", backup, folder]
        status = subprocess.run([*command, str(last)], cwd=ROOT, check=False).returncode
        found.append(counts(folder))
        if status == 0:
            break
        assert status == DIED
    switched = found.index(RESTORED)
    assert found == [FORMER] * switched + [RESTORED] * (len(found) - switched)
    assert 1 < switched < len(found) - 1
