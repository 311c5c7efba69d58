"""One thread talks to a GPU, and searches that wait for it become one."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager

import numpy as np
import pytest
from groundwire_index.ann import Ann, Asked, Bitmap, Tuning
from groundwire_index.gpu import owner as module
from groundwire_index.gpu.ann import GpuAnn
from groundwire_index.gpu.device import Copy, Device, DeviceError, Found, Reason
from groundwire_index.gpu.owner import Owner

from tests.patience import PATIENCE_S, until_seen
from tests.stand_in_gpu import NO_MEMORY, StandIn, raising
from tests.unit.gpu.conftest import QUERIES, ROWS, Machine, found

DIMENSION = QUERIES.shape[1]


@contextmanager
def held(
    machine: Machine, ann: GpuAnn, waiting: int, then: Callable[[], None] = lambda: None
) -> Iterator[ThreadPoolExecutor]:
    """The GPU is busy with one query until so many more searches wait for it."""
    begun, done = threading.Event(), threading.Event()

    def hold() -> None:
        begun.set()
        assert done.wait(PATIENCE_S)

    machine.stand_in.before_search = hold
    owner = machine.gpus._gpus[0].searching
    with ThreadPoolExecutor(waiting + 1) as threads:
        first = threads.submit(found, ann, QUERIES[:1])
        assert begun.wait(PATIENCE_S)
        yield threads
        until_seen(lambda: len(owner._searches) == waiting)
        machine.stand_in.before_search = then
        done.set()
        first.result(PATIENCE_S)


def test_searches_that_wait_become_one_and_each_gets_its_own(machine: Machine, cpu: Ann) -> None:
    ann = machine.loaded(cpu)
    alone = [found(ann, QUERIES[one : one + 1]).tolist() for one in range(1, 9)]
    machine.stand_in.searches.clear()
    with held(machine, ann, 8) as threads:
        answers = [threads.submit(found, ann, QUERIES[one : one + 1]) for one in range(1, 9)]
    assert [answer.result(PATIENCE_S).tolist() for answer in answers] == alone
    assert machine.stand_in.searches == [1, 8]


def test_searches_of_other_depth_filter_or_effort_keep_theirs(machine: Machine, cpu: Ann) -> None:
    ann = machine.loaded(cpu)
    even = np.packbits(np.arange(ROWS) % 2 == 0, bitorder="little")
    with held(machine, ann, 5) as threads:
        deep = threads.submit(ann.search, QUERIES[:2], 22, None, Tuning())
        shallow = threads.submit(ann.search, QUERIES[2:5], 10, None, Tuning())
        hard = threads.submit(ann.search, QUERIES[5:6], 10, None, Tuning(ef=256))
        filtered = threads.submit(found, ann, QUERIES[6:7], even)
        others = threads.submit(found, ann, QUERIES[7:8], ~even)
    assert deep.result(PATIENCE_S).shape == (2, 64)
    assert shallow.result(PATIENCE_S).shape == (3, 40)
    assert hard.result(PATIENCE_S).shape == (1, 40)
    assert (filtered.result(PATIENCE_S) % 2 == 0).all()
    assert (others.result(PATIENCE_S) % 2 == 1).all()
    assert machine.stand_in.searches[0] == 1
    assert sorted(machine.stand_in.searches[1:]) == [1, 1, 1, 5]


def test_a_batch_is_no_larger_than_is_worth_it(
    machine: Machine, cpu: Ann, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_MOST_ROWS", 4)
    ann = machine.loaded(cpu)
    with held(machine, ann, 3) as threads:
        answers = [threads.submit(found, ann, QUERIES[at : at + 3]) for at in (1, 4, 7)]
    assert [len(answer.result(PATIENCE_S)) for answer in answers] == [3, 3, 3]
    assert machine.stand_in.searches == [1, 3, 3, 3]


def test_an_error_in_a_joined_search_is_told_to_each(machine: Machine, cpu: Ann) -> None:
    ann = machine.loaded(cpu)
    with held(machine, ann, 3, then=raising(NO_MEMORY)) as threads:
        answers = [threads.submit(found, ann, QUERIES[one : one + 1]) for one in range(3)]
    assert all((answer.result(PATIENCE_S) >= 0).any() for answer in answers)
    assert machine.fallbacks == ["out_of_memory"] * 3
    assert machine.stand_in.searches == [1, 3]


class Slow:
    """A copy that answers when it is told to."""

    def __init__(self) -> None:
        self.go = threading.Event()

    def search(self, asked: Asked, allowed: Bitmap | None) -> Found:
        assert self.go.wait(PATIENCE_S)
        shape = (len(asked.points), asked.count)
        return Found(np.zeros(shape, np.float32), np.zeros(shape, np.int64))


ASKED = Asked(QUERIES[:1], 1, 1)


def test_a_gpu_that_does_not_answer_is_given_up(stand_in: StandIn) -> None:
    owner, slow = Owner("slow", lambda: stand_in.device(0), patience_s=0.05), Slow()
    with pytest.raises(DeviceError, match=r"no answer within 0.05 s"):
        owner.search(slow, ASKED, None)
    with pytest.raises(DeviceError) as caught:
        owner.search(slow, ASKED, None)
    assert caught.value.reason is Reason.FAILED
    slow.go.set()
    owner.close()


def test_searches_do_not_wait_for_an_index_to_be_copied(stand_in: StandIn) -> None:
    owner, begun, go = Owner("busy", lambda: stand_in.device(0)), threading.Event(), Slow()

    def work(device: Device) -> None:
        begun.set()
        assert go.go.wait(PATIENCE_S)

    doing = owner.call(work)
    assert begun.wait(PATIENCE_S)
    with pytest.raises(DeviceError) as caught:
        owner.search(go, ASKED, None)
    assert caught.value.reason is Reason.LOADING
    go.go.set()
    doing.result(PATIENCE_S)
    assert owner.search(go, ASKED, None).positions.tolist() == [[0]]
    owner.close()


def test_closing_ends_what_waits_and_the_thread(stand_in: StandIn) -> None:
    owner, slow = Owner("closing", lambda: stand_in.device(0)), Slow()
    with ThreadPoolExecutor(2) as threads:
        running = threads.submit(owner.search, slow, ASKED, None)
        until_seen(lambda: owner._thread is not None and not owner._searches)
        waiting = threads.submit(owner.search, slow, ASKED, None)
        until_seen(lambda: len(owner._searches) == 1)
        closing = threading.Thread(target=owner.close)
        closing.start()
        assert isinstance(waiting.exception(PATIENCE_S), DeviceError)
        slow.go.set()
        assert running.result(PATIENCE_S).positions.tolist() == [[0]]
        closing.join(PATIENCE_S)
    assert owner._thread is not None
    assert not owner._thread.is_alive()
    late: Future[None] = owner.call(lambda device: None)
    assert isinstance(late.exception(0), DeviceError)


def test_a_thread_that_nobody_needed_was_never_started(stand_in: StandIn) -> None:
    owner = Owner("idle", lambda: stand_in.device(0))
    owner.close()
    assert owner._thread is None


def test_an_error_that_is_no_devices_reaches_who_asked(stand_in: StandIn) -> None:
    owner = Owner("broken", lambda: stand_in.device(0))

    def work(device: Device) -> Copy:
        raise ZeroDivisionError

    assert isinstance(owner.call(work).exception(PATIENCE_S), ZeroDivisionError)
    assert owner.call(lambda device: 7).result(PATIENCE_S) == 7
    owner.close()
