"""Citations are compared with their passages beside the stream, which never waits for it."""

from __future__ import annotations

import asyncio
from itertools import pairwise

from groundwire_server.grounding.citations import CitationParser
from groundwire_server.grounding.similarity import Similarity
from groundwire_server.grounding.support import Evidence
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.grounding.similarities import Slow, Told

MIRROR = "The main mirror is 2.4 metres wide. It was cast in 1931."
TICKETS = "Tickets cost 12 euros for adults. Children enter free of charge."


def parser(similarity: Similarity) -> CitationParser:
    return CitationParser({1: Evidence(MIRROR), 2: Evidence(TICKETS)}, similarity)


async def read(similarity: Similarity, *pieces: str) -> tuple[str, CitationParser]:
    reader = parser(similarity)
    text = "".join([reader.feed(piece).text for piece in pieces])
    await reader.settle()
    text += reader.finish().text
    assert text == reader.text
    return text, reader


async def test_other_words_hold_if_they_mean_the_same() -> None:
    said = "Grown-ups have to spend 12 euros [2]."
    text, reader = await read(Told(0.8), said)
    assert text == said
    assert [one.source for one in reader.citations] == [2]
    text, reader = await read(Told(0.5), said)
    assert text == "Grown-ups have to spend 12 euros."
    assert reader.dropped == 1


async def test_the_same_words_do_not_hold_if_they_mean_something_else() -> None:
    text, reader = await read(Told(0.05), "The cast of 1931 was wide [1].")
    assert (text, reader.dropped) == ("The cast of 1931 was wide.", 1)


async def test_no_similarity_makes_up_for_a_wrong_number() -> None:
    _, reader = await read(Told(1.0), "Tickets cost 14 euros for adults [2].")
    assert reader.dropped == 1


async def test_a_quotation_is_not_compared() -> None:
    told = Told(0.0)
    _, reader = await read(told, "Tickets cost 12 euros for adults [2]. It was cast in 1931 [1].")
    assert [one.source for one in reader.citations] == [2, 1]
    assert told.asked == []


async def test_all_passages_of_a_mark_are_compared_in_one_go() -> None:
    told = Told(0.9)
    text, reader = await read(told, "Children cast wide tickets [1, 2, 7].")
    assert len(told.asked) == 1
    assert (text[-7:], reader.dropped) == ("[1, 2].", 1)


async def test_what_follows_a_mark_is_taken_while_it_is_compared_and_goes_out_after() -> None:
    slow = Slow()
    reader = parser(slow)
    assert reader.feed("Adults pay 12 euros [2]. ").text == "Adults pay 12 euros"
    assert reader.feed("It was made ").text == ""
    assert reader.feed("in 1931").text == ""
    slow.ready.set()
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    parsed = reader.feed(" [1].")
    assert parsed.text == " [2]. It was made in 1931"
    assert [one.source for one in parsed.citations] == [2]
    await reader.settle()
    last = reader.finish()
    assert last.text == " [1]."
    assert [one.source for one in last.citations] == [1]


async def test_where_nothing_can_be_compared_words_decide_and_it_is_counted() -> None:
    said = "For adults tickets cost 12 euros [2]. Grown-ups have to spend 12 euros [2]."
    text, reader = await read(Told(None), said)
    assert text == "For adults tickets cost 12 euros [2]. Grown-ups have to spend 12 euros."
    assert (reader.judged_by_words, reader.dropped) == (2, 1)


async def test_an_embedder_that_could_not_tell_is_not_waited_for_again_in_the_same_answer() -> None:
    silent = Told(None)
    said = "Grown-ups have to spend 12 euros [2]. " * 20
    _, reader = await read(silent, *said.partition("[2]."))
    assert len(silent.asked) == 1
    assert reader.judged_by_words == 20


async def test_a_comparison_that_nobody_waits_for_any_more_is_given_up() -> None:
    slow = Slow()
    reader = parser(slow)
    reader.feed("Adults pay 12 euros [2].")
    await asyncio.sleep(0)
    reader.close()
    reader.close()
    await asyncio.sleep(0)
    assert slow.cancelled == 1


ANSWER = (
    "The mirror measures 2.4 metres [1]. It was made in 1931. [1] Adults pay 12 euros [2, 5] and "
    "99 pounds [2].\n[1] Kids enter free of charge [2][1]. See [note"
)


@given(st.lists(st.integers(1, len(ANSWER) - 1), max_size=12), st.sampled_from([0.0, 1.0]))
def test_where_the_stream_is_cut_makes_no_difference(cuts: list[int], similarity: float) -> None:
    edges = [0, *sorted(set(cuts)), len(ANSWER)]
    pieces = [ANSWER[a:b] for a, b in pairwise(edges)]

    async def both() -> None:
        whole_text, whole = await read(Told(similarity), ANSWER)
        text, reader = await read(Told(similarity), *pieces)
        assert (text, reader.citations, reader.dropped) == (
            whole_text,
            whole.citations,
            whole.dropped,
        )
        assert bool(whole.citations) == bool(similarity)

    asyncio.run(both())
