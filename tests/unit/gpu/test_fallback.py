"""Whatever a GPU does, the answer is right; and it is said why the CPU gave it."""

from __future__ import annotations

import logging
import threading
from pathlib import Path

import numpy as np
import pytest
from groundwire_index.ann import FAMILIES, Ann, Tuning
from groundwire_index.gpu.ann import checked
from groundwire_index.gpu.device import DeviceError, Reason
from groundwire_index.gpu.fallbacks import Fallbacks
from groundwire_index.gpu.gpus import AbsentGpus, NoGpus
from groundwire_index.records import Metric

from tests.conformance.ann.corpus import Pieces, recall, scores
from tests.patience import PATIENCE_S
from tests.stand_in_gpu import BROKEN, NO_MEMORY, StandIn, raising
from tests.unit.gpu.conftest import (
    DIMENSION,
    QUERIES,
    ROWS,
    VECTORS,
    Machine,
    found,
    loading,
)

EVEN = np.packbits(np.arange(ROWS) % 2 == 0, bitorder="little")


def is_right(positions: np.ndarray, allowed: np.ndarray | None = None) -> bool:
    exact = scores(VECTORS, QUERIES, Metric.COSINE)
    if allowed is not None:
        exact[:, np.unpackbits(allowed, count=ROWS, bitorder="little") == 0] = -np.inf
    return recall(exact, positions, 10) >= 0.99


def test_a_gpu_answers_what_it_holds(machine: Machine, cpu: Ann) -> None:
    ann = machine.loaded(cpu)
    assert is_right(found(ann))
    assert is_right(found(ann, allowed=EVEN), EVEN)
    assert machine.stand_in.searches == [len(QUERIES)] * 2
    assert machine.fallbacks == []


def test_while_the_copy_is_made_the_cpu_answers(machine: Machine, cpu: Ann) -> None:
    made = threading.Event()
    machine.stand_in.before_copy = lambda: made.wait(PATIENCE_S) and None
    ann = machine.gpus.accelerated(cpu)
    assert is_right(found(ann))
    assert (machine.fallbacks, machine.stand_in.searches) == (["loading"], [])
    made.set()
    loading(ann)  # type: ignore[arg-type]
    assert is_right(found(ann))
    assert machine.stand_in.searches == [len(QUERIES)]


def test_a_gpu_without_room_leaves_it_to_the_cpu_and_says_so_once(
    machine: Machine, cpu: Ann, caplog: pytest.LogCaptureFixture
) -> None:
    machine.stand_in.before_copy = raising(NO_MEMORY)
    with caplog.at_level(logging.WARNING):
        ann = machine.loaded(cpu)
        assert is_right(found(ann))
        assert is_right(found(ann))
    assert machine.fallbacks == ["out_of_memory"] * 2
    assert [record.message for record in caplog.records] == [
        "indexes are searched and built by the CPU where a GPU should do it (out_of_memory): "
        "cudaMalloc error out of memory [2]"
    ]


def test_a_search_that_runs_out_of_memory_is_the_only_one_to_fall_back(
    machine: Machine, cpu: Ann
) -> None:
    ann = machine.loaded(cpu)
    machine.stand_in.before_search = raising(NO_MEMORY)
    assert is_right(found(ann))
    machine.stand_in.before_search = lambda: None
    assert is_right(found(ann))
    assert machine.fallbacks == ["out_of_memory"]


def test_a_gpu_that_has_failed_is_asked_no_more(machine: Machine, cpu: Ann) -> None:
    ann = machine.loaded(cpu)
    machine.stand_in.before_search = raising(BROKEN)
    assert is_right(found(ann))
    machine.stand_in.before_search = lambda: None
    assert is_right(found(ann))
    assert machine.fallbacks == ["failed", "failed"]
    assert len(machine.stand_in.searches) == 1


def test_a_device_that_cannot_be_begun_with_falls_back(cpu: Ann) -> None:
    stand_in, fallbacks = StandIn(), list[str]()
    stand_in.before_begin = raising(BROKEN)
    gpus = stand_in.gpus(observe=fallbacks.append)
    assert is_right(found(Machine(gpus, stand_in, fallbacks).loaded(cpu)))
    assert fallbacks == ["failed"]
    gpus.close()


def test_without_a_gpu_the_cpu_answers_and_it_is_counted(cpu: Ann) -> None:
    fallbacks: list[str] = []
    gpus = AbsentGpus("no driver", Fallbacks(fallbacks.append))
    assert is_right(found(gpus.accelerated(cpu)))
    assert fallbacks == ["absent"]


def test_where_no_gpu_is_wanted_nothing_is_counted(cpu: Ann) -> None:
    assert NoGpus().accelerated(cpu) is cpu


def test_an_index_that_no_gpu_holds_is_left_alone(machine: Machine, tmp_path: Path) -> None:
    for kind in ("sq8", "ivf_pq", "hnsw"):
        path = tmp_path / kind
        FAMILIES[kind].build(Pieces(VECTORS), Metric.COSINE, {}, path, lambda: False)
        ann = FAMILIES[kind].open(path, Metric.COSINE, DIMENSION)
        assert machine.gpus.accelerated(ann) is ann


def test_a_gpu_that_passes_over_the_filter_costs_time_alone(machine: Machine, cpu: Ann) -> None:
    ann = machine.loaded(cpu)
    machine.stand_in.ignores_filters = True
    allowed = np.packbits(np.arange(ROWS) % 3 == 0, bitorder="little")
    assert is_right(found(ann, allowed=allowed), allowed)
    assert len(machine.stand_in.searches) == 1


def test_a_filter_that_leaves_little_is_the_cpus(machine: Machine, cpu: Ann) -> None:
    ann = machine.loaded(cpu)
    allowed = np.packbits(np.arange(ROWS) % 100 == 0, bitorder="little")
    assert is_right(found(ann, allowed=allowed), allowed)
    assert (machine.stand_in.searches, machine.fallbacks) == ([], [])


def test_what_a_gpu_names_wrongly_is_not_believed(machine: Machine, cpu: Ann) -> None:
    ann = machine.loaded(cpu)

    def garbled(positions: np.ndarray) -> np.ndarray:
        positions[:, 0] = ROWS + 5
        positions[:, 1] = -7
        positions[:50, 2:] = positions[:50, 3:4]
        return positions

    machine.stand_in.changed = garbled
    named = found(ann)
    assert named.max() < ROWS
    for row in named:
        kept = row[row >= 0]
        assert len(kept) >= 10
        assert len(set(kept.tolist())) == len(kept)
        assert (row[len(kept) :] == -1).all()
    # Those of which too little was left were asked of the CPU.
    exact = scores(VECTORS, QUERIES, Metric.COSINE)
    assert recall(exact[:50], named[:50], 10) >= 0.99


def test_what_is_checked_keeps_its_order() -> None:
    positions = np.array([[4, 9, 4, 1, 12, -1, 1, 0]])
    assert checked(positions, 10, None).tolist() == [[4, 9, 1, 0, -1, -1, -1, -1]]
    odd = np.packbits(np.arange(10) % 2 == 1, bitorder="little")
    assert checked(positions, 10, odd).tolist() == [[9, 1, -1, -1, -1, -1, -1, -1]]


def test_a_search_deeper_than_gpus_go_is_the_cpus(machine: Machine, cpu: Ann) -> None:
    ann = machine.loaded(cpu)
    assert (np.sort(ann.search(QUERIES[:1], ROWS, None, Tuning())) == np.arange(ROWS)).all()
    assert machine.stand_in.searches == []


def test_an_error_can_be_raised_again_and_again_without_growing() -> None:
    error = DeviceError(Reason.FAILED, "x")
    assert (error.again() is not error, error.again().reason) == (True, Reason.FAILED)
