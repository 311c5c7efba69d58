"""What a filter costs by itself: by an index of its field, against reading every record.

The same filters over the same 100,000 records (a million with --million), before the field is
indexed and after; nothing is remembered from one evaluation to the next.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from pathlib import Path

import numpy as np
import psutil
from groundwire_index import Collection, CollectionSpec, Index, Metric, Record
from groundwire_index.filters import All, Condition, Operator

TENANT = "bench"
BATCH = 1000
ROUNDS = 7
SHARES = {"0.1 %": 1, "1 %": 10, "10 %": 100, "50 %": 500}
# Of a field whose every value a thousandth of the records has, so many values pass.
VALUES = 1000


def filled(index: Index, records: int) -> Collection:
    """A collection of records with a number that others share, and one of their own."""
    index.create_collection(TENANT, CollectionSpec("c", Metric.COSINE, 2))
    collection = index.collection(TENANT, "c")
    random = np.random.default_rng(1)
    vector = np.ones(2, np.float32)
    for start in range(0, records, BATCH):
        collection.upsert(
            [
                Record(f"r{row}", vector, None, {"shelf": row % VALUES, "when": random.random()})
                for row in range(start, start + BATCH)
            ]
        )
    return collection


def milliseconds(collection: Collection, where: Condition, rounds: int = ROUNDS) -> float:
    """The median time to count what passes, each time with a filter of a new name."""
    seconds = []
    for turn in range(rounds):
        unlike = Condition("$id", Operator.NE, f"no record {time.perf_counter()} {turn}")
        renamed = All((where, unlike))
        began = time.perf_counter()
        collection.count(renamed)
        seconds.append(time.perf_counter() - began)
    return statistics.median(seconds) * 1000


def conditions() -> dict[str, Condition]:
    """The filters, by what is printed of them."""
    found = {}
    for share, values in SHARES.items():
        found[f"{share} by shared values"] = Condition("shelf", Operator.LT, values)
        found[f"{share} by values of their own"] = Condition("when", Operator.LT, values / VALUES)
    return found


def main(records: int) -> None:
    print(f"load of the machine before: {psutil.getloadavg()[0]:.1f}")
    with (
        tempfile.TemporaryDirectory() as folder,
        Index.open(Path(folder), background=False) as index,
    ):
        collection = filled(index, records)
        read = {name: milliseconds(collection, one, 3) for name, one in conditions().items()}
        began = time.perf_counter()
        while collection.upkeep.index_field():
            pass
        took, fields = time.perf_counter() - began, ", ".join(collection.info().indexed_fields)
        print(f"{records:,} records; {fields} indexed in {took:.1f} s", flush=True)
        for name, one in conditions().items():
            indexed = milliseconds(collection, one)
            print(
                f"  {name}: {indexed:.2f} ms, without an index {read[name]:.1f} ms; "
                f"ratio {read[name] / indexed:.0f}",
                flush=True,
            )


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--million", action="store_true")
    main(1_000_000 if parser.parse_args().million else 100_000)
