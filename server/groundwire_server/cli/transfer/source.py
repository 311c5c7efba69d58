"""Where records come from."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeAlias

from groundwire import Record
from groundwire.results.collections import Metric

PAGE = 1000


class TransferError(Exception):
    """Nothing can be moved; the message is a sentence that says why, and what to do."""


@dataclass(frozen=True, slots=True)
class Placed:
    """A record, and where it was found: "line 17 of notes.jsonl"."""

    record: Record
    place: str


@dataclass(frozen=True, slots=True)
class Refused:
    """What is no record, or none that can be stored: where it was found, and why."""

    place: str
    why: str


Page: TypeAlias = Sequence[Placed | Refused]


class Source(Protocol):
    """Records in an order of its own. Reading changes nothing in it.

    Each method raises TransferError when the source as a whole cannot be read; what is wrong
    with one record is told as Refused in its place, and the others follow.
    """

    name: str
    """For people."""
    metric: Metric | None
    """How its vectors are meant to be compared; None if it does not say."""
    description: str
    """For the collection that is made of it; may be empty."""
    notes: tuple[str, ...]
    """What it holds that has no place in a collection, in sentences."""

    def count(self) -> int:
        """Records in it now."""

    def pages(self) -> Iterator[Page]:
        """All of them, at most PAGE at a time."""
