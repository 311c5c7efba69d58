"""Copies of a folder that this user may not read, or not as SQLite does: the folder is named."""

from __future__ import annotations

import errno
import io
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from groundwire_index import CollectionSpec, Index, Metric
from groundwire_index.backup.files import copy_open
from groundwire_index.errors import UnavailableError
from groundwire_index.storage.failures import storage_errors

from tests.unit.index.copied import many
from tests.unit.index.samples import TENANT

COPY_AS_NOBODY = """
import os, sys
from pathlib import Path
from groundwire_index.backup.whole import IndexCopy
from groundwire_index.errors import GroundwireError
source, target = map(Path, sys.argv[1:])
target.mkdir()
os.chown(target, 65534, 65534)
if os.getuid() == 0:
    os.setgroups([])
    os.setgid(65534)
    os.setuid(65534)
try:
    print(len(list(IndexCopy(source, target, begin=lambda *_: None).collections())))
except GroundwireError as error:
    print(type(error).__name__, error)
"""


@pytest.fixture
def index() -> Iterator[Path]:
    """An index folder that a server has left orderly, where anyone may come by."""
    with tempfile.TemporaryDirectory() as place:
        Path(place).chmod(0o755)
        folder = Path(place) / "index"
        with Index.open(folder, background=False) as index:
            index.create_collection(TENANT, CollectionSpec("c", Metric.COSINE, 3))
            index.collection(TENANT, "c").upsert(many(0, 5))
        yield folder


def allow(folder: Path, folders: int, files: int) -> None:
    for path in (folder, *folder.rglob("*")):
        path.chmod(folders if path.is_dir() else files)


def copied(source: Path) -> str:
    """What somebody else is told who copies it."""
    command = [sys.executable, "-c", COPY_AS_NOBODY, source, source.with_name("copy")]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


def test_a_folder_that_may_not_be_written_to_is_named_and_not_the_copy(index: Path) -> None:
    allow(index, 0o555, 0o444)
    told = copied(index)
    assert told.startswith(
        f"FailedPreconditionError {index}/catalog.db cannot be read because {index} is read-only"
    )
    assert "as the user that the server runs as, or copy the folder" in told
    assert "copy/" not in told


def test_a_copy_of_it_that_may_be_written_to_will_do(index: Path) -> None:
    shutil.copytree(index, index.with_name("writable"))
    allow(index.with_name("writable"), 0o777, 0o666)
    assert copied(index.with_name("writable")) == "1"


@pytest.mark.parametrize("kind", ["catalog.db", "collections/*/collection.db", "**/1.f32"])
def test_a_file_that_may_not_be_read_is_named(index: Path, kind: str) -> None:
    allow(index, 0o777, 0o666)
    (file,) = index.glob(kind)
    file.chmod(0)
    assert copied(index) == (
        f"FailedPreconditionError {file} may not be read by this user. Nothing was changed: do "
        "this as the user that the server runs as"
    )


def test_a_disk_that_fails_under_what_is_copied_is_named(tmp_path: Path) -> None:
    class Failing(io.BytesIO):
        def read(self, size: int | None = -1, /) -> bytes:
            raise OSError(errno.EIO, os.strerror(errno.EIO))

    with (
        pytest.raises(UnavailableError, match=str(tmp_path / "source")),
        storage_errors(tmp_path / "copy"),
    ):
        copy_open(Failing(), tmp_path / "source", tmp_path / "copy", 10)
