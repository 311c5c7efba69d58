"""One process at a time in a folder."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from groundwire_index import Index
from groundwire_index.errors import FailedPreconditionError

HOLD = """
import sys
from pathlib import Path
from groundwire_index import Index
with Index.open(Path(sys.argv[1])):
    print("open", flush=True)
    sys.stdin.read()
"""


def test_a_second_process_is_refused_and_told_who_holds_the_folder(tmp_path: Path) -> None:
    command = [sys.executable, "-c", HOLD, str(tmp_path)]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "open\n"
        with pytest.raises(FailedPreconditionError, match=f"process {holder.pid} ") as caught:
            Index.open(tmp_path)
        assert caught.value.reason == "INDEX_IN_USE"
        holder.kill()
        holder.wait()
    # However a process ends, the folder is free then.
    Index.open(tmp_path).close()


def test_a_second_opening_by_the_same_process_is_refused(tmp_path: Path) -> None:
    own = f"process {os.getpid()} "
    with Index.open(tmp_path), pytest.raises(FailedPreconditionError, match=own):
        Index.open(tmp_path)
    Index.open(tmp_path).close()


def test_an_unsigned_lock_still_holds(tmp_path: Path) -> None:
    with Index.open(tmp_path):
        (tmp_path / "LOCK").write_text("")
        with pytest.raises(FailedPreconditionError, match="another process"):
            Index.open(tmp_path)


def test_an_opening_that_fails_lets_go(tmp_path: Path) -> None:
    (tmp_path / "catalog.db").write_bytes(b"x" * 5000)
    for _ in range(2):
        with pytest.raises(Exception, match=r"catalog\.db"):
            Index.open(tmp_path)
