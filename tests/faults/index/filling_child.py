"""As `writing_child`, but that it asks for a filter and goes on while a field is being indexed.

Each step of the filling makes the entries of a few rows, and a write comes between any two.
"""

from __future__ import annotations

import sys
from pathlib import Path

from groundwire_index import CollectionSpec, Index, Metric, field_indexer
from groundwire_index.filters import Condition, Not, Operator

from tests.faults.index.writing_child import DIMENSION, SEGMENT_BYTES, TENANT, writes

BEFORE = 12
ROWS_A_STEP = 5
ASKED = Not(Condition("write", Operator.EQ, 1))


def main(folder: Path, seed: int) -> None:
    field_indexer.SLICE = ROWS_A_STEP
    with Index.open(
        folder, segment_bytes=SEGMENT_BYTES, retention_s=0.05, background=False, index_fields_from=0
    ) as index:
        index.create_collection(TENANT, CollectionSpec("c", Metric.COSINE, DIMENSION))
        collection = index.collection(TENANT, "c")
        coming = writes(seed)

        def write_next() -> bool:
            write = next(coming)
            print("begin", write.number, flush=True)
            write.do(collection)
            print("done", write.number, flush=True)
            return False

        for _ in range(BEFORE):
            write_next()
        collection.count(ASKED)
        while collection.upkeep.index_field(write_next):
            pass
        while not write_next():
            pass


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
