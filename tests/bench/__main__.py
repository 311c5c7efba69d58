"""Runs the benchmarks one after another: all, or those named on the command line."""

from __future__ import annotations

import subprocess
import sys

# Each in a process of its own, so that none measures what another left in memory.
BENCHMARKS = (
    "startup",
    "unary",
    "first_token",
    "generate",
    "messages",
    "cancel",
    "cancel_storm",
    "overload",
    "embedding",
    "cache",
    "ingest",
    "search",
    "search_batch",
    "search_while_writing",
    "million",
    "ann",
    "gpu",
    "filters",
    "memory",
    "recall",
    "answer_cache",
    "retrieval",
    "grounding",
)


def main(names: list[str]) -> int:
    unknown = set(names) - set(BENCHMARKS)
    if unknown:
        print(f"unknown: {', '.join(sorted(unknown))}; there are: {', '.join(BENCHMARKS)}")
        return 2
    failed = 0
    for name in names or BENCHMARKS:
        print(f"--- {name}", flush=True)
        module = f"tests.bench.{name}"
        failed += subprocess.run([sys.executable, "-m", module], check=False).returncode != 0
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
