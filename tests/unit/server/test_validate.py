from __future__ import annotations

import math

import pytest
from groundwire_index.errors import InvalidArgumentError
from groundwire_server.services.validate import (
    page_size_of,
    require,
    require_bytes,
    require_count,
    require_id,
    require_idempotency_key,
    require_name,
    require_range,
    require_text,
)


def refused(check, *args, **kwargs) -> str:
    with pytest.raises(InvalidArgumentError) as error:
        check(*args, **kwargs)
    (violation,) = error.value.violations
    assert violation.field == "field"
    return violation.description


def test_a_condition() -> None:
    require(True, "field", "no")
    assert refused(require, False, "field", "must be so") == "must be so"


@pytest.mark.parametrize("value", [0, 101, -1, math.nan, math.inf])
def test_a_range_holds_its_ends_and_nothing_else(value: float) -> None:
    require_range(1, "field", low=1, high=100)
    require_range(100, "field", low=1, high=100)
    assert "1 to 100" in refused(require_range, value, "field", low=1, high=100)


def test_a_range_may_be_open() -> None:
    require_range(10**9, "field", low=1)
    assert "at least 1" in refused(require_range, 0, "field", low=1)
    assert "at most 1,000" in refused(require_range, 1001, "field", high=1000)


def test_a_count() -> None:
    require_count(1, "field", high=3)
    assert "has 4 items; 1 to 3" in refused(require_count, 4, "field", high=3)
    assert "has 0 items" in refused(require_count, 0, "field", high=3)


@pytest.mark.parametrize("value", ["", " ", "\n\t ", "\u3000"])
def test_text_without_words_is_refused(value: str) -> None:
    assert "other than white space" in refused(require_text, value, "field")


def test_text_is_limited_in_bytes() -> None:
    require_text("é" * 5, "field", max_bytes=10)
    assert "is 12 bytes long; at most 10" in refused(require_text, "é" * 6, "field", max_bytes=10)
    assert "10,485,760 bytes" in refused(require_text, "x" * 10 * 2**20, "field")
    require_bytes("", "field", max_bytes=0)


@pytest.mark.parametrize("value", ["a", "ä/ö 1", "x" * 512, "\u200b", "日" * 170])
def test_ids(value: str) -> None:
    require_id(value, "field")


@pytest.mark.parametrize("value", ["", "x" * 513, "日" * 171, "a\nb", "\0", "\x7f", "\x85"])
def test_what_is_no_id(value: str) -> None:
    refused(require_id, value, "field")


@pytest.mark.parametrize("value", ["a", "A-1_b.c", "9", "x" * 128])
def test_names(value: str) -> None:
    require_name(value, "field")


@pytest.mark.parametrize("value", ["", "-a", ".a", "a b", "a/b", "x" * 129, "ä", "a\n"])
def test_what_is_no_name(value: str) -> None:
    refused(require_name, value, "field")


def test_idempotency_keys() -> None:
    require_idempotency_key("")
    require_idempotency_key("k" * 256)
    with pytest.raises(InvalidArgumentError, match="idempotency_key: is 257 bytes"):
        require_idempotency_key("k" * 257)


def test_page_sizes() -> None:
    assert page_size_of(0) == 100
    assert page_size_of(1) == 1
    assert page_size_of(1000, field="field") == 1000
    refused(page_size_of, 1001, field="field")
    refused(page_size_of, -1, field="field")
