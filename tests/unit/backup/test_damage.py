"""A backup that is not what it was: it is said which file, and nothing is restored."""

from __future__ import annotations

import json
import os
import random
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from groundwire_index.backup.files import describe
from groundwire_index.backup.sealed import seal
from groundwire_index.errors import DataLossError, FailedPreconditionError, NotFoundError
from groundwire_server.backup.manifest import FORMAT, MANIFEST, BackupManifest
from groundwire_server.backup.reading import check, extract, source_at
from groundwire_server.backup.restoring import restore

from tests.unit.backup.stored import flipped, names


def refused(backup: Path) -> DataLossError:
    """That it cannot be restored, and leaves nothing behind that says it was tried."""
    before = names(backup.parent)
    with pytest.raises(DataLossError) as checked:
        check(source_at(backup))
    with pytest.raises(DataLossError) as restored:
        restore(backup, backup.parent / "new", "", lambda _: None, replacing=False)
    assert names(backup.parent) == before
    assert restored.value.message == checked.value.message
    return checked.value


def outcome(backup: Path) -> BackupManifest | str:
    """What it holds, or why that is not known."""
    try:
        return check(source_at(backup))
    except (DataLossError, NotFoundError) as error:
        return error.message


def reseal(folder: Path, **changes: object) -> None:
    path = folder / MANIFEST
    fields = json.loads(path.read_bytes())["manifest"]
    path.write_bytes(seal(fields | changes))


def test_a_flipped_bit_in_any_file_is_named(folder: Path) -> None:
    files = [path for path in folder.rglob("*") if path.is_file()]
    assert len(files) == 10
    for path in files:
        with flipped(path, path.stat().st_size // 2):
            assert refused(folder).metadata["file"] == str(path)
    check(source_at(folder))


def test_a_file_that_is_missing_or_short_is_named(folder: Path) -> None:
    for path in [path for path in folder.glob("collections/**/*") if path.is_file()]:
        content = path.read_bytes()
        path.write_bytes(content[:-1])
        assert refused(folder).metadata["file"] == str(path)
        path.unlink()
        error = refused(folder)
        assert error.metadata["file"] == str(path)
        assert "missing" in error.message
        path.write_bytes(content)


@pytest.mark.parametrize("seed", range(3))
def test_a_flipped_bit_in_an_archive_is_found_or_changes_nothing(
    archive: Path, tmp_path: Path, seed: int
) -> None:
    manifest = check(source_at(archive))
    outcomes = []
    for at in random.Random(seed).sample(range(archive.stat().st_size), 60):
        with flipped(archive, at):
            outcomes.append(outcome(archive))
    told = [one for one in outcomes if isinstance(one, str)]
    assert all(str(archive) in one for one in told)
    assert len(told) > 20
    assert all(one.files == manifest.files for one in outcomes if not isinstance(one, str))


@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 0.9])
def test_an_archive_that_was_cut_short_is_told(archive: Path, share: float) -> None:
    os.truncate(archive, round(share * archive.stat().st_size))
    with pytest.raises((DataLossError, NotFoundError), match=r"backup\.tar"):
        check(source_at(archive))


def test_one_of_a_newer_release_is_told_by_version(folder: Path) -> None:
    reseal(folder, format=FORMAT + 1, version="9.9.9")
    for attempt in (
        lambda: check(source_at(folder)),
        lambda: restore(folder, folder.parent / "new", "", lambda _: None, replacing=False),
    ):
        with pytest.raises(FailedPreconditionError, match=r"format 2, written by Groundwire 9\.9"):
            attempt()


@pytest.mark.parametrize(
    "name", ["../evil", "/etc/evil", "collections/../evil", "collections/x/collection.db", "evil"]
)
def test_files_that_no_backup_has_are_never_written(
    folder: Path, tmp_path: Path, name: str
) -> None:
    files = json.loads((folder / MANIFEST).read_bytes())["manifest"]["files"]
    reseal(folder, files=[*files, {**files[0], "name": name}])
    assert "no backup has" in refused(folder).message


def test_a_database_of_another_make_is_refused_although_its_checksum_is_right(
    folder: Path,
) -> None:
    (path, _) = folder.glob("collections/*/collection.db")
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TRIGGER evil AFTER INSERT ON rows BEGIN SELECT 1; END")
        connection.commit()
    name = str(path.relative_to(folder))
    files = json.loads((folder / MANIFEST).read_bytes())["manifest"]["files"]
    found = describe(folder, name, path.stat().st_size)
    others = [one for one in files if one["name"] != name]
    reseal(folder, files=[*others, {"name": name, "bytes": found.bytes, "sha256": found.sha256}])
    check(source_at(folder))
    with pytest.raises(DataLossError, match="not those of a collection"):
        restore(folder, folder.parent / "new", "", lambda _: None, replacing=False)
    assert names(folder.parent) == ["backup"]


@pytest.mark.parametrize("name", ["nothing", "empty", "text.tar", "empty.tar.gz"])
def test_what_is_no_backup_is_told(tmp_path: Path, name: str) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "text.tar").write_text("no archive")
    (tmp_path / "empty.tar.gz").touch()
    with pytest.raises((NotFoundError, DataLossError), match=name):
        check(source_at(tmp_path / name))


def test_extracting_gives_the_files_of_the_manifest(backup: Path, tmp_path: Path) -> None:
    source = source_at(backup)
    manifest = source.manifest()
    extract(source, manifest, lambda name: tmp_path / "out" / name)
    assert check(source_at(backup)) == manifest
    written = [path for path in (tmp_path / "out").rglob("*") if path.is_file()]
    assert {str(path.relative_to(tmp_path / "out")): path.stat().st_size for path in written} == {
        file.name: file.bytes for file in manifest.files
    }
