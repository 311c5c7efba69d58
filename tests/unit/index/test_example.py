"""The example that a reader sees first works as it stands."""

from __future__ import annotations

import doctest
from pathlib import Path

import groundwire_index
import pytest


def test_the_example_of_the_package_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    results = doctest.testmod(groundwire_index)
    assert results.attempted > 0
    assert results.failed == 0
