"""Counting tokens of what was counted before."""

from __future__ import annotations

import asyncio

from groundwire_server.engines.token_counts import TokenCounts


class Words:
    """Counts words, and notes which texts it was asked for."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    def __call__(self, texts: list[str]) -> list[int]:
        self.asked += texts
        return [len(text.split()) for text in texts]


async def test_each_text_is_counted_once_and_counts_are_in_order() -> None:
    words = Words()
    counts = TokenCounts(words)
    assert await counts.of(["one two", "three", "one two"]) == [2, 1, 2]
    assert await counts.of(["three", "four five six", "\ud800"]) == [1, 3, 1]
    assert await counts.of([]) == []
    assert await counts.of(["seven " * 1000]) == [1000]
    words.asked.pop()
    assert words.asked == ["one two", "three", "four five six", "\ud800"]


async def test_what_was_not_asked_for_lately_is_forgotten() -> None:
    words = Words()
    counts = TokenCounts(words, entries=2)
    await counts.of(["a"])
    await counts.of(["b"])
    await counts.of(["a"])
    await counts.of(["c"])
    assert words.asked == ["a", "b", "c"]
    assert await counts.of(["a", "b"]) == [1, 1]
    assert words.asked == ["a", "b", "c", "b"]
    assert await counts.of(["p q", "r", "s", "t"]) == [2, 1, 1, 1]


async def test_many_who_ask_at_once_are_all_answered() -> None:
    counts = TokenCounts(Words())
    found = await asyncio.gather(*(counts.of([f"{n % 3} x", "y"]) for n in range(20)))
    assert found == [[2, 1]] * 20
