"""Which answers are kept, and what one that is ended is told."""

from __future__ import annotations

from dataclasses import replace

import pytest
from groundwire_server.caching.policy import may_be_kept
from groundwire_server.caching.telling import Telling
from groundwire_server.engines.engine import FinishReason, Sampling, Usage
from groundwire_server.engines.served_model import ServedModel
from groundwire_server.grounding.events import (
    AnswerEvent,
    CacheOutcome,
    Finished,
    Started,
    TextDelta,
)
from groundwire_server.grounding.request import AnswerRequest

from tests.unit.grounding.scripted_engine import ScriptedEngine

MODEL = ServedModel(ScriptedEngine([], model="large"))
STARTED = Started("r", "large", "scripted")
END = Finished(FinishReason.STOP)


def test_an_answer_that_is_whole_is_kept() -> None:
    for reason in (FinishReason.STOP, FinishReason.LENGTH, FinishReason.NO_SOURCES):
        assert may_be_kept([STARTED, replace(END, finish_reason=reason)], MODEL)


@pytest.mark.parametrize(
    "events",
    [
        [],
        [STARTED],
        [STARTED, Finished(FinishReason.ABORTED)],
        [STARTED, Finished(FinishReason.ABORTED), Finished(FinishReason.STOP, choice=1)],
        [STARTED, replace(END, degraded_reason="a passage did not fit")],
        [replace(STARTED, model="small"), END],
    ],
    ids=["nothing", "cut off", "aborted", "half aborted", "degraded", "of another model"],
)
def test_one_that_is_less_is_not(events: list[AnswerEvent]) -> None:
    assert not may_be_kept(events, MODEL)


def test_one_that_is_ended_is_told_of_the_choices_that_were_not_over() -> None:
    telling = Telling(AnswerRequest("mine", prompt="Why?", sampling=Sampling(n=3)), MODEL)
    assert telling.of(STARTED, None) == replace(STARTED, request_id="mine")
    telling.of(TextDelta("So", 2), None)
    told = telling.of(Finished(FinishReason.STOP, choice=1), CacheOutcome.SHARED)
    assert told == Finished(FinishReason.STOP, choice=1, cache=CacheOutcome.SHARED)
    assert list(telling.aborted()) == [
        Finished(FinishReason.ABORTED, choice=0),
        Finished(FinishReason.ABORTED, Usage(completion_tokens=2), choice=2),
    ]


def test_one_that_is_ended_before_it_began_is_told_of_a_beginning() -> None:
    telling = Telling(AnswerRequest("mine", prompt="Why?"), MODEL)
    began, ended = telling.aborted()
    assert began == Started("mine", "large", "scripted")
    assert ended == Finished(FinishReason.ABORTED)
