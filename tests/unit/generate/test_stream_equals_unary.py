"""Whatever is joined on the way, a stream says what the unary answer does."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing

from groundwire.v1.generate_service_pb2 import CompleteResponse, GenerateResponse
from groundwire_server.engines.engine import FinishReason, TokenLogprob
from groundwire_server.grounding.events import (
    AnswerEvent,
    CitationAdded,
    Finished,
    Started,
    TextDelta,
)
from groundwire_server.services.coalesce import coalesced
from groundwire_server.services.generation_events import event_message
from groundwire_server.services.generation_gathered import Gathered
from hypothesis import given
from hypothesis import strategies as st

CHOICES = 3
CHOICE = st.integers(0, CHOICES - 1)
LOGPROB = st.builds(TokenLogprob, st.text(max_size=3), st.just(-0.5), st.just((("b", -1.5),)))
EVENT = st.one_of(
    st.builds(
        TextDelta, st.text(max_size=4), st.integers(0, 3), CHOICE, st.tuples() | st.tuples(LOGPROB)
    ),
    st.builds(CitationAdded, *[st.integers(0, 9)] * 5, choice=CHOICE),
)
ENDS = [Finished(FinishReason.STOP, choice=choice) for choice in range(CHOICES)]


async def streamed(
    events: Sequence[AnswerEvent], made: Sequence[bool], read: Sequence[bool]
) -> list[GenerateResponse]:
    """What a reader gets who is now faster than the engine and now slower."""

    async def engine() -> AsyncGenerator[AnswerEvent, None]:
        for number, event in enumerate(events):
            if made[number % len(made)]:
                await asyncio.sleep(0)
            yield event

    messages: list[GenerateResponse] = []
    joined = coalesced(engine(), patience_s=30, most_waiting_bytes=2000)
    async with aclosing(joined) as waiting:
        async for event in waiting:
            messages.append(event_message(event))
            if read[len(messages) % len(read)]:
                await asyncio.sleep(0)
    return messages


def gathered(messages: Sequence[GenerateResponse]) -> list[CompleteResponse]:
    """The answer of each choice, as a client puts it together."""
    answers = [CompleteResponse() for _ in range(CHOICES)]
    for message in messages:
        answer = answers[message.choice]
        if message.HasField("text_delta"):
            answer.text += message.text_delta.text
            answer.logprobs.extend(message.text_delta.logprobs)
        elif message.HasField("citation"):
            # It counts in the text before it.
            answer.citations.append(message.citation)
            answer.finished.usage.prompt_tokens += len(answer.text)
    return answers


PACES = st.lists(st.booleans(), min_size=1, max_size=5)


@given(st.lists(EVENT, max_size=30), PACES, PACES)
def test_a_stream_says_the_same_at_every_pace(
    said: list[AnswerEvent], made: list[bool], read: list[bool]
) -> None:
    events = [Started("r", "m", "e"), *said, *ENDS]
    unary = Gathered()
    for event in events:
        unary.add(event)
    answer = unary.message()
    messages = asyncio.run(streamed(events, made, read))
    ours = gathered(messages)
    assert ours == gathered([event_message(event) for event in events])
    assert ours[0].text == answer.text
    assert ours[0].logprobs == answer.logprobs
    assert ours[0].citations == answer.citations
    assert [one.text for one in ours[1:]] == [other.text for other in answer.other_choices]
    tokens = sum(message.text_delta.token_count for message in messages)
    assert tokens == sum(event.token_count for event in said if isinstance(event, TextDelta))
    ends = [message.choice for message in messages if message.HasField("finished")]
    assert ends == list(range(CHOICES))
    assert messages[-1].HasField("finished")
