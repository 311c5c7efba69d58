"""Options by keyword: those that there are, and no others."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from difflib import get_close_matches

from groundwire.chat import Sampling


def require_known(options: Mapping[str, object], kind: type) -> None:
    """Raise TypeError for an option that ``kind``, a TypedDict, does not have.

    Type checkers say so too; at run time Python does not, and what is misspelt would be lost.
    """
    known = list(kind.__annotations__)
    for name in options:
        if name not in known:
            raise TypeError(f"{name!r} is no option here: {_advice(name, known)}")


def _advice(name: str, known: list[str]) -> str:
    if "sampling" in known and name in {one.name for one in fields(Sampling)}:
        return f"give sampling=Sampling({name}=...)"
    if close := get_close_matches(name, known, 1):
        return f"did you mean {close[0]!r}?"
    return f"there are {', '.join(known)}"
