"""A change of the contract that breaks clients of the last release does not pass."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
BUF = Path(sys.executable).with_name("buf")


def breaking(protos: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [BUF, "breaking", protos, "--against", ROOT / "deploy" / "contract.binpb"],
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_contract_breaks_nobody() -> None:
    done = breaking(ROOT / "protos")
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize(
    ("file", "line"),
    [
        ("session.proto", "string title"),
        ("retrieve_service.proto", "rpc Search("),
        ("collection.proto", "INDEX_KIND_HNSW"),
    ],
)
def test_what_is_removed_is_found(tmp_path: Path, file: str, line: str) -> None:
    protos = tmp_path / "protos"
    shutil.copytree(ROOT / "protos", protos)
    changed = protos / "groundwire" / "v1" / file
    lines = changed.read_text().splitlines(keepends=True)
    kept = [one for one in lines if line not in one]
    assert len(kept) == len(lines) - 1
    changed.write_text("".join(kept))
    done = breaking(protos)
    assert done.returncode == 100, done.stderr
    assert file in done.stdout
