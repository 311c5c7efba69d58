"""Requests to count tokens: what is read, and every way to get them wrong."""

from __future__ import annotations

from typing import Any

import pytest
from google.protobuf.json_format import ParseDict
from groundwire.v1.generate_service_pb2 import CountTokensRequest
from groundwire_index.errors import InvalidArgumentError
from groundwire_server.engines.engine import Message, Role
from groundwire_server.engines.template import NOTHING_BESIDES, TemplateInput
from groundwire_server.engines.tools import Tool
from groundwire_server.services.generation_counting import counted_of

CHAT = {"messages": [{"role": "ROLE_USER", "content": "Why?"}]}


def read(**fields: Any) -> tuple[str | tuple[Message, ...], TemplateInput]:
    return counted_of(ParseDict(fields, CountTokensRequest()))


def test_a_text_is_counted_as_it_is() -> None:
    assert read(text="Why?") == ("Why?", NOTHING_BESIDES)
    assert read(text="") == ("", NOTHING_BESIDES)


def test_a_chat_is_counted_with_what_its_template_is_given() -> None:
    chat = {**CHAT, "template_arguments": {"mood": "calm"}}
    messages, template = read(chat=chat, tools=[{"name": "dome"}])
    assert messages == (Message(Role.USER, "Why?"),)
    assert template == TemplateInput((Tool("dome"),), {"mood": "calm"})


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({}, "input"),
        ({"chat": {}}, "chat.messages"),
        ({"text": "Why?", "tools": [{"name": "dome"}]}, "tools"),
        ({"chat": CHAT, "tools": [{"name": "a b"}]}, "tools[0].name"),
        ({"chat": CHAT, "tools": [{"name": f"t{n}"} for n in range(129)]}, "tools"),
        (
            {"chat": {**CHAT, "template_arguments": {"tools": []}}},
            "chat.template_arguments.tools",
        ),
    ],
)
def test_what_is_wrong_is_named(fields: dict[str, Any], field: str) -> None:
    with pytest.raises(InvalidArgumentError) as caught:
        read(**fields)
    (violation,) = caught.value.violations
    assert violation.field == field
