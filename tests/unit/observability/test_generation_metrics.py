"""What the metrics say of answers, however these end."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence
from typing import Any

import pytest
from groundwire_index.errors import ResourceExhaustedError, UnavailableError
from groundwire_server.engines.engine import FinishReason, Usage
from groundwire_server.grounding.events import (
    AnswerEvent,
    CitationAdded,
    Finished,
    Sources,
    Started,
    StoreOutcome,
    TextDelta,
    Timings,
)
from groundwire_server.observability.answers import observed
from groundwire_server.observability.generation import GenerationMetrics
from prometheus_client import CollectorRegistry

STARTED = Started("r", "small", "scripted")
WORD = TextDelta("word ", 1)
END = Finished(FinishReason.STOP)

Step = AnswerEvent | BaseException | float


class Measured:
    """Answers that are played to the metrics, on a clock of their own."""

    def __init__(self) -> None:
        self.now = 0.0
        self.registry = CollectorRegistry()
        self.metrics = GenerationMetrics(self.registry, clock=lambda: self.now)
        self.closed = False

    async def play(
        self, *steps: Step, model: str = "small", late: bool = False
    ) -> list[AnswerEvent]:
        """Events are given, errors raised, and so many seconds pass."""
        return [event async for event in self.events(*steps, model=model, late=late)]

    def events(
        self, *steps: Step, model: str = "small", late: bool = False
    ) -> AsyncGenerator[AnswerEvent, None]:
        watches = [self.metrics.answer(model)]
        return observed(self._steps(steps), watches, is_late=lambda: late)

    def value(self, name: str, **labels: str) -> float | None:
        labels.setdefault("model", "small")
        return self.registry.get_sample_value(f"groundwire_generation{name}", labels)

    def lines(self) -> int:
        return sum(len(family.samples) for family in self.registry.collect())

    async def _steps(self, steps: Sequence[Step]) -> AsyncGenerator[AnswerEvent, None]:
        try:
            for step in steps:
                if isinstance(step, float):
                    self.now += step
                elif isinstance(step, BaseException):
                    raise step
                else:
                    yield step
        finally:
            self.closed = True


@pytest.fixture
def measured() -> Measured:
    return Measured()


async def test_the_first_token_may_be_of_anything_that_the_model_says(measured: Measured) -> None:
    class Thought:
        """A kind of piece that came later."""

    thought: Any = Thought()
    await measured.play(STARTED, Sources(()), 1.0, thought, 1.0, WORD, END)
    assert measured.value("_first_token_seconds_sum") == 1.0


async def test_an_answer_is_given_on_as_it_is(measured: Measured) -> None:
    events = [STARTED, WORD, WORD, END]
    assert await measured.play(*events) == events
    assert measured.closed


async def test_times_and_tokens_are_those_of_the_answer(measured: Measured) -> None:
    timings = Timings(queue_s=0.5, embed_s=0.1, retrieve_s=0.2, prefill_s=0.7, decode_s=2.0)
    usage = Usage(prompt_tokens=100, cached_tokens=64, completion_tokens=5)
    end = Finished(FinishReason.LENGTH, usage, timings)
    await measured.play(1.0, STARTED, Sources(()), 0.5, WORD, 2.0, WORD, end)
    assert measured.value("s_total", code="OK") == 1
    assert measured.value("_seconds_sum") == 3.5
    assert measured.value("_first_token_seconds_sum") == 1.5
    assert measured.value("_token_seconds_sum") == 0.5
    phases = {
        phase: measured.value("_phase_seconds_sum", phase=phase)
        for phase in ("queue", "embed", "retrieve", "prefill", "decode")
    }
    assert phases == {"queue": 0.5, "embed": 0.1, "retrieve": 0.2, "prefill": 0.7, "decode": 2}
    assert measured.value("_prompt_tokens_total") == 100
    assert measured.value("_cached_tokens_total") == 64
    assert measured.value("_completion_tokens_total") == 5
    assert measured.value("_prefix_hits_total") == 1
    assert measured.value("_choices_total", finish_reason="length") == 1


async def test_phases_that_did_not_happen_are_not_measured(measured: Measured) -> None:
    await measured.play(STARTED, Finished(FinishReason.NO_SOURCES))
    assert measured.value("_phase_seconds_count", phase="embed") == 0
    assert measured.value("_first_token_seconds_count") == 0
    assert measured.value("_token_seconds_count") == 0
    assert measured.value("_prefix_hits_total") == 0
    assert measured.value("_choices_total", finish_reason="no_sources") == 1


async def test_choices_are_decoded_side_by_side(measured: Measured) -> None:
    end = Finished(FinishReason.STOP, Usage(completion_tokens=22), Timings(decode_s=1.0))
    await measured.play(STARTED, WORD, END, end)
    assert measured.value("_token_seconds_sum") == pytest.approx(0.1)
    assert measured.value("_choices_total", finish_reason="stop") == 2
    assert measured.value("s_total", code="OK") == 1


async def test_citations_are_counted_by_whether_they_held(measured: Measured) -> None:
    cited = CitationAdded(1, 0, 5, 0, 5)
    await measured.play(
        STARTED, WORD, cited, cited, Finished(FinishReason.STOP, dropped_citations=3)
    )
    assert measured.value("_citations_total", verdict="kept") == 2
    assert measured.value("_citations_total", verdict="dropped") == 3


async def test_what_became_of_a_session_and_of_the_question_is_counted(measured: Measured) -> None:
    await measured.play(STARTED, Finished(FinishReason.STOP, stored=StoreOutcome.CONFLICT))
    await measured.play(STARTED, Finished(FinishReason.STOP, degraded_reason="2 of 5 did not fit"))
    assert measured.value("_stored_total", outcome="conflict") == 1
    assert measured.value("_stored_total", outcome="stored") == 0
    assert measured.value("_degraded_total") == 1


async def test_another_model_that_answers_is_the_one_that_is_measured(measured: Measured) -> None:
    await measured.play(Started("r", "large", "scripted"), WORD, END)
    assert measured.value("s_total", model="large", code="OK") == 1
    assert measured.value("s_total", code="OK") == 0
    assert measured.value("_replaced_total") == 1
    assert measured.value("_replaced_total", model="large") == 0


@pytest.mark.parametrize(
    ("error", "late", "code"),
    [
        (ResourceExhaustedError("full", reason="QUEUE_FULL"), False, "RESOURCE_EXHAUSTED"),
        (UnavailableError("dead", reason="ENGINE_DEAD"), False, "UNAVAILABLE"),
        (asyncio.CancelledError(), False, "CANCELLED"),
        (asyncio.CancelledError(), True, "DEADLINE_EXCEEDED"),
        (TimeoutError(), True, "DEADLINE_EXCEEDED"),
        (TimeoutError(), False, "INTERNAL"),
        (ZeroDivisionError(), False, "INTERNAL"),
    ],
)
async def test_an_answer_that_is_cut_off_is_counted_by_why(
    measured: Measured, error: BaseException, late: bool, code: str
) -> None:
    with pytest.raises(type(error)):
        await measured.play(STARTED, WORD, 1.0, error, late=late)
    assert measured.value("s_total", code=code) == 1
    assert measured.value("s_total", code="OK") == 0
    assert measured.value("_seconds_count") == 0


async def test_a_reader_that_leaves_has_cancelled(measured: Measured) -> None:
    events = measured.events(STARTED, WORD, END)
    await anext(events)
    await events.aclose()
    assert measured.closed
    assert measured.value("s_total", code="CANCELLED") == 1


async def test_an_aborted_answer_does_not_count_as_a_quick_one(measured: Measured) -> None:
    await measured.play(STARTED, WORD, Finished(FinishReason.ABORTED))
    assert measured.value("_choices_total", finish_reason="aborted") == 1
    assert measured.value("_seconds_count") == 0


async def test_a_model_is_reported_before_its_first_answer(measured: Measured) -> None:
    measured.metrics.expect("small")
    before = measured.lines()
    assert measured.value("_choices_total", finish_reason="stop") == 0
    await measured.play(STARTED, WORD, END)
    assert measured.lines() == before
