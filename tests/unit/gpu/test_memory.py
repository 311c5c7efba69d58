"""How much of a GPU the copies take, and when they give it back."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from groundwire_index.ann import FAMILIES, Ann
from groundwire_index.ann.cagra import CagraAnn
from groundwire_index.gpu.ann import GpuAnn
from groundwire_index.gpu.device import DeviceError, Reason
from groundwire_index.gpu.memory import Budget
from groundwire_index.records import Metric

from tests.patience import PATIENCE_S
from tests.stand_in_gpu import NO_MEMORY, StandIn, raising
from tests.unit.gpu.conftest import DIMENSION, QUERIES, Machine, found, loading


@pytest.fixture
def another(path: Path) -> Ann:
    return FAMILIES["cagra"].open(path, Metric.COSINE, DIMENSION)


def size(ann: Ann) -> int:
    assert isinstance(ann, CagraAnn)
    return ann.bytes


def on_gpu(machine: Machine, ann: Ann) -> bool:
    before = len(machine.stand_in.searches)
    found(ann)
    return len(machine.stand_in.searches) > before


def machine_with(
    stand_in: StandIn,
    memory: int,
    count: int = 1,
    clock: Callable[[], float] = time.monotonic,
) -> Machine:
    fallbacks: list[str] = []
    gpus = stand_in.gpus(count=count, memory=memory, observe=fallbacks.append, clock=clock)
    return Machine(gpus, stand_in, fallbacks)


def test_an_estimate_is_what_the_graph_and_the_vectors_take(cpu: Ann) -> None:
    assert size(cpu) == cpu.size * 4 * (DIMENSION + 64)


def test_what_does_not_fit_stays_on_the_cpu_until_there_is_room(
    stand_in: StandIn, cpu: Ann, another: Ann
) -> None:
    machine = machine_with(stand_in, memory=int(1.5 * size(cpu)))
    first, second = machine.loaded(cpu), machine.loaded(another)
    assert (on_gpu(machine, first), on_gpu(machine, second)) == (True, False)
    assert machine.fallbacks == ["out_of_memory"]
    assert len(stand_in.copied) == 1
    del first
    gc.collect()
    machine.gpus._gpus[0].searching.call(lambda device: None).result(PATIENCE_S)
    found(second)
    loading(second)
    assert on_gpu(machine, second)
    assert len(stand_in.copied) == 2
    machine.gpus.close()


def test_a_gpu_that_is_full_of_others_is_tried_again_when_something_goes(
    stand_in: StandIn, cpu: Ann, another: Ann
) -> None:
    machine = machine_with(stand_in, memory=10 * size(cpu))
    first = machine.loaded(cpu)
    stand_in.before_copy = raising(NO_MEMORY)
    second = machine.loaded(another)
    stand_in.before_copy = lambda: None
    assert not on_gpu(machine, second)
    assert not on_gpu(machine, second)
    assert len(stand_in.copied) == 1
    del first
    gc.collect()
    machine.gpus._gpus[0].searching.call(lambda device: None).result(PATIENCE_S)
    found(second)
    loading(second)
    assert on_gpu(machine, second)
    machine.gpus.close()


class Clock:
    """Seconds, as a test has them."""

    def __init__(self) -> None:
        self.now = 1_000.0

    def __call__(self) -> float:
        return self.now


def test_a_gpu_that_was_full_is_asked_again_after_a_pause_that_doubles(
    stand_in: StandIn, cpu: Ann
) -> None:
    clock, attempts = Clock(), list[float]()

    def full() -> None:
        attempts.append(clock.now)
        raise NO_MEMORY

    machine = machine_with(stand_in, memory=10 * size(cpu), clock=clock)
    stand_in.before_copy = full
    ann = machine.loaded(cpu)
    for pause in (60, 120, 240, 480, 960, 1920, 3600, 3600):
        for almost in (pause - 1, 1):
            clock.now += almost
            assert not on_gpu(machine, ann)
            loading(ann)
    assert np.diff(attempts).tolist() == [60, 120, 240, 480, 960, 1920, 3600, 3600]
    assert set(machine.fallbacks) <= {"out_of_memory", "loading"}
    stand_in.before_copy = lambda: None
    clock.now += 3_600
    found(ann)
    loading(ann)
    assert on_gpu(machine, ann)
    machine.gpus.close()


def test_once_a_gpu_has_had_room_again_the_next_pause_is_short(
    stand_in: StandIn, cpu: Ann, another: Ann
) -> None:
    clock = Clock()
    machine = machine_with(stand_in, memory=10 * size(cpu), clock=clock)
    stand_in.before_copy = raising(NO_MEMORY)
    first = machine.loaded(cpu)
    for pause in (60, 120):
        clock.now += pause
        found(first)
        loading(first)
    stand_in.before_copy = lambda: None
    clock.now += 240
    found(first)
    loading(first)
    assert on_gpu(machine, first)
    stand_in.before_copy = raising(NO_MEMORY)
    second = machine.loaded(another)
    stand_in.before_copy = lambda: None
    assert not on_gpu(machine, second)
    clock.now += 60
    found(second)
    loading(second)
    assert on_gpu(machine, second)
    machine.gpus.close()


def test_of_all_that_wait_for_a_full_gpu_one_asks(
    stand_in: StandIn, cpu: Ann, another: Ann
) -> None:
    clock, attempts = Clock(), list[float]()

    def full() -> None:
        attempts.append(clock.now)
        raise NO_MEMORY

    machine = machine_with(stand_in, memory=10 * size(cpu), clock=clock)
    stand_in.before_copy = full
    waiting = [machine.loaded(cpu), machine.loaded(another)]
    assert len(attempts) == 1
    clock.now += 60
    for ann in waiting:
        found(ann)
        loading(ann)
    assert len(attempts) == 2
    machine.gpus.close()


def test_indexes_are_spread_over_the_gpus(stand_in: StandIn, cpu: Ann, another: Ann) -> None:
    machine = machine_with(stand_in, memory=int(1.5 * size(cpu)), count=2)
    both = [machine.loaded(cpu), machine.loaded(another)]
    assert [on_gpu(machine, ann) for ann in both] == [True, True]
    assert len({gpu.budget.free for gpu in machine.gpus._gpus}) == 1
    machine.gpus.close()


def test_when_gpus_are_let_go_their_memory_is_given_back_and_the_cpu_goes_on(
    machine: Machine, cpu: Ann
) -> None:
    ann = machine.loaded(cpu)
    machine.gpus.close()
    assert machine.gpus._gpus[0].budget.free == 2**30
    assert not on_gpu(machine, ann)
    assert machine.fallbacks == ["closing"]
    assert isinstance(machine.gpus.accelerated(cpu), GpuAnn)


def test_a_budget_says_what_is_missing() -> None:
    budget = Budget(1_000)
    budget.take(700)
    with pytest.raises(DeviceError, match=r"400 bytes .* 300 that are left of the 1,000") as caught:
        budget.take(400)
    assert caught.value.reason is Reason.OUT_OF_MEMORY
    budget.give(700)
    budget.take(1_000)


def test_a_budget_of_a_full_gpu_says_when_it_is_asked_again() -> None:
    clock = Clock()
    budget = Budget(1_000, clock)
    budget.take(700)
    budget.exhausted(700)
    clock.now += 20
    with pytest.raises(DeviceError, match=r"was full, and is asked for the 700 bytes .* in 40 s"):
        budget.take(700)
    with pytest.raises(DeviceError, match=r"1,000 that index_gpu_memory_bytes allows"):
        budget.take(1_001)
    clock.now += 40
    budget.take(700)


def test_queries_alone_take_nothing(machine: Machine, cpu: Ann) -> None:
    ann = machine.loaded(cpu)
    free = machine.gpus._gpus[0].budget.free
    found(ann, QUERIES)
    assert machine.gpus._gpus[0].budget.free == free == 2**30 - size(cpu)
