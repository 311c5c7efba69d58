"""Processes that write until they are killed, and what they must have left."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
from itertools import islice
from pathlib import Path

from groundwire_index import Record
from groundwire_index.storage.page_sums import PageSums

from tests.faults.index.writing_child import writes

ROOT = Path(__file__).parents[3]


def run_until_killed(
    folder: Path, seed: int, child: str = "writing_child", lines: tuple[int, int] = (2, 60)
) -> tuple[int, int]:
    """Start a child, kill it at a random moment; the writes that it began and acknowledged.

    It has said so many lines by then.
    """
    moment = random.Random(seed)
    spoken = moment.randrange(*lines)
    command = [sys.executable, "-m", f"tests.faults.index.{child}", str(folder), str(seed)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as running:
        assert running.stdout is not None
        heard = {"begin": 0, "done": 0}
        for line in islice(running.stdout, spoken):
            hear(line, heard)
        # A moment that is not tied to any line, but somewhere inside of a write.
        spin = moment.randrange(200_000)
        while spin:
            spin -= 1
        os.kill(running.pid, signal.SIGKILL)
        for line in running.stdout:
            hear(line, heard)
    assert running.returncode == -signal.SIGKILL
    for database in folder.rglob("*.db"):
        assert not PageSums(database).differing(), "a kill damages nothing"
    return heard["begin"], heard["done"]


def hear(line: str, heard: dict[str, int]) -> None:
    """Note what a line says, unless it was cut off."""
    if line.endswith("\n"):
        word, number = line.split()
        heard[word] = int(number)


def expected_after(seed: int, count: int) -> dict[str, Record]:
    records: dict[str, Record] = {}
    for write in islice(writes(seed), count):
        write.apply(records)
    return records
