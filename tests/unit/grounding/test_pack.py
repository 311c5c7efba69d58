"""What goes into a prompt, in which order of priority, and never more than fits."""

from __future__ import annotations

from dataclasses import replace

import pytest
from groundwire_index.errors import LimitExceededError
from groundwire_index.records import ChunkPosition
from groundwire_server.engines.engine import Message, Role
from groundwire_server.engines.template import TemplateInput
from groundwire_server.engines.tools import Tool
from groundwire_server.grounding.conversation import Conversation
from groundwire_server.grounding.events import Passage
from groundwire_server.grounding.pack import Packed, Packer
from groundwire_server.grounding.prompt import prompt_of

from tests.unit.grounding.scripted_engine import ScriptedEngine


def passages(*sizes: int) -> list[Passage]:
    return [
        Passage(number, f"c{number}", "doc", "", f"p{number} " * size, 1.0, 1.0)
        for number, size in enumerate(sizes, start=1)
    ]


def exchange(name: str, size: int) -> tuple[Message, Message]:
    half = size // 2
    return (
        Message(Role.USER, f"{name} " * half),
        Message(Role.ASSISTANT, f"{name} " * (size - half)),
    )


def conversation(*sizes: int) -> Conversation:
    """Exchanges of these sizes, oldest first, before a question."""
    history = tuple(exchange(f"x{at}", size) for at, size in enumerate(sizes, start=1))
    return Conversation("How wide is it?", history=history)


def frame() -> int:
    """Tokens of a prompt with hardly any passage, and of its answer."""
    messages = prompt_of(conversation(), (), passages(1))
    return sum(len(message.content.split()) for message in messages) + 50


def words(packed: Packed) -> set[str]:
    return {word for one in packed.messages for word in one.content.split() if word[0] in "xp"}


async def pack(
    context: int,
    found: list[Passage],
    talk: Conversation,
    *,
    max_tokens: int | None = 50,
    passage_tokens: int = 10_000,
) -> Packed:
    engine = ScriptedEngine([], context_length=context)
    packer = Packer(engine, max_tokens=max_tokens, default_tokens=50, passage_tokens=passage_tokens)
    packed = await packer.grounded(talk, found)
    if context:
        used = await engine.count_tokens(packed.messages)
        assert packed.max_tokens is not None
        assert used + packed.max_tokens <= context
    return packed


async def test_tools_take_their_part_of_the_room() -> None:
    tools = TemplateInput((Tool("dome", "word " * 200),))
    room = frame() + 260
    assert (await pack(room, passages(10, 100, 100), conversation())).left_out == 0
    engine = ScriptedEngine([], context_length=room)
    packer = Packer(engine, tools, max_tokens=50, default_tokens=50, passage_tokens=10_000)
    packed = await packer.grounded(conversation(), passages(10, 100, 100))
    assert packed.left_out == 2
    assert packed.max_tokens is not None
    assert await engine.count_tokens(packed.messages, tools) + packed.max_tokens <= room


async def test_all_goes_in_where_there_is_room() -> None:
    packed = await pack(4000, passages(50, 50), conversation(30, 30))
    assert words(packed) >= {"p1", "p2", "x1", "x2"}
    assert [message.role for message in packed.messages] == [
        Role.SYSTEM,
        *(Role.USER, Role.ASSISTANT) * 2,
        Role.USER,
    ]
    assert packed.left_out == 0


async def test_the_newest_exchange_comes_before_the_second_passage() -> None:
    packed = await pack(frame() + 340, passages(150, 150), conversation(100, 100))
    assert words(packed) & {"p1", "p2", "x1", "x2"} == {"p1", "x2"}
    assert packed.left_out == 1


async def test_passages_come_before_the_older_exchanges() -> None:
    packed = await pack(frame() + 500, passages(150, 150), conversation(100, 100))
    assert words(packed) & {"p1", "p2", "x1", "x2"} == {"p1", "p2", "x2"}


async def test_history_never_has_holes() -> None:
    packed = await pack(600, [], conversation(10, 400, 100))
    assert words(packed) & {"x1", "x2", "x3"} == {"x3"}


async def test_a_passage_that_does_not_fit_is_passed_over_and_numbers_stay_without_gaps() -> None:
    packed = await pack(600, passages(2000, 50, 60), conversation())
    assert [(one.number, one.chunk_id) for one in packed.passages] == [(1, "c2"), (2, "c3")]
    assert "[1] " in packed.messages[-1].content
    assert packed.left_out == 1


async def test_passages_never_take_more_than_their_share() -> None:
    packed = await pack(0, passages(40, 40, 40), conversation(), passage_tokens=110)
    assert [one.chunk_id for one in packed.passages] == ["c1", "c2"]


async def test_a_model_without_a_limit_keeps_the_whole_history() -> None:
    packed = await pack(0, passages(40), conversation(5000, 5000))
    assert words(packed) >= {"x1", "x2"}
    assert packed.max_tokens == 50


async def test_when_not_one_passage_fits_the_limit_is_told() -> None:
    with pytest.raises(LimitExceededError) as caught:
        await pack(300, passages(500, 600), conversation())
    assert caught.value.metadata["limit"] == "250"
    assert "250" in caught.value.message


async def test_a_question_that_does_not_fit_is_refused_with_the_limit() -> None:
    with pytest.raises(LimitExceededError) as caught:
        await pack(300, [], Conversation("why " * 300))
    assert caught.value.metadata["limit"] == "250"


async def test_a_megabyte_of_passage_is_not_even_counted() -> None:
    huge = Passage(1, "c1", "doc", "", "p" * 2**20, 1.0, 1.0)
    packed = await pack(600, [huge, *passages(50)], conversation())
    assert [one.chunk_id for one in packed.passages] == ["c1"]
    assert packed.left_out == 1


async def test_an_answer_takes_at_most_half_of_the_context_from_the_prompt() -> None:
    packed = await pack(600, passages(100), conversation(), max_tokens=5000)
    assert len(packed.passages) == 1
    assert packed.max_tokens is not None
    assert packed.max_tokens >= 300


async def test_an_answer_gets_what_was_asked_for_where_it_fits() -> None:
    packed = await pack(1000, passages(100), conversation(), max_tokens=20)
    assert packed.max_tokens == 20


async def test_marks_of_earlier_answers_are_not_repeated_to_the_model() -> None:
    talk = Conversation(
        "And?", history=((Message(Role.USER, "Why?"), Message(Role.ASSISTANT, "So [1]. Yes [2]")),)
    )
    packed = await pack(2000, passages(10), talk)
    assert [one.content for one in packed.messages if one.role is Role.ASSISTANT] == ["So. Yes"]


async def test_the_clients_instructions_follow_ours() -> None:
    packed = await pack(2000, passages(10), Conversation("Why?", system="Answer in French."))
    assert packed.messages[0].content.endswith("Answer in French.")
    assert "square brackets" in packed.messages[0].content


async def test_without_passages_the_model_is_told_that_there_are_none() -> None:
    packed = await pack(2000, [], conversation())
    assert "there are none" in packed.messages[0].content
    assert packed.messages[-1].content == "How wide is it?"


def neighbours(*sizes: int) -> list[Passage]:
    """Chunks that follow each other in one document, the last found first."""
    chunks, start = [], 0
    for ordinal, size in enumerate(sizes):
        text = f"n{ordinal} " * size
        position = ChunkPosition(ordinal, start, start + len(text))
        start += len(text)
        chunks.append((f"n{ordinal}", text, position))
    return [
        Passage(rank, name, "doc", "", text, 1.0, 1.0, position=position)
        for rank, (name, text, position) in enumerate(reversed(chunks), start=1)
    ]


async def test_neighbours_are_one_passage_of_the_prompt_in_order_of_reading() -> None:
    packed = await pack(
        4000, [*neighbours(20, 30), replace(passages(10)[0], number=3)], conversation()
    )
    first, second = packed.passages
    assert (first.number, first.chunk_ids) == (1, ("n0", "n1"))
    assert (second.number, second.chunk_ids) == (2, ("c1",))
    prompt = packed.messages[-1].content
    assert prompt.index("n0 ") < prompt.index("n1 ") < prompt.index("[2] ")
    assert packed.left_out == 0


async def test_a_neighbour_that_does_not_fit_keeps_no_other_out() -> None:
    packed = await pack(600, neighbours(50, 2000, 50), conversation())
    assert [one.chunk_ids for one in packed.passages] == [("n2",), ("n0",)]
    assert packed.left_out == 1


async def test_chunks_are_counted_where_some_of_the_joined_ones_did_not_fit() -> None:
    packed = await pack(0, neighbours(40, 40, 40), conversation(), passage_tokens=110)
    assert [one.chunk_ids for one in packed.passages] == [("n1", "n2")]
    assert packed.left_out == 1
