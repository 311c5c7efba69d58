"""Vectors of different models must never meet: the check that keeps them apart."""

from __future__ import annotations

from dataclasses import asdict

from groundwire_index.errors import FailedPreconditionError
from groundwire_index.records import Fingerprint


def require_match(collection: str, stored: Fingerprint | None, embedder: Fingerprint) -> None:
    """Refuse to embed for a collection whose vectors this embedder did not make.

    ``stored`` is the collection's fingerprint, None if its clients bring their own vectors.
    Raises FailedPreconditionError, which names both models and what differs.
    """
    if stored is None:
        raise FailedPreconditionError(
            f'collection "{collection}" has no embedder: send vectors instead of texts, or '
            "search by words alone with SEARCH_MODE_LEXICAL",
            reason="NO_EMBEDDER",
        )
    if stored != embedder:
        differing = ", ".join(
            f"{name} {ours!r} instead of {theirs!r}"
            for (name, theirs), ours in zip(
                asdict(stored).items(), asdict(embedder).values(), strict=True
            )
            if ours != theirs
        )
        raise FailedPreconditionError(
            f'collection "{collection}" was made with the embedder "{stored.model}"; this '
            f'server embeds with "{embedder.model}" ({differing}): start it with the '
            "collection's embedder, or fill a new collection",
            reason="EMBEDDER_MISMATCH",
            metadata={"collection_embedder": stored.model, "server_embedder": embedder.model},
        )
