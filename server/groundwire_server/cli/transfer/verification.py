"""Looking again: are the records there, and are they the ones that were read?"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from groundwire import Record

from groundwire_server.cli.transfer.outcome import Verified
from groundwire_server.cli.transfer.same import differences
from groundwire_server.cli.transfer.source import Source
from groundwire_server.cli.transfer.tally import Tally
from groundwire_server.cli.transfer.target import Target


def verify(
    source: Source, target: Target, tally: Tally, *, before: int, sample: Sequence[Record]
) -> Verified:
    """Count the source and the collection, and compare a sample of records in full.

    ``before`` is how many records the collection had. Only what somebody else changed in
    the meantime, or a fault, makes a difference.
    """
    records = target.client.retrieve.count(target.name).count
    problems = (
        *_counts(source.count(), tally, records, before),
        *_changed(sample, target),
    )
    return Verified(records, len(sample), problems)


def _counts(in_source: int, tally: Tally, records: int, before: int) -> Iterator[str]:
    if in_source != tally.read:
        yield (
            f"the source has {in_source:,} records now, and {tally.read:,} were read: it was "
            "changed meanwhile; run this again"
        )
    if records != before + tally.added:
        yield (
            f"the collection has {records:,} records and should have {before + tally.added:,}: "
            "somebody else wrote to it meanwhile; run this again"
        )


def _changed(sample: Sequence[Record], target: Target) -> Iterator[str]:
    for given, stored in zip(sample, _stored(sample, target), strict=True):
        if stored is None:
            yield f"record {given.id!r} is not in the collection any more"
        elif parts := list(differences(given, stored)):
            yield f"record {given.id!r} differs in {', '.join(parts)} from what was read"


def _stored(sample: Sequence[Record], target: Target) -> Iterator[Record | None]:
    # One by one: together, they could be too much for a message.
    for record in sample:
        yield from target.get([record])
