"""Filters over metadata, in words.

>>> all_of(where("year").gte(2020), not_(where("tags").one_of(["draft", "old"])))

A field is a path with "." between keys; "$id" and "$document_id" read the record itself. A
comparison with a missing field, a null or a value of another type is false.
"""

from __future__ import annotations

from collections.abc import Iterable

from google.protobuf.struct_pb2 import ListValue, Value

from groundwire.v1.filter_pb2 import Filter, FilterCondition, FilterList
from groundwire.values import to_item

Scalar = str | int | float | bool


class where:  # noqa: N801 - reads as the word that it is
    """A field to compare: ``where("author.name").eq("Ada")``."""

    def __init__(self, field: str) -> None:
        self._field = field

    def eq(self, value: Scalar) -> Filter:
        """Equal to the value."""
        return self._filter(FilterCondition(eq=self._value(value)))

    def ne(self, value: Scalar) -> Filter:
        """Present, and not equal to the value."""
        return self._filter(FilterCondition(ne=self._value(value)))

    def lt(self, value: Scalar) -> Filter:
        """Less than the value."""
        return self._filter(FilterCondition(lt=self._value(value)))

    def lte(self, value: Scalar) -> Filter:
        """Less than or equal to the value."""
        return self._filter(FilterCondition(lte=self._value(value)))

    def gt(self, value: Scalar) -> Filter:
        """Greater than the value."""
        return self._filter(FilterCondition(gt=self._value(value)))

    def gte(self, value: Scalar) -> Filter:
        """Greater than or equal to the value."""
        return self._filter(FilterCondition(gte=self._value(value)))

    def one_of(self, values: Iterable[Scalar]) -> Filter:
        """Equal to one of the values."""
        condition = FilterCondition()
        # `in` is a keyword of Python, so the generated field cannot be named as an argument.
        getattr(condition, "in").CopyFrom(ListValue(values=[self._value(item) for item in values]))
        return self._filter(condition)

    def contains(self, text: str) -> Filter:
        """A string that contains the text."""
        return self._filter(FilterCondition(contains=text))

    def prefix(self, text: str) -> Filter:
        """A string that starts with the text."""
        return self._filter(FilterCondition(prefix=text))

    def exists(self) -> Filter:
        """Present and not null."""
        return self._filter(FilterCondition(exists=True))

    def missing(self) -> Filter:
        """Absent or null."""
        return self._filter(FilterCondition(exists=False))

    def _value(self, value: Scalar) -> Value:
        return to_item(self._field, value)

    def _filter(self, condition: FilterCondition) -> Filter:
        condition.field = self._field
        return Filter(condition=condition)


def all_of(*filters: Filter) -> Filter:
    """True if every filter is."""
    return Filter(all=FilterList(filters=filters))


def any_of(*filters: Filter) -> Filter:
    """True if at least one filter is."""
    return Filter(any=FilterList(filters=filters))


def not_(part: Filter) -> Filter:
    """True if the part is false, so also for records without the field."""
    inverted = Filter()
    getattr(inverted, "not").CopyFrom(part)
    return inverted
