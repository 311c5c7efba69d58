"""Every slot is covered by one index or by none, and few indexes cover all."""

from __future__ import annotations

from groundwire_index.coverage import AnnEntry, Span, next_task, uncovered
from hypothesis import given
from hypothesis import strategies as st

LEAST = 10


def entry(number: int, *spans: Span) -> AnnEntry:
    return AnnEntry(number, "hnsw", spans)


def slots_of(spans: tuple[Span, ...]) -> list[tuple[int, int]]:
    return [(span.segment, slot) for span in spans for slot in range(span.start, span.stop)]


def test_without_an_index_nothing_is_covered() -> None:
    assert uncovered({1: 4, 2: 3}, []) == (Span(1, 0, 4), Span(2, 0, 3))


def test_what_lies_between_and_after_the_spans_is_uncovered() -> None:
    entries = [entry(1, Span(1, 2, 4), Span(2, 0, 3)), entry(2, Span(1, 6, 7))]
    assert uncovered({1: 9, 2: 3}, entries) == (Span(1, 0, 2), Span(1, 4, 6), Span(1, 7, 9))


def test_little_is_left_uncovered() -> None:
    assert next_task({1: LEAST - 1}, [], LEAST) is None
    task = next_task({1: LEAST}, [], LEAST)
    assert task is not None
    assert (task.spans, task.absorbed) == ((Span(1, 0, LEAST),), ())


def test_a_small_index_is_built_anew_with_what_came_later() -> None:
    task = next_task({1: 30}, [entry(5, Span(1, 0, 20))], LEAST)
    assert task is not None
    assert (task.spans, task.absorbed) == ((Span(1, 0, 30),), (5,))


def test_a_large_index_is_left_alone() -> None:
    task = next_task({1: 100, 2: 10}, [entry(5, Span(1, 0, 100))], LEAST)
    assert task is not None
    assert (task.spans, task.absorbed) == ((Span(2, 0, 10),), ())


def test_an_index_that_has_lost_a_segment_is_built_anew_over_the_rest() -> None:
    worn = entry(5, Span(1, 0, 50), Span(2, 0, 50))
    task = next_task({2: 50, 3: 5}, [worn], LEAST)
    assert task is not None
    assert (task.spans, task.absorbed) == ((Span(2, 0, 50), Span(3, 0, 5)), (5,))


def test_an_index_that_has_lost_little_is_not() -> None:
    assert next_task({2: 90}, [entry(5, Span(1, 0, 10), Span(2, 0, 90))], LEAST) is None


def test_an_index_of_which_nothing_is_left_needs_no_other() -> None:
    assert next_task({}, [entry(5, Span(1, 0, 10))], LEAST) is None


@given(st.lists(st.integers(1, 60), max_size=40))
def test_however_it_grows_each_slot_is_covered_once_and_indexes_are_few(growth: list[int]) -> None:
    slots: dict[int, int] = {}
    entries: list[AnnEntry] = []
    for added in growth:
        for _ in range(added):
            last = max(slots, default=1)
            number = last if slots.get(last, 0) < 25 else last + 1
            slots[number] = slots.get(number, 0) + 1
        while task := next_task(slots, entries, LEAST):
            entries = [one for one in entries if one.number not in task.absorbed]
            entries.append(entry(max((one.number for one in entries), default=0) + 1, *task.spans))
        covered = [slot for one in entries for slot in slots_of(one.spans)]
        left = slots_of(uncovered(slots, entries))
        assert len(left) < LEAST
        assert sorted(covered + left) == slots_of(
            tuple(Span(number, 0, count) for number, count in slots.items())
        )
        assert len(entries) <= max(1, sum(slots.values()).bit_length())
