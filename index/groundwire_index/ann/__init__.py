"""Approximate indexes on FAISS, one file per family."""

from groundwire_index.ann.protocol import Ann, BuildCancelledError, Family, Tuning, Vectors

__all__ = ["FAMILIES", "Ann", "BuildCancelledError", "Family", "Tuning", "Vectors", "kind_for"]

FAMILIES: dict[str, Family] = {}


def kind_for(size: int) -> str:  # noqa: ARG001 - until there is a family
    """The kind of index for so many vectors, where the collection does not say."""
    return "flat"
