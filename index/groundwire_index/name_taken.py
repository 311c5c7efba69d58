"""What is said to someone who creates a collection that is there already."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict

from groundwire_index.errors import AlreadyExistsError
from groundwire_index.records import CollectionSpec, Fingerprint


def name_taken(stored: CollectionSpec, wanted: CollectionSpec) -> AlreadyExistsError:
    """The error, which names everything in which the two differ."""
    theirs, ours = dict(_facts(stored)), dict(_facts(wanted))
    # What only one of them has follows from a difference in what both have.
    differing = [name for name in theirs if name in ours and theirs[name] != ours[name]]
    said = ", ".join(f"{name} {theirs[name]:.80} instead of {ours[name]:.80}" for name in differing)
    return AlreadyExistsError(
        f'collection "{stored.name}" is there already, '
        f"{f'with {said}' if said else 'just as it was asked for'}: use it as it is, choose "
        "another name, or delete it first",
        metadata={
            "resource_type": "collection",
            "resource_name": stored.name,
            "differs_in": ", ".join(differing),
        },
    )


def _facts(spec: CollectionSpec) -> Iterator[tuple[str, str]]:
    yield "metric", spec.metric.value
    yield "dimension", f"{spec.dimension:,}"
    yield "vector type", spec.vector_type.value
    yield from _embedder_facts(spec.fingerprint)
    yield "index kind", f'"{spec.index_kind}"'
    yield "index parameters", str(dict(spec.index_parameters))
    yield "description", f'"{spec.description}"'


def _embedder_facts(fingerprint: Fingerprint | None) -> Iterator[tuple[str, str]]:
    if fingerprint is None:
        yield "embedder", '"none"'
        return
    yield "embedder", f'"{fingerprint.model}"'
    for name, value in asdict(fingerprint).items():
        if name not in ("model", "dimension"):
            yield f"embedder {name}", repr(value)
