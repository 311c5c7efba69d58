from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from groundwire_index.errors import FailedPreconditionError
from groundwire_server.data_dir import LOCK_FILE, MIN_FREE_BYTES, DataDir

from tests.small_disk import small_disk


def test_the_folder_is_made_for_this_user_alone(tmp_path: Path) -> None:
    path = tmp_path / "a" / "b"
    with DataDir(path):
        assert path.stat().st_mode & 0o777 == 0o700


def test_a_folder_that_is_there_keeps_its_mode(tmp_path: Path) -> None:
    tmp_path.chmod(0o750)
    with DataDir(tmp_path):
        assert tmp_path.stat().st_mode & 0o777 == 0o750


def test_a_second_holder_is_told_who_the_first_is(tmp_path: Path) -> None:
    with DataDir(tmp_path) as first:
        first.announce("127.0.0.1:50051")
        with pytest.raises(FailedPreconditionError) as error, DataDir(tmp_path):
            pass
        sentence = error.value.message
        assert f"in use by process {os.getpid()} on " in sentence
        assert "listens on 127.0.0.1:50051 and started at 20" in sentence
        assert "--data-dir" in sentence
    with DataDir(tmp_path):
        pass


def test_what_a_dead_holder_has_left_is_no_hindrance(tmp_path: Path) -> None:
    (tmp_path / LOCK_FILE).write_text('{"pid": 1}')
    with DataDir(tmp_path) as data_dir:
        data_dir.announce("here")
        assert '"listen": "here"' in (tmp_path / LOCK_FILE).read_text()


def test_a_holder_that_left_no_word_is_another_process(tmp_path: Path) -> None:
    with DataDir(tmp_path):
        (tmp_path / LOCK_FILE).write_text("not JSON")
        with pytest.raises(FailedPreconditionError, match="in use by another process"):
            DataDir(tmp_path).__enter__()


def unusable(path: Path) -> str:
    with pytest.raises(FailedPreconditionError) as error, DataDir(path):
        pass
    return error.value.message


def test_a_file_is_no_folder(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    assert "it is a file" in unusable(tmp_path / "file")
    assert "a part of its path is a file" in unusable(tmp_path / "file" / "below")


def test_a_folder_that_cannot_be_made_is_said() -> None:
    assert "data folder /proc/groundwire cannot be used: " in unusable(Path("/proc/groundwire"))


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """Little more than what a data folder must have free."""
    with small_disk(tmp_path / "disk", mebibytes=17) as disk:
        yield disk


def test_a_full_disk_is_said(disk: Path) -> None:
    with DataDir(disk):
        pass
    with (disk / "filler").open("wb") as filler:
        filler.write(b"\0" * 2**20 * 2)
    assert "its disk is full" in unusable(disk)
    assert f"{MIN_FREE_BYTES >> 20} MiB" in unusable(disk)


def test_a_read_only_file_system_is_said(disk: Path) -> None:
    subprocess.run(["mount", "-o", "remount,ro", disk], check=True)
    assert "read-only file system" in unusable(disk)
    assert "read-only file system" in unusable(disk / "new")
