"""Making messages, so that a value which a field cannot hold is told by the field's name."""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar

from google.protobuf.descriptor import FieldDescriptor

P = ParamSpec("P")
M = TypeVar("M")

_WHOLE = {
    FieldDescriptor.CPPTYPE_INT32: range(-(2**31), 2**31),
    FieldDescriptor.CPPTYPE_INT64: range(-(2**63), 2**63),
    FieldDescriptor.CPPTYPE_UINT32: range(2**32),
    FieldDescriptor.CPPTYPE_UINT64: range(2**64),
}


def made(kind: Callable[P, M], /, *none: P.args, **fields: P.kwargs) -> M:
    """The message of these fields. Raises ValueError or TypeError, naming the field."""
    try:
        return kind(*none, **fields)
    except (ValueError, TypeError):
        for name, value in fields.items():
            _check(kind, name, value)
        raise


def _check(kind: Any, name: str, value: Any) -> None:
    whole = _WHOLE.get(kind.DESCRIPTOR.fields_by_name[name].cpp_type)
    if whole is not None:
        _check_whole(name, value, whole)
        return
    try:
        kind(**{name: value})
    except TypeError as error:
        raise TypeError(f"{name}: {value!r:.100} is of a type that it cannot have.") from error


def _check_whole(name: str, value: Any, allowed: range) -> None:
    try:
        if value is None or operator.index(value) in allowed:
            return
    except TypeError:
        pass
    raise ValueError(
        f"{name}: {value!r} is not a whole number from {allowed[0]:,} to {allowed[-1]:,}."
    )
