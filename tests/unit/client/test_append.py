"""What may be appended to a session."""

from __future__ import annotations

import pytest
from google.protobuf.json_format import MessageToDict
from groundwire import Message, NewMessage, ToolCall
from groundwire.requests.memory import append
from groundwire.results.sessions import Turn

ASSISTANT = {"role": "ROLE_ASSISTANT", "content": "At dusk."}


def sent(*messages: NewMessage | Message | Turn) -> list[dict[str, object]]:
    return MessageToDict(append("s", messages).request)["messages"]


def test_a_message_of_a_chat_is_appended_as_it_is() -> None:
    assert sent(Message("assistant", "At dusk.")) == [ASSISTANT]


def test_a_new_message_brings_metadata_and_sources() -> None:
    new = NewMessage("assistant", "At dusk.", {"mood": "sure"}, ("chunk-1",))
    assert sent(new) == [{**ASSISTANT, "metadata": {"mood": "sure"}, "sourceIds": ["chunk-1"]}]


def test_turns_are_copied_from_one_session_to_another() -> None:
    turn = Turn(4, "assistant", "At dusk.", None, {"mood": "sure"}, ("chunk-1",), 3)
    assert sent(turn) == [{**ASSISTANT, "metadata": {"mood": "sure"}, "sourceIds": ["chunk-1"]}]


def test_calls_and_their_results_are_appended_as_they_are() -> None:
    call = ToolCall("call-1", "add", '{"a": 1}')
    called = {"id": "call-1", "name": "add", "arguments": '{"a": 1}'}
    expected = [
        {"role": "ROLE_ASSISTANT", "toolCalls": [called]},
        {"role": "ROLE_TOOL", "content": "12", "name": "call-1"},
    ]
    assert sent(Message("assistant", "", (call,)), call.result("12")) == expected
    turns = (
        Turn(1, "assistant", "", None, {}, (), 3, tool_calls=(call,)),
        Turn(2, "tool", "12", None, {}, (), 3, name="call-1"),
    )
    assert sent(*turns) == expected


@pytest.mark.parametrize("wrong", ["text", ("user", "text"), {"role": "user", "content": "text"}])
def test_anything_else_is_told_what_to_give(wrong: object) -> None:
    with pytest.raises(TypeError, match=r"Give NewMessage\(role, content\), a Message or a Turn"):
        sent(wrong)  # type: ignore[arg-type]
