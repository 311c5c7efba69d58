"""A question is made understandable without the conversation it stands in."""

from __future__ import annotations

import pytest
from groundwire_server.engines.engine import Message, Role
from groundwire_server.grounding.conversation import conversation_of
from groundwire_server.grounding.question import is_follow_up, question_of, subject_of


def asking(*turns: str) -> list[Message]:
    """User turns, each but the last with an answer."""
    messages = [
        message
        for turn in turns
        for message in (Message(Role.USER, turn), Message(Role.ASSISTANT, "An answer."))
    ]
    return messages[:-1]


def test_the_last_user_message_is_searched_for() -> None:
    question = question_of(conversation_of(asking("How much do tickets for adults cost?")))
    assert question.search == question.asked == "How much do tickets for adults cost?"
    assert question.subject == ""


def test_a_question_that_stands_alone_is_not_mixed_with_the_one_before() -> None:
    chat = asking("How wide is the main mirror?", "When does the museum shop close on Sundays?")
    assert (
        question_of(conversation_of(chat)).search == "When does the museum shop close on Sundays?"
    )


@pytest.mark.parametrize(
    "follow_up",
    ["And who cast it?", "What about the museum shop?", "When was it built?", "Why?", "How many?"],
)
def test_a_follow_up_is_searched_for_with_the_turn_before_it(follow_up: str) -> None:
    question = question_of(conversation_of(asking("How wide is the main mirror?", follow_up)))
    assert question.search == f"How wide is the main mirror? {follow_up}"
    assert (question.subject, question.asked) == ("main mirror", follow_up)


def test_a_chain_of_follow_ups_leads_back_to_what_it_began_with() -> None:
    chat = asking("Is there a lift?", "How wide is the main mirror?", "Who cast it?", "And when?")
    question = question_of(conversation_of(chat))
    assert question.search == "How wide is the main mirror? Who cast it? And when?"
    assert (question.subject, question.asked) == ("main mirror", "And when?")


def test_an_explicit_query_is_searched_for_and_the_message_answered() -> None:
    chat = asking("How wide is the main mirror?", "And who cast it?")
    question = question_of(conversation_of(chat), "mirror foundry")
    assert question.search == "mirror foundry"
    assert (question.subject, question.asked) == ("main mirror", "And who cast it?")


def test_a_follow_up_with_nothing_before_it_is_all_there_is() -> None:
    assert question_of(conversation_of(asking("And who cast it?"))).search == "And who cast it?"


@pytest.mark.parametrize(
    ("question", "subject"),
    [
        ("How wide is the main mirror?", "main mirror"),
        ("Who directs Aldermoor Observatory?", "Aldermoor Observatory"),
        ("what do tickets cost?", "tickets cost"),
        ("What is the field of view of PETREL?", "field of view of PETREL"),
        ("When does the Perseid Night begin?", "Perseid Night begin"),
    ],
)
def test_the_subject_is_what_has_a_name_or_an_article(question: str, subject: str) -> None:
    assert subject_of(question) == subject


def test_a_full_question_is_no_follow_up() -> None:
    assert not is_follow_up("Which instruments are mounted at the Nasmyth focus?")


def test_tool_results_after_the_question_do_not_hide_it() -> None:
    chat = [*asking("How wide is the main mirror?"), Message(Role.TOOL, "2.4", "call-1")]
    conversation = conversation_of(chat)
    assert conversation.question == "How wide is the main mirror?"
    assert conversation.tail == (Message(Role.TOOL, "2.4", "call-1"),)


def test_of_a_very_long_question_both_ends_are_searched_for() -> None:
    text = f"How wide is the main mirror? {'filler ' * 100_000} And its weight in kilograms?"
    search = question_of(conversation_of(asking(text))).search
    assert search.startswith("How wide is the main mirror?")
    assert search.endswith("And its weight in kilograms?")
    assert len(search) < 5000
