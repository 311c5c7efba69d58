"""Calls of tools among the turns of a session: which of them a model still sees."""

from __future__ import annotations

import pytest
from groundwire_index.errors import InvalidArgumentError
from groundwire_server.engines.engine import Message, Role
from groundwire_server.engines.tools import ToolCall
from groundwire_server.memory.calls import require_all_answered, without_abandoned

USER = Message(Role.USER, "Is it open?")
DONE = Message(Role.ASSISTANT, "It is.")


def calling(*ids: str, said: str = "") -> Message:
    calls = tuple(ToolCall(one, "look", "{}") for one in ids)
    return Message(Role.ASSISTANT, said, tool_calls=calls)


def result(call_id: str) -> Message:
    return Message(Role.TOOL, f"of {call_id}", call_id)


@pytest.mark.parametrize(
    "messages",
    [
        (),
        (USER, DONE, USER),
        (USER, calling("a", "b"), result("b"), result("a"), DONE, USER),
        (USER, calling("a"), result("a"), calling("b"), result("b"), USER),
        # These may yet be answered.
        (USER, calling("a", "b")),
        (USER, calling("a", "b"), result("a")),
        # Of whoever appends turns without ids.
        (USER, Message(Role.TOOL, "rain"), DONE),
    ],
)
def test_what_is_answered_or_may_be_stays(messages: tuple[Message, ...]) -> None:
    assert without_abandoned(messages) == messages


@pytest.mark.parametrize(
    ("messages", "left"),
    [
        ((USER, calling("a"), USER), (USER, USER)),
        ((USER, calling("a", said="Wait."), USER), (USER, Message(Role.ASSISTANT, "Wait."), USER)),
        ((USER, calling("a", "b"), result("a"), USER), (USER, USER)),
        ((USER, calling("a"), result("other"), USER), (USER, result("other"), USER)),
        (
            (USER, calling("a"), calling("b"), result("b"), DONE),
            (USER, calling("b"), result("b"), DONE),
        ),
    ],
)
def test_what_something_else_followed_goes(
    messages: tuple[Message, ...], left: tuple[Message, ...]
) -> None:
    assert without_abandoned(messages) == left


@pytest.mark.parametrize(
    ("results", "field", "said"),
    [
        (("a",), "chat.messages", "no result of the calls b"),
        (("a", "c"), "chat.messages[2].name", "left are b"),
        (("a", "a"), "chat.messages[2].name", "left are b"),
        (("a", "b", "a"), "chat.messages[3].name", "is no call"),
    ],
)
def test_every_call_has_one_result(results: tuple[str, ...], field: str, said: str) -> None:
    calls = calling("a", "b").tool_calls
    require_all_answered(calls, [result("b"), result("a")], "chat.messages", 1)
    with pytest.raises(InvalidArgumentError) as caught:
        require_all_answered(calls, [*map(result, results)], "chat.messages", 1)
    (violation,) = caught.value.violations
    assert violation.field == field
    assert said in violation.description
