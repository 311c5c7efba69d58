"""Readers get the vectors of exactly the write that their rows are of."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

from groundwire_index.published import Published, View
from groundwire_index.space import Space
from groundwire_index.state import State

from tests.patience import PATIENCE_S


def view_at(sequence: int) -> View:
    return View(State(sequence, 1, 0, 0, 0, 0), Space.of(()), (), ())


def test_the_view_of_a_write_is_given_for_that_write_alone() -> None:
    published = Published()
    view = view_at(5)
    published.publish(view)
    assert published.at(5) is view
    assert published.at(4) is None


def test_a_committed_write_that_is_not_published_yet_is_waited_for() -> None:
    published = Published()
    published.publish(view_at(5))
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(published.at, 6)
        view = view_at(6)
        published.publish(view)
        assert waiting.result(timeout=PATIENCE_S) is view


def test_who_waits_for_a_view_that_will_not_come_is_let_go() -> None:
    published = Published()
    published.publish(view_at(5))
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(published.at, 6)
        published.clear()
        assert waiting.result(timeout=PATIENCE_S) is None
