"""A number that its field cannot hold is refused by the client, by the name of the field."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from groundwire import ChunkPosition, Grounding, ReciprocalRank, Record, Sampling, where
from groundwire.call import Pages
from groundwire.requests import (
    collections,
    documents,
    embed,
    generate,
    memory,
    records,
    search,
    snapshots,
)
from groundwire.values import to_struct

UINT32 = "0 to 4,294,967,295"
UINT64 = "0 to 18,446,744,073,709,551,615"
INT32 = "-2,147,483,648 to 2,147,483,647"


def first(pages: Pages[Any]) -> None:
    pages.page("")


CALLS: dict[str, tuple[Callable[[Any], object], str]] = {
    "top_k": (lambda n: search.search("c", "q", top_k=n), UINT32),
    "ef": (lambda n: search.search_batch("c", ["q"], ef=n), UINT32),
    "nprobe": (lambda n: search.search("c", "q", nprobe=n), UINT32),
    "k": (lambda n: search.search("c", "q", fusion=ReciprocalRank(n)), UINT32),
    "at_least_sequence": (lambda n: records.count("c", at_least_sequence=n), UINT64),
    "dimension": (lambda n: collections.create_collection("c", dimension=n), UINT32),
    "dimensions": (lambda n: embed.embed(["a"], dimensions=n), UINT32),
    "overlap_tokens": (
        lambda n: documents.ingest("c", b"x", filename="x", overlap_tokens=n),
        UINT32,
    ),
    "expected_head": (lambda n: memory.append("s", [], expected_head=n), UINT64),
    "at_turn": (lambda n: memory.fork_session("s", n), UINT64),
    "budget_tokens": (lambda n: memory.build_context("s", budget_tokens=n), UINT32),
    "max_tokens": (lambda n: generate.generate("q", sampling=Sampling(max_tokens=n)), INT32),
    "priority": (lambda n: generate.complete("q", priority=n), INT32),
}
PAGES: list[Callable[[int], Pages[Any]]] = [
    lambda n: collections.list_collections(page_size=n),
    lambda n: documents.list_documents("c", page_size=n),
    lambda n: memory.list_sessions(page_size=n),
    lambda n: memory.messages("s", page_size=n),
    lambda n: records.scroll("c", page_size=n),
    lambda n: snapshots.list_snapshots(page_size=n),
]


@pytest.mark.parametrize("field", CALLS)
@pytest.mark.parametrize("number", [-(2**40) * 2**40, 2**70, 1.5, "7"])
def test_a_number_that_does_not_fit_is_refused_by_its_field(field: str, number: object) -> None:
    call, allowed = CALLS[field]
    with pytest.raises(ValueError, match="is not a whole number") as error:
        call(number)
    assert str(error.value) == f"{field}: {number!r} is not a whole number from {allowed}."


@pytest.mark.parametrize("call", [call for call, _ in CALLS.values()])
def test_a_number_that_fits_is_taken_of_whatever_type(call: Callable[[Any], object]) -> None:
    call(7)
    call(np.int64(7))


@pytest.mark.parametrize("pages", PAGES)
def test_the_size_of_a_page_is_named(pages: Callable[[int], Pages[Any]]) -> None:
    with pytest.raises(ValueError, match=f"^page_size: -1 is not a whole number from {UINT32}"):
        first(pages(-1))


def test_the_place_of_a_chunk_and_of_a_source_is_named() -> None:
    with pytest.raises(ValueError, match=r"^start: -1 is not"):
        records.upsert("c", [Record("a", position=ChunkPosition(0, -1, 2))])
    with pytest.raises(ValueError, match=r"^top_k: -1 is not"):
        generate.generate("q", grounding=Grounding("c", top_k=-1))


@pytest.mark.parametrize("ttl", [1e30, -1e30, float("inf"), float("nan")])
def test_a_time_that_is_none_is_named(ttl: float) -> None:
    with pytest.raises(ValueError, match=r"^ttl: .* is not a number of seconds up to 315,576"):
        memory.create_session(ttl=ttl)


def test_a_value_of_another_type_is_named() -> None:
    with pytest.raises(TypeError, match=r"^parameters: \{'m': 32\} is of a type"):
        collections.create_collection("c", index_parameters={"m": 32})  # type: ignore[dict-item]


def test_a_number_of_metadata_or_a_filter_is_named_by_its_key() -> None:
    with pytest.raises(ValueError, match=r'^"a": "b": 1\d+ does not fit'):
        to_struct({"a": {"b": [2**60]}})
    with pytest.raises(ValueError, match=r'^"year": 1\d+ does not fit'):
        where("year").one_of([1, 2**60])
