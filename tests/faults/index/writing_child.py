"""Writes to an index as fast as it can and says on its output what was acknowledged.

Its arguments are a folder and a seed. The seed decides every write, so that who reads the
output knows what each of them held. One line is written before a write, another after it.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from groundwire_index import Collection, CollectionSpec, Index, Metric, Record, VectorType
from groundwire_index.filters import Condition, Operator

from tests.unit.index import oracle
from tests.unit.index.samples import document

TENANT = "t"
DIMENSION = 24
SEGMENT_BYTES = 4 * DIMENSION * 50


class Write:
    """One write, as it is done and as it changes a dict."""

    def __init__(self, number: int, random: np.random.Generator) -> None:
        self.number = number
        self.kind = random.choice(["upsert", "upsert", "delete", "filter", "document"])
        names = [f"r{n}" for n in random.choice(200, random.integers(1, 60), replace=False)]
        # What a filter deletes is what is left of an earlier write.
        self.where = Condition("write", Operator.EQ, number - int(random.integers(1, 6)))
        if self.kind == "document":
            self.owner = f"d{random.integers(3)}"
            names = [f"{self.owner}#{n}" for n in range(random.integers(0, 20))]
        self.names = names
        # Such as any type holds as they are.
        drawn = random.normal(size=(len(names), DIMENSION)).astype(np.float16)
        self.vectors = drawn.astype(np.float32)

    def records(self) -> list[Record]:
        return [
            Record(
                name,
                vector if place % 5 else None,
                f"write{self.number} word{place % 7}",
                {"write": self.number},
                self.owner if self.kind == "document" else "",
            )
            for place, (name, vector) in enumerate(zip(self.names, self.vectors, strict=True))
        ]

    def do(self, collection: Collection) -> None:
        if self.kind == "delete":
            collection.delete_ids(self.names)
        elif self.kind == "filter":
            collection.delete_filter(self.where)
        elif self.kind == "document":
            collection.replace_document(document(self.owner), self.records())
        else:
            collection.upsert(self.records())

    def apply(self, records: dict[str, Record]) -> None:
        if self.kind == "delete":
            for name in self.names:
                records.pop(name, None)
            return
        if self.kind == "filter":
            for name in [n for n, one in records.items() if oracle.matches(self.where, one)]:
                del records[name]
            return
        written = {record.id: record for record in self.records()}
        if self.kind == "document":
            for name in [n for n, one in records.items() if one.document_id == self.owner]:
                if name not in written:
                    del records[name]
        records.update(written)


def writes(seed: int) -> Iterator[Write]:
    random = np.random.default_rng(seed)
    number = 0
    while True:
        number += 1
        yield Write(number, random)


def spec_of(seed: int) -> CollectionSpec:
    """Of one type of vectors for some seeds, of another for others."""
    # Three at a time: so each goes with whatever else two or three seeds in turn decide.
    vector_type = list(VectorType)[seed // 3 % 2]
    return CollectionSpec("c", Metric.COSINE, DIMENSION, vector_type=vector_type)


def main(folder: Path, seed: int) -> None:
    with Index.open(folder, segment_bytes=SEGMENT_BYTES, retention_s=0.05) as index:
        index.create_collection(TENANT, spec_of(seed))
        collection = index.collection(TENANT, "c")
        for write in writes(seed):
            print("begin", write.number, flush=True)
            write.do(collection)
            print("done", write.number, flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
