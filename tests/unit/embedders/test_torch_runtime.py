from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from groundwire_server.embedders.torch_runtime import cpu_quota, temporary_environment

from tests.patience import PATIENCE_S


@pytest.mark.parametrize(
    ("limit", "cores"), [("max 100000", 0), ("200000 100000", 2), ("150000 100000", 2), ("", 0)]
)
def test_a_container_limit_is_read_in_whole_cores(tmp_path: Path, limit: str, cores: int) -> None:
    file = tmp_path / "cpu.max"
    file.write_text(f"{limit}\n")

    assert cpu_quota(file) == cores


def test_without_the_file_there_is_no_limit(tmp_path: Path) -> None:
    assert cpu_quota(tmp_path / "cpu.max") == 0


def test_the_environment_is_given_back() -> None:
    with temporary_environment({"GROUNDWIRE_TEST_VARIABLE": "1"}):
        assert os.environ["GROUNDWIRE_TEST_VARIABLE"] == "1"

    assert "GROUNDWIRE_TEST_VARIABLE" not in os.environ


def test_the_built_in_embedder_starts_without_the_large_libraries() -> None:
    """What they cost in time and memory is most of what an idle server would use."""
    program = (
        "import asyncio, sys\n"
        "from groundwire_server.embedders.sentence_transformers import *\n"
        "asyncio.run(SentenceTransformersEmbedder(BUILT_IN_MODEL).start())\n"
        "print(*{'transformers', 'sentence_transformers', 'sklearn', 'scipy'} & set(sys.modules))\n"
    )
    run = subprocess.run(
        [sys.executable, "-W", "error", "-c", program],
        capture_output=True,
        text=True,
        timeout=5 * PATIENCE_S,
    )

    assert (run.returncode, run.stdout.strip(), run.stderr) == (0, "", "")
