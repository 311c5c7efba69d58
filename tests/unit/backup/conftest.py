"""A data folder with something in it, and a backup of that in each form."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.unit.backup.stored import backed_up, store

FORMS = ("backup", "backup.tar", "backup.tar.gz")


@pytest.fixture(scope="session")
def data_once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    data_dir = tmp_path_factory.mktemp("stored") / "data"
    store(data_dir)
    for form in FORMS:
        backed_up(data_dir, data_dir.with_name(form))
    return data_dir


@pytest.fixture
def data(data_once: Path, tmp_path: Path) -> Path:
    """A data folder of the test's own."""
    return Path(shutil.copytree(data_once, tmp_path / "data"))


@pytest.fixture(params=FORMS)
def backup(request: pytest.FixtureRequest, data_once: Path, tmp_path: Path) -> Path:
    """A backup of the test's own, in each form."""
    return copy(data_once.with_name(request.param), tmp_path)


@pytest.fixture(params=FORMS[1:])
def archive(request: pytest.FixtureRequest, data_once: Path, tmp_path: Path) -> Path:
    """One in a file."""
    return copy(data_once.with_name(request.param), tmp_path)


@pytest.fixture
def folder(data_once: Path, tmp_path: Path) -> Path:
    """One in a folder."""
    return copy(data_once.with_name("backup"), tmp_path)


def copy(backup: Path, folder: Path) -> Path:
    kind = shutil.copytree if backup.is_dir() else shutil.copy
    return Path(kind(backup, folder / backup.name))
