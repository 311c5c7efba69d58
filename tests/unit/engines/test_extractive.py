"""The extractive engine on a few passages, with the real embedder."""

from __future__ import annotations

import re
from typing import Any

import pytest
from groundwire_index.errors import FailedPreconditionError, UnavailableError, UnsupportedError
from groundwire_server.embedders.sentence_transformers import SentenceTransformersEmbedder
from groundwire_server.engines.engine import (
    Accepted,
    Begun,
    ChoiceEnd,
    Constraint,
    EngineEvent,
    EngineRequest,
    FinishReason,
    GenerationEnd,
    GroundedQuestion,
    Message,
    Role,
    Sampling,
    SourcePassage,
    TextPiece,
)
from groundwire_server.engines.extractive import NO_ANSWER, ExtractiveEngine

LODGE = """The lodge

The lodge has 22 single rooms, with blackout curtains for those who sleep by day. A room costs
38 crowns a night for university staff and nothing for students. Silence is kept in the sleeping
wing from 8 in the morning to 4 in the afternoon."""
STORM = """The great storm

On the night of 3 February 2002 a storm tore three shutters from the Lindqvist dome. It was out of
service for fourteen months. Since then, each dome carries its own anemometer."""
PEOPLE = """Who does what

The safety officer is Oskar Lind. He keeps the laser list, and may stop any work at any time.

The librarian is Piotr Zielin. He keeps the library and the list of publications."""
FLAGS = """Quality flags

| Flag | Meaning |
|---|---|
| A | taken within all limits of the proposal |
| C | taken, but outside the limits |"""
PASSAGES = (LODGE, STORM, PEOPLE, FLAGS)


def request(question: str, *texts: str, subject: str = "", **sampling: Any) -> EngineRequest:
    passages = tuple(
        SourcePassage(number, text) for number, text in enumerate(texts or PASSAGES, start=1)
    )
    return EngineRequest(
        "request",
        Sampling(**sampling),
        grounded=GroundedQuestion(question, passages, subject),
    )


async def events_of(engine: ExtractiveEngine, request: EngineRequest) -> list[EngineEvent]:
    return [event async for event in engine.generate(request)]


async def answer_of(engine: ExtractiveEngine, request: EngineRequest) -> str:
    return text_of(await events_of(engine, request))


def text_of(events: list[EngineEvent]) -> str:
    return "".join(event.text for event in events if isinstance(event, TextPiece))


def reason_of(events: list[EngineEvent]) -> FinishReason:
    (end,) = [event for event in events if isinstance(event, ChoiceEnd)]
    return end.finish_reason


def quoted(text: str) -> list[tuple[str, int]]:
    """The sentences of an answer, with the passages they are from."""
    found = re.findall(r"(.+?) \[(\d+)\](?: |$)", text)
    assert "".join(f"{sentence} [{number}] " for sentence, number in found).strip() == text
    return [(sentence, int(number)) for sentence, number in found]


@pytest.mark.parametrize(
    ("question", "expected", "passage"),
    [
        ("What does a room in the lodge cost per night?", "38 crowns", 1),
        ("When is silence kept in the sleeping wing?", "from 8 in the morning", 1),
        ("When did the storm damage the dome?", "3 February 2002", 2),
        ("Who is the safety officer?", "Oskar Lind", 3),
    ],
)
async def test_the_sentence_that_answers_is_quoted_with_its_passage(
    extractive: ExtractiveEngine, question: str, expected: str, passage: int
) -> None:
    events = await events_of(extractive, request(question))

    assert reason_of(events) is FinishReason.STOP
    assert any(
        expected in sentence and number == passage for sentence, number in quoted(text_of(events))
    )


@pytest.mark.parametrize(
    "question",
    [
        "What is the salary of the safety officer?",
        "How many asteroids were discovered?",
        "Who won the world cup in 2014?",
        "What is the wireless password of the lodge?",
        "How do I bake bread?",
        "asdf qwer zxcv",
        "?",
    ],
)
async def test_what_the_sources_do_not_say_is_not_answered(
    extractive: ExtractiveEngine, question: str
) -> None:
    events = await events_of(extractive, request(question))

    assert text_of(events) == NO_ANSWER
    assert reason_of(events) is FinishReason.NO_SOURCES


@pytest.mark.parametrize("texts", [("",), ("   \n ",), ("Only a heading",)])
async def test_sources_without_a_sentence_hold_no_answer(
    extractive: ExtractiveEngine, texts: tuple[str, ...]
) -> None:
    events = await events_of(extractive, request("Who is the safety officer?", *texts))

    assert reason_of(events) is FinishReason.NO_SOURCES


async def test_no_sources_hold_no_answer(extractive: ExtractiveEngine) -> None:
    nothing = EngineRequest("request", grounded=GroundedQuestion("Who is it?", ()))

    assert reason_of(await events_of(extractive, nothing)) is FinishReason.NO_SOURCES


async def test_everything_it_says_is_in_the_passage_it_cites(extractive: ExtractiveEngine) -> None:
    for question in ("What does a room cost?", "What happened in the storm?", "Who is Oskar Lind?"):
        answer = await answer_of(extractive, request(question))
        if answer == NO_ANSWER:
            continue
        for sentence, number in quoted(answer):
            assert sentence in " ".join(PASSAGES[number - 1].split())


async def test_a_sentence_that_leans_on_the_one_before_brings_it_along(
    extractive: ExtractiveEngine,
) -> None:
    answer = await answer_of(
        extractive, request("How long was the Lindqvist dome out of service after the storm?")
    )

    sentences = [sentence for sentence, _ in quoted(answer)]
    leaning = next(n for n, one in enumerate(sentences) if one.startswith("It was out of service"))
    assert "Lindqvist dome" in sentences[leaning - 1]


async def test_what_is_said_twice_is_quoted_once(extractive: ExtractiveEngine) -> None:
    answer = await answer_of(
        extractive, request("What does a room in the lodge cost per night?", LODGE, LODGE)
    )

    assert answer.count("38 crowns") == 1


async def test_a_heading_is_no_answer(extractive: ExtractiveEngine) -> None:
    answer = await answer_of(extractive, request("What was the great storm?"))

    assert all(
        sentence != "The great storm" for sentence, _ in quoted(answer) if answer != NO_ANSWER
    )


async def test_the_same_request_has_the_same_answer(extractive: ExtractiveEngine) -> None:
    asked = request("When did the storm damage the dome?", temperature=2.0, seed=1)
    again = request("When did the storm damage the dome?", temperature=0.0, seed=2)

    assert await answer_of(extractive, asked) == await answer_of(extractive, again)


async def test_it_streams_word_by_word_and_counts_what_it_says(
    extractive: ExtractiveEngine,
) -> None:
    events = await events_of(extractive, request("Who is the safety officer?"))
    pieces = [event for event in events if isinstance(event, TextPiece)]

    assert events[0] == Accepted()
    assert all(len(piece.text.split()) == 1 for piece in pieces)
    last = events[-1]
    assert isinstance(last, GenerationEnd)
    assert last.usage.completion_tokens == sum(piece.token_count for piece in pieces) > 0
    assert last.usage.prompt_tokens > await extractive.count_tokens(LODGE)


async def test_max_tokens_ends_it_between_words(extractive: ExtractiveEngine) -> None:
    whole = await answer_of(extractive, request("Who is the safety officer?"))
    events = await events_of(extractive, request("Who is the safety officer?", max_tokens=4))

    assert reason_of(events) is FinishReason.LENGTH
    assert whole.startswith(text_of(events))
    assert text_of(events) == "The safety officer is"


async def test_the_text_ends_before_a_stop_string(extractive: ExtractiveEngine) -> None:
    events = await events_of(
        extractive, request("Who is the safety officer?", stop=("no such", "Oskar", "officer is"))
    )

    assert text_of(events).rstrip() == "The safety"
    assert reason_of(events) is FinishReason.STOP


async def test_closing_the_stream_early_is_fine(extractive: ExtractiveEngine) -> None:
    stream = extractive.generate(request("Who is the safety officer?"))
    assert [type(await anext(stream)) for _ in range(3)] == [Accepted, Begun, TextPiece]

    await stream.aclose()


async def test_without_sources_it_says_what_to_configure(extractive: ExtractiveEngine) -> None:
    plain = EngineRequest("request", messages=(Message(Role.USER, "Hello"),))

    with pytest.raises(FailedPreconditionError, match=r"grounding.*vllm_model"):
        await anext(extractive.generate(plain))


async def test_it_cannot_give_an_answer_a_form(extractive: ExtractiveEngine) -> None:
    constrained = EngineRequest("request", prompt="Hello", constraint=Constraint(regex="a+"))

    with pytest.raises(UnsupportedError, match=r"constraint.*vllm_model") as caught:
        await anext(extractive.generate(constrained))
    assert caught.value.reason == "CONSTRAINT_UNSUPPORTED"


@pytest.mark.parametrize("sampling", [{"n": 2}, {"logprobs": 0}])
async def test_what_it_cannot_do_is_unsupported(
    extractive: ExtractiveEngine, sampling: dict[str, int]
) -> None:
    with pytest.raises(UnsupportedError, match=f"sampling.{next(iter(sampling))}"):
        await anext(extractive.generate(request("Who is the safety officer?", **sampling)))


async def test_tokens_are_counted_by_the_embedders_tokenizer(extractive: ExtractiveEngine) -> None:
    messages = (Message(Role.USER, "night dome"), Message(Role.ASSISTANT, "yes"))

    assert await extractive.count_tokens("night dome") == 2
    assert await extractive.count_tokens(messages) == 3


async def test_it_works_while_its_embedder_does(extractive: ExtractiveEngine) -> None:
    await extractive.check()

    with pytest.raises(UnavailableError):
        await ExtractiveEngine(SentenceTransformersEmbedder("all-MiniLM-L6-v2")).check()
