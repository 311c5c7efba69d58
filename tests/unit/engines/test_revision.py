"""What tells a model that is served from one that was."""

from __future__ import annotations

import os
from pathlib import Path

from groundwire_server.engines.revision import Revision


async def revision(folder: Path, **settings: object) -> str:
    """Of an engine that is started now."""
    made = Revision(settings, {"": str(folder)})
    async with made.starting():
        pass
    return made.text


def put(weights: Path, content: bytes, time: int) -> None:
    weights.write_bytes(content)
    os.utime(weights, ns=(time, time))


async def test_the_same_files_and_settings_are_the_same(tmp_path: Path) -> None:
    (tmp_path / "model.bin").write_bytes(b"weights")
    assert await revision(tmp_path, dtype="float16") == await revision(tmp_path, dtype="float16")
    assert await revision(tmp_path, dtype="float16") != await revision(tmp_path, dtype="float32")


async def test_weights_that_were_changed_in_their_folder_are_others_from_the_next_start_on(
    tmp_path: Path,
) -> None:
    weights = tmp_path / "model.bin"
    put(weights, b"weights", 1)
    served = Revision({}, {"": str(tmp_path)})
    async with served.starting():
        pass
    first = served.text
    put(weights, b"Weights", 2)
    assert served.text == first
    async with served.starting():
        pass
    assert served.text == await revision(tmp_path) != first


async def test_weights_that_are_replaced_while_they_are_loaded_are_neither_of_both(
    tmp_path: Path,
) -> None:
    weights = tmp_path / "model.bin"
    put(weights, b"weights", 1)
    served, before = Revision({}, {"": str(tmp_path)}), await revision(tmp_path)
    async with served.starting():
        put(weights, b"Weights", 2)
    assert served.text not in (before, await revision(tmp_path))


def test_what_is_not_there_yet_has_a_name() -> None:
    assert Revision({}, {"": "somebody/model"}).text != Revision({}, {"": "somebody/other"}).text
