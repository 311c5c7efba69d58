"""What is cited is compared with its source by the embedder, beside the stream."""

from __future__ import annotations

import asyncio

import pytest
from groundwire_server.engines.engine import TextPiece

from tests.e2e.generate.serving import ALICE, Serve, rest_of, text_of
from tests.e2e.generate.test_generate_grounded import MIRROR, about, ask
from tests.patience import until
from tests.unit.grounding.scripted_engine import ScriptedEngine, saying
from tests.unit.grounding.similarities import Slow, Told

pytestmark = pytest.mark.usefixtures("library")


async def test_half_of_the_words_are_enough_if_they_mean_the_same_and_not_otherwise(
    serve: Serve,
) -> None:
    said = ["Visitors can eat soup in the cafe till nine [1]. ", "Nine saw the cafe at noon [1]."]
    async with serve(ScriptedEngine(saying(*said))) as serving:
        events = await ask(serving, about("When can we have soup?", top_k=1))
    (citation,) = [event.citation for event in events if event.HasField("citation")]
    assert text_of(events)[citation.answer_start : citation.answer_end].startswith("Visitors")
    assert events[-1].finished.dropped_citations == 1
    assert not events[-1].finished.degraded


async def test_the_engine_goes_on_while_a_citation_is_compared(serve: Serve) -> None:
    slow = Slow()
    engine = ScriptedEngine(saying("It has 2.4 metres", " [1].", " It is", " wide", " too [1]."))
    async with serve(engine, similarity=slow) as serving:
        call = serving.stub.Generate(about(MIRROR), metadata=ALICE)
        events = [await call.read() for _ in range(3)]
        assert text_of(events) == "It has 2.4 metres"
        slow.ready.set()
        events += await rest_of(call)
    assert text_of(events) == "It has 2.4 metres [1]. It is wide too [1]."
    assert len(slow.asked) == 2
    assert not events[-1].finished.degraded


async def test_text_goes_out_with_the_first_piece_after_the_verdict(serve: Serve) -> None:
    slow, more, last = Slow(), asyncio.Event(), asyncio.Event()
    says = [TextPiece(text, 1) for text in ("It has 2.4 metres", " [1].", " It")]
    engine = ScriptedEngine([*says, more, TextPiece(" is", 1), last, *saying(" wide.")])
    async with serve(engine, similarity=slow) as serving:
        call = serving.stub.Generate(about(MIRROR), metadata=ALICE)
        events = [await call.read() for _ in range(3)]
        slow.ready.set()
        await until(lambda: bool(slow.asked))
        more.set()
        events.append(await call.read())
        assert text_of(events) == "It has 2.4 metres [1]. It is"
        last.set()
        events += await rest_of(call)
    assert text_of(events) == "It has 2.4 metres [1]. It is wide."


async def test_without_the_embedder_words_decide_and_the_answer_says_so(serve: Serve) -> None:
    engine = ScriptedEngine(saying("It has 2.4 metres [1]. ", "Rain keeps it shut [1]."))
    async with serve(engine, similarity=Told(None), passage_tokens=55) as serving:
        events = await ask(serving, about(MIRROR))
    assert text_of(events) == "It has 2.4 metres [1]. Rain keeps it shut."
    finished = events[-1].finished
    assert finished.degraded
    assert finished.degraded_reason == (
        "3 of 5 passages did not fit the prompt; 1 citation mark was judged by words alone: the "
        "embedder did not compare it in time"
    )
    assert finished.dropped_citations == 1


async def test_a_client_that_leaves_leaves_no_comparison_behind(serve: Serve) -> None:
    slow = Slow()
    engine = ScriptedEngine([*saying("It has 2.4 metres", " [1].")[:2], asyncio.Event()])
    async with serve(engine, similarity=slow) as serving:
        call = serving.stub.Generate(about(MIRROR), metadata=ALICE)
        for _ in range(3):
            await call.read()
        call.cancel()
        await until(lambda: bool(slow.cancelled))
    assert slow.asked == []


async def test_an_answer_may_end_with_a_mark_that_is_being_compared(serve: Serve) -> None:
    slow = Slow()
    engine = ScriptedEngine(saying("It has 2.4 metres", " [1]"))
    async with serve(engine, similarity=slow) as serving:
        call = serving.stub.Generate(about(MIRROR, require_sources=True), metadata=ALICE)
        events = [await call.read() for _ in range(2)]
        slow.ready.set()
        events += await rest_of(call)
    assert text_of(events) == "It has 2.4 metres [1]"
    assert events[-1].finished.confidence > 0
