"""As `writing_child`, but that it looks after what it writes, and that little is enough for it.

Between writes it builds indexes, moves vectors out of sparse segments, purges, indexes fields,
and closes and opens the index. Every other seed leaves what it can to the threads of the index.
"""

from __future__ import annotations

import sys
from dataclasses import replace
from itertools import islice
from pathlib import Path

import numpy as np
from groundwire_index import (
    Collection,
    CollectionSpec,
    Index,
    ann_builder,
    compaction,
    field_indexer,
)
from groundwire_index.filters import Condition, Not, Operator

from tests.faults.index.writing_child import DIMENSION, TENANT, Write, writes
from tests.faults.index.writing_child import spec_of as plain_spec_of

SEGMENT_BYTES = 4 * DIMENSION * 20
KINDS = ("hnsw", "ivf_pq", "sq8")
TENDING = ("build", "compact", "purge", "fields", "reopen")
WRITES_AN_OPENING = 12


def small_steps() -> None:
    """Have everything happen after a few writes, and in many steps."""
    ann_builder.LEAST = 40
    compaction._SLICE = 5
    compaction._PATIENCE_S = 0.0
    field_indexer.SLICE = 20


def open_index(folder: Path, *, background: bool) -> Index:
    return Index.open(
        folder,
        segment_bytes=SEGMENT_BYTES,
        retention_s=0.005,
        background=background,
        index_fields_from=0,
    )


def spec_of(seed: int) -> CollectionSpec:
    kind = KINDS[seed % len(KINDS)]
    parameters = {"m": "8"} if kind == "hnsw" else {}
    return replace(plain_spec_of(seed), index_kind=kind, index_parameters=parameters)


def tend(collection: Collection, work: str) -> None:
    if work == "purge":
        collection.upkeep.purge()
    elif work == "fields":
        collection.count(Not(Condition("write", Operator.EQ, 1)))
        collection.upkeep.index_field()
    else:
        {"build": collection.upkeep.build_index, "compact": collection.upkeep.compact}[work]()


def write(collection: Collection, coming: Write) -> None:
    print("begin", coming.number, flush=True)
    coming.do(collection)
    print("done", coming.number, flush=True)


def main(folder: Path, seed: int) -> None:
    small_steps()
    random = np.random.default_rng([seed, 1])
    background = bool(seed % 2)
    with open_index(folder, background=background) as index:
        index.create_collection(TENANT, spec_of(seed))
    coming = writes(seed)
    while True:
        with open_index(folder, background=background) as index:
            collection = index.collection(TENANT, "c")
            for one in islice(coming, int(random.integers(1, WRITES_AN_OPENING))):
                write(collection, one)
                work = str(random.choice(TENDING))
                if work == "reopen":
                    break
                print(work, one.number, flush=True)
                tend(collection, work)


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
