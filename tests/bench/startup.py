"""From the command to SERVING, and what an idle server holds in memory.

The peer of the start is what it cannot be faster than: a process that imports torch.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psutil

from tests.e2e.serving import ServerProcess

BAR_S = 8.0
BAR_MIB = 900
ROUNDS = 3


def seconds_to_serving(data_dir: Path) -> tuple[float, int]:
    """Seconds until it serves, and then the resident memory of all its processes in MiB."""
    began = time.perf_counter()
    with ServerProcess(data_dir) as server:
        seconds = time.perf_counter() - began
        this = psutil.Process(server.pid)
        processes = [this, *this.children(recursive=True)]
        return seconds, sum(each.memory_info().rss for each in processes) >> 20


def seconds_to_import_torch() -> float:
    began = time.perf_counter()
    subprocess.run([sys.executable, "-c", "import torch"], check=True)
    return time.perf_counter() - began


def main() -> int:
    seconds, mib, peer = [], [], []
    for _ in range(ROUNDS):
        with tempfile.TemporaryDirectory() as folder:
            took, memory = seconds_to_serving(Path(folder) / "data")
        seconds.append(took)
        mib.append(memory)
        peer.append(seconds_to_import_torch())
    took, alone, memory = statistics.median(seconds), statistics.median(peer), max(mib)
    print(
        f"SERVING after {took:.1f} s (bar: {BAR_S:g} s); `import torch` alone: {alone:.1f} s; "
        f"ratio {took / alone:.1f}"
    )
    print(f"idle: {memory} MiB resident in all processes (bar: {BAR_MIB} MiB)")
    return 0 if took < BAR_S and memory < BAR_MIB else 1


if __name__ == "__main__":
    sys.exit(main())
