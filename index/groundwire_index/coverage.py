"""Which slots an approximate index covers, and which it should cover next."""

from __future__ import annotations

from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from operator import attrgetter

# Fewer vectors than this are compared in less time than an index takes to be asked.
LEAST = 1024
# An index is built anew, together with what came later, once that is half as large. So there
# are few indexes, each vector is indexed a few times only, and a search asks each of them.
_ABSORBED = 2
# An index of which no more than this share is left is built anew.
_WORN = 0.8


@dataclass(frozen=True, slots=True)
class Span:
    """Slots ``start`` to ``stop`` (without it) of one segment."""

    segment: int
    start: int
    stop: int

    def __len__(self) -> int:
        return self.stop - self.start


@dataclass(frozen=True, slots=True)
class AnnEntry:
    """An approximate index that is complete: one line of the manifest.

    It numbers its vectors from 0, in the order of its spans.
    """

    number: int
    kind: str
    spans: tuple[Span, ...]
    parameters: Mapping[str, str] = field(default_factory=dict)
    bytes: int = 0
    checksum: int = 0
    """CRC-32 of the file."""

    @property
    def size(self) -> int:
        """Vectors that it covers."""
        return _size(self.spans)


@dataclass(frozen=True, slots=True)
class Task:
    """An index to build, in place of some that there are."""

    spans: tuple[Span, ...]
    absorbed: tuple[int, ...]

    @property
    def size(self) -> int:
        """Vectors that it will cover."""
        return _size(self.spans)


def uncovered(slots: Mapping[int, int], entries: Iterable[AnnEntry]) -> tuple[Span, ...]:
    """What no index covers, given the slots of each segment."""
    covered = sorted(
        (span for entry in entries for span in entry.spans), key=attrgetter("segment", "start")
    )
    known = {number: list(spans) for number, spans in groupby(covered, attrgetter("segment"))}
    return tuple(
        span
        for number, count in slots.items()
        for span in _gaps(number, count, known.get(number, []))
    )


def next_task(
    slots: Mapping[int, int],
    entries: Sequence[AnnEntry],
    least: int,
    outdated: Container[int] = (),
) -> Task | None:
    """The next index to build, over what is uncovered and over the small ones before it.

    None where less than ``least`` is uncovered. Of segments that are gone nothing is indexed
    again; an index that has lost a fifth of its vectors with them is built anew, and so are those
    whose numbers are ``outdated``.
    """
    left_over = uncovered(slots, entries)
    left = {entry.number: _left(entry, slots) for entry in entries}
    worn = [
        entry
        for entry in entries
        if entry.number in outdated or _size(left[entry.number]) <= _WORN * entry.size
    ]
    size = _size(left_over) + sum(_size(left[entry.number]) for entry in worn)
    if _size(left_over) < least and not worn:
        return None
    absorbed = [entry.number for entry in worn]
    for entry in sorted(entries, key=attrgetter("size")):
        if entry.size > _ABSORBED * size:
            break
        if entry not in worn:
            absorbed.append(entry.number)
            size += _size(left[entry.number])
    joined = [*left_over, *(span for number in absorbed for span in left[number])]
    return Task(tuple(_merged(joined)), tuple(absorbed)) if joined else None


def _left(entry: AnnEntry, slots: Mapping[int, int]) -> list[Span]:
    return [span for span in entry.spans if span.segment in slots]


def _size(spans: Iterable[Span]) -> int:
    return sum(map(len, spans))


def _gaps(segment: int, slots: int, covered: Iterable[Span]) -> Iterator[Span]:
    start = 0
    for span in covered:
        if span.start > start:
            yield Span(segment, start, span.start)
        start = span.stop
    if start < slots:
        yield Span(segment, start, slots)


def _merged(spans: Iterable[Span]) -> Iterator[Span]:
    """The same slots in order, with neighbours as one span."""
    last: Span | None = None
    for span in sorted(spans, key=attrgetter("segment", "start")):
        if last and last.segment == span.segment and last.stop == span.start:
            last = Span(last.segment, last.start, span.stop)
            continue
        if last:
            yield last
        last = span
    if last:
        yield last
