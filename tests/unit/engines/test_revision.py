"""What tells a model that is served from one that was."""

from __future__ import annotations

import os
from pathlib import Path

from groundwire_server.engines.revision import Revision


def revision(folder: Path, **settings: object) -> str:
    return Revision(settings, {"": str(folder)}).text


def test_the_same_files_and_settings_are_the_same(tmp_path: Path) -> None:
    (tmp_path / "model.bin").write_bytes(b"weights")
    assert revision(tmp_path, dtype="float16") == revision(tmp_path, dtype="float16")
    assert revision(tmp_path, dtype="float16") != revision(tmp_path, dtype="float32")


def test_weights_that_were_changed_in_their_folder_are_others(tmp_path: Path) -> None:
    weights = tmp_path / "model.bin"
    weights.write_bytes(b"weights")
    before = revision(tmp_path)
    weights.write_bytes(b"Weights")
    os.utime(weights, ns=(1, 1))
    assert revision(tmp_path) != before


def test_what_is_not_there_yet_has_a_name() -> None:
    assert Revision({}, {"": "somebody/model"}).text != Revision({}, {"": "somebody/other"}).text
