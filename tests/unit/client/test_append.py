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


@pytest.mark.parametrize(
    "message",
    [Message("tool", "12", name="call-1"), Message("assistant", "", (ToolCall("1", "f", "{}"),))],
)
def test_what_a_session_would_not_keep_is_refused(message: Message) -> None:
    with pytest.raises(ValueError, match="put them into the metadata of a NewMessage"):
        sent(message)


@pytest.mark.parametrize("wrong", ["text", ("user", "text"), {"role": "user", "content": "text"}])
def test_anything_else_is_told_what_to_give(wrong: object) -> None:
    with pytest.raises(TypeError, match=r"Give NewMessage\(role, content\), a Message or a Turn"):
        sent(wrong)  # type: ignore[arg-type]
