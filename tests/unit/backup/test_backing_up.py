"""Backups come back as they were, or are not made; folders are switched whole."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest
from groundwire_index import Index
from groundwire_index.errors import (
    AlreadyExistsError,
    DataLossError,
    FailedPreconditionError,
    InvalidArgumentError,
    NotFoundError,
    UnsupportedError,
)
from groundwire_server.backup.comparing import differences, settings_of_server
from groundwire_server.backup.reading import check, source_at
from groundwire_server.backup.renaming import exchange, publish
from groundwire_server.backup.restoring import Restored, restore
from groundwire_server.backup.staging import Staging
from groundwire_server.backup.taking import back_up
from groundwire_server.data_dir import DataDir
from groundwire_server.memory.redis_folder import RedisFolder, bundled_executable
from groundwire_server.settings import Settings
from groundwire_server.settings_record import effective, record, recorded

from tests.patience import PATIENCE_S
from tests.unit.backup.stored import TENANTS, assert_stored, backed_up, flipped, names


def restored(backup: Path, data_dir: Path, *, replacing: bool = False) -> Restored:
    return restore(backup, data_dir, "", lambda _: None, replacing=replacing)


def test_it_comes_back_as_it_was(backup: Path, tmp_path: Path) -> None:
    manifest = check(source_at(backup))
    assert [(one.tenant, one.name, one.records) for one in manifest.collections] == [
        (tenant, "notes", 100) for tenant in TENANTS
    ]
    assert (manifest.records, manifest.sessions) == (200, 2)
    assert restored(backup, tmp_path / "new").manifest == manifest
    assert names(tmp_path) == sorted([backup.name, "new"])
    assert_stored(tmp_path / "new")


def test_an_empty_folder_is_taken(backup: Path, tmp_path: Path) -> None:
    (tmp_path / "new").mkdir()
    restored(backup, tmp_path / "new")
    assert_stored(tmp_path / "new")


def test_what_was_there_is_kept_unless_it_is_to_be_replaced(folder: Path, data: Path) -> None:
    with Index.open(data / "index") as index:
        index.delete_alias(TENANTS[0], "current")
        index.delete_collection(TENANTS[0], "notes")
    with pytest.raises(AlreadyExistsError, match="--replace"):
        restored(folder, data)
    (data / "of another program").touch()
    restored(folder, data, replacing=True)
    assert names(data.parent) == ["backup", "data"]
    assert "of another program" not in names(data)
    assert_stored(data)


def test_a_folder_in_use_is_not_replaced(folder: Path, data: Path) -> None:
    with DataDir(data), pytest.raises(FailedPreconditionError, match="in use by process"):
        restored(folder, data, replacing=True)
    with (
        Index.open(data / "index"),
        pytest.raises(FailedPreconditionError, match="in use by process"),
    ):
        restored(folder, data, replacing=True)
    assert_stored(data)


def test_a_redis_server_that_was_left_behind_is_stopped_before(folder: Path, data: Path) -> None:
    redis = RedisFolder(data / "redis")
    redis.prepare()
    command = [bundled_executable(), redis.config.absolute()]
    with subprocess.Popen(command, cwd=redis.path, stdout=subprocess.DEVNULL) as left:
        try:
            restored(folder, data, replacing=True)
            assert left.wait(PATIENCE_S) is not None
        finally:
            left.kill()
    assert_stored(data)


@pytest.mark.parametrize("replacing", [True, False])
def test_a_folder_that_holds_the_backup_is_not_replaced(
    folder: Path, data: Path, replacing: bool
) -> None:
    shutil.move(folder, data / "backup")
    with pytest.raises((InvalidArgumentError, AlreadyExistsError)):
        restored(data / "backup", data, replacing=replacing)
    assert_stored(data)


def test_a_file_in_the_place_of_the_folder_is_kept(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "new").write_text("mine")
    with pytest.raises(AlreadyExistsError):
        restored(folder, tmp_path / "new", replacing=True)
    assert (tmp_path / "new").read_text() == "mine"


def test_where_a_file_system_is_mounted_nothing_is_switched(folder: Path) -> None:
    with pytest.raises(FailedPreconditionError, match="mounted"):
        restored(folder, Path("/dev/shm"), replacing=True)


def test_a_target_that_exists_is_kept(data: Path, tmp_path: Path) -> None:
    for name in ("b", "b.tar"):
        (tmp_path / name).write_text("mine")
        with pytest.raises(AlreadyExistsError, match="is there already"):
            backed_up(data, tmp_path / name)
        assert (tmp_path / name).read_text() == "mine"
    assert names(tmp_path) == ["b", "b.tar", "data"]


def test_places_that_cannot_be_are_told(data: Path, tmp_path: Path) -> None:
    with pytest.raises(InvalidArgumentError, match="in the data folder"):
        backed_up(data, data / "backup")
    with pytest.raises(NotFoundError, match="make it first"):
        backed_up(data, tmp_path / "no" / "backup")
    with pytest.raises(NotFoundError, match="check --data-dir"):
        backed_up(tmp_path / "none", tmp_path / "backup")
    assert names(tmp_path) == ["data"]


def test_collections_in_milvus_are_refused(data: Path, tmp_path: Path) -> None:
    with pytest.raises(UnsupportedError, match="Milvus"):
        back_up(data, tmp_path / "b", {"index": "milvus"}, "", lambda _: None)


def test_sessions_that_cannot_be_loaded_are_told(data: Path, tmp_path: Path) -> None:
    log = data / "redis/appendonly.aof"
    with flipped(log, 0), pytest.raises(DataLossError, match="sessions cannot be loaded"):
        backed_up(data, tmp_path / "b")
    assert names(tmp_path) == ["data"]


def test_a_log_that_a_crash_cut_short_is_backed_up_to_there(data: Path, tmp_path: Path) -> None:
    log = data / "redis/appendonly.aof"
    with log.open("ab") as file:
        file.write(b"*3\r\n$3\r\nSET\r\n$1\r\nx")
    backed_up(data, tmp_path / "b.tar")
    restored(tmp_path / "b.tar", tmp_path / "new")
    assert_stored(tmp_path / "new")


def test_a_server_without_sessions_is_backed_up(data: Path, tmp_path: Path) -> None:
    shutil.rmtree(data / "redis")
    assert backed_up(data, tmp_path / "b").sessions == 0
    restored(tmp_path / "b", tmp_path / "new")


def test_one_at_a_time_writes_a_target_and_clears_what_a_crash_left(tmp_path: Path) -> None:
    left = tmp_path / ".b.unfinished"
    (left / "deep" / "er").mkdir(parents=True)
    (left / "file").touch()
    with Staging(tmp_path / "b") as staging:
        assert names(staging.path) == []
        with pytest.raises(FailedPreconditionError, match="wait"), Staging(tmp_path / "b"):
            pass
        (staging.path / "file").touch()
    assert names(tmp_path) == []


def test_nothing_of_a_name_is_written_over(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).write_text(name)
        (tmp_path / f"folder {name}").mkdir()
        (tmp_path / f"folder {name}" / name).touch()
    for one, other in (("a", "b"), ("folder a", "folder b"), ("folder a", "b")):
        with pytest.raises(AlreadyExistsError):
            publish(tmp_path / one, tmp_path / other)
    exchange(tmp_path / "folder a", tmp_path / "folder b")
    assert (names(tmp_path / "folder a"), names(tmp_path / "folder b")) == (["b"], ["a"])
    assert (tmp_path / "b").read_text() == "b"


def test_the_settings_of_the_server_are_kept_without_secrets(data: Path, tmp_path: Path) -> None:
    url = "redis://ada:secret@localhost:1/0"
    settings = Settings(data_dir=data, chunk_tokens=100, redis_url=url)
    record(settings)
    assert recorded(data)["chunk_tokens"] == "100"
    assert "secret" not in (data / "settings.json").read_text()
    assert settings_of_server(settings) == recorded(data)
    with pytest.raises(FailedPreconditionError, match=r"redis://ada:\*\*\*@localhost:1/0"):
        settings_of_server(Settings(data_dir=data))
    told = list(differences(effective(settings), Settings(data_dir=tmp_path, redis_url=url)))
    assert told == ["chunk_tokens is 192 here, and was 100"]
