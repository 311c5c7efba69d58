"""The collection before the first record is written: made, or found to be the right one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from groundwire import Collection, Record
from groundwire.errors import InvalidArgumentError, NotFoundError
from groundwire.vectors import encode

from groundwire_server.cli.transfer.embedder_choice import choose_embedder
from groundwire_server.cli.transfer.source import Source, TransferError
from groundwire_server.cli.transfer.target import Target

EMBEDDED = "the collection takes searches by text: the server's embedder makes the same vectors"
BROUGHT = (
    "the collection takes searches by vectors and by words, not by the meaning of a text: its "
    "vectors are not those of the server's embedder"
)


@dataclass(frozen=True, slots=True)
class Opened:
    """The collection before, and what to say about it."""

    collection: Collection
    """As it was then."""
    notes: tuple[str, ...] = ()


def open_collection(target: Target, source: Source, records: Sequence[Record]) -> Opened:
    """Make the collection as the source's first records need it, or check that it takes them."""
    try:
        found = target.client.retrieve.get_collection(target.name)
    except NotFoundError:
        return _create(target, source, records)
    _check_metric(found, source)
    _check_dimension(found, records)
    _check_vector_type(found, target)
    return Opened(found)


def _create(target: Target, source: Source, records: Sequence[Record]) -> Opened:
    embedder = choose_embedder(target.client, records)
    try:
        made = target.client.retrieve.create_collection(
            target.name,
            metric=source.metric or "cosine",
            dimension=_dimension(records),
            embedder=embedder,
            description=source.description,
            vector_type=target.vector_type,
        )
    except InvalidArgumentError as error:
        raise TransferError(
            f"no collection {target.name!r} can be made: {error.message}{_advice(error)}"
        ) from error
    return Opened(made, (BROUGHT if embedder else EMBEDDED,))


def _advice(error: InvalidArgumentError) -> str:
    named = any(violation.field == "name" for violation in error.violations)
    return "; give it another name with --as NAME" if named else ""


def _check_metric(found: Collection, source: Source) -> None:
    if source.metric and source.metric != found.metric:
        raise TransferError(
            f"the collection {found.name!r} is there already and compares vectors by "
            f"{found.metric}, not by {source.metric} as the source does: choose another name"
        )


def _check_dimension(found: Collection, records: Sequence[Record]) -> None:
    dimension = _dimension(records)
    if dimension not in (None, found.dimension):
        raise TransferError(
            f"the collection {found.name!r} is there already with vectors of "
            f"{found.dimension:,} dimensions, and the source has vectors of {dimension:,}: "
            "choose another name"
        )


def _check_vector_type(found: Collection, target: Target) -> None:
    if target.vector_type not in (None, found.vector_type):
        raise TransferError(
            f"the collection {found.name!r} is there already with vectors of {found.vector_type}, "
            f"not of {target.vector_type}: choose another name, or leave --vector-type out"
        )


def _dimension(records: Sequence[Record]) -> int | None:
    """Of the first vector there is."""
    vectors = (record.vector for record in records)
    first = next((vector for vector in vectors if vector is not None), None)
    return None if first is None else len(encode(first).f32le) // 4
