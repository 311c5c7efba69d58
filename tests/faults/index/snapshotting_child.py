"""As `writing_child`, but that it takes snapshots of what it writes, and restores them in place.

What it restores is what it has just written: so each write is there, whenever it is killed.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
from groundwire_index import Index

from tests.faults.index.writing_child import SEGMENT_BYTES, TENANT, spec_of, writes


def open_index(folder: Path) -> Index:
    return Index.open(folder, segment_bytes=SEGMENT_BYTES, retention_s=0.05, background=False)


def main(folder: Path, seed: int) -> None:
    random = np.random.default_rng([seed, 1])
    with open_index(folder) as index:
        index.create_collection(TENANT, spec_of(seed))
        for write in writes(seed):
            print("begin", write.number, flush=True)
            write.do(index.collection(TENANT, "c"))
            print("done", write.number, flush=True)
            work = random.choice(["take", "restore", "delete", "none"])
            if work == "none":
                continue
            taken = index.snapshots.take(TENANT, "c")
            print("taken", taken.sequence, flush=True)
            if work == "restore":
                index.snapshots.restore(TENANT, taken.id, replacing=True)
            if work == "delete":
                index.snapshots.delete(TENANT, taken.id)


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
