"""Tools in a request: what they are read as, and every way to get them wrong."""

from __future__ import annotations

import json
from typing import Any

import pytest
from google.protobuf.json_format import ParseDict
from groundwire.v1.generate_service_pb2 import GenerateRequest
from groundwire_index.errors import InvalidArgumentError
from groundwire_server.engines.engine import Message, Role
from groundwire_server.engines.tools import Tool, ToolCall, ToolUse
from groundwire_server.grounding.request import AnswerRequest
from groundwire_server.services.generation_requests import answer_request_of
from groundwire_server.services.generation_tools import (
    MAX_DESCRIPTION_BYTES,
    MAX_TOOLS,
    MAX_TOOLS_BYTES,
)

USER = {"role": "ROLE_USER", "content": "Why?"}
SCHEMA = {
    "type": "object",
    "properties": {"city": {"type": "string"}, "days": {"maxLength": 3, "minimum": 0.5}},
    "required": ["city"],
}
WEATHER = {"name": "weather", "description": "Of a city.", "parameters": SCHEMA}
DOME = {"name": "dome"}
CALL = {"id": "c-1", "name": "weather", "arguments": '{"city": "Jena"}'}
RESULT = {"role": "ROLE_TOOL", "name": "c-1", "content": "Rain"}


def read(*messages: dict[str, Any], **fields: Any) -> AnswerRequest:
    chat = {} if "prompt" in fields else {"chat": {"messages": messages or (USER,)}}
    return answer_request_of(ParseDict({**chat, **fields}, GenerateRequest()))


def refusal(*messages: dict[str, Any], **fields: Any) -> tuple[str, str]:
    with pytest.raises(InvalidArgumentError) as caught:
        read(*messages, **fields)
    (violation,) = caught.value.violations
    return violation.field, violation.description


def calling(*calls: dict[str, Any], content: str = "") -> dict[str, Any]:
    return {"role": "ROLE_ASSISTANT", "content": content, "tool_calls": list(calls)}


def test_tools_are_read_with_the_whole_numbers_of_their_schemas() -> None:
    use = read(tools=[WEATHER, DOME]).tools
    assert use == ToolUse((Tool("weather", "Of a city.", SCHEMA), Tool("dome")))
    assert json.dumps(use.tools[0].parameters, sort_keys=True) == json.dumps(SCHEMA, sort_keys=True)


@pytest.mark.parametrize(
    ("choice", "read_as"),
    [
        ({}, ToolUse((Tool("dome"),))),
        ({"mode": "TOOL_CHOICE_MODE_AUTO"}, ToolUse((Tool("dome"),))),
        ({"mode": "TOOL_CHOICE_MODE_REQUIRED"}, ToolUse((Tool("dome"),), required=True)),
        ({"name": "dome"}, ToolUse((Tool("dome"),), name="dome")),
        ({"mode": "TOOL_CHOICE_MODE_NONE"}, None),
    ],
)
def test_a_tool_choice_says_whether_tools_must_be_called(
    choice: dict[str, Any], read_as: ToolUse | None
) -> None:
    assert read(tools=[DOME], tool_choice=choice).tools == read_as


def test_tools_go_with_sources_and_with_a_session() -> None:
    request = read(tools=[DOME], grounding={"collection": "notes"}, session_id="s")
    assert request.tools == ToolUse((Tool("dome"),))


def test_in_a_session_the_results_of_calls_go_alone() -> None:
    system = {"role": "ROLE_SYSTEM", "content": "Be brief."}
    grounding = {"collection": "notes"}
    assert [one.name for one in read(RESULT, session_id="s").messages] == ["c-1"]
    assert len(read(system, RESULT, RESULT, session_id="s", grounding=grounding).messages) == 3
    for said in ((USER, RESULT), (RESULT, USER), (calling(CALL), RESULT)):
        assert refusal(*said, session_id="s")[0] == "chat.messages"
    assert refusal(RESULT)[0] == "chat.messages[0].name"


@pytest.mark.parametrize("mode", ["AUTO", "NONE", "UNSPECIFIED"])
def test_without_tools_a_choice_that_demands_nothing_is_allowed(mode: str) -> None:
    assert read(tool_choice={"mode": f"TOOL_CHOICE_MODE_{mode}"}).tools is None


@pytest.mark.parametrize(
    ("fields", "field", "said"),
    [
        ({"tools": [{}]}, "tools[0].name", "1 to 64"),
        ({"tools": [DOME, {"name": "a b"}]}, "tools[1].name", "1 to 64"),
        ({"tools": [{"name": "a" * 65}]}, "tools[0].name", "1 to 64"),
        ({"tools": [{"name": "dôme"}]}, "tools[0].name", "[A-Za-z0-9_-]"),
        ({"tools": [DOME, WEATHER, DOME]}, "tools[2].name", '"dome"'),
        (
            {"tools": [{"name": f"t{n}"} for n in range(MAX_TOOLS + 1)]},
            "tools",
            f"129 items; 1 to {MAX_TOOLS}",
        ),
        (
            {"tools": [{"name": "t", "description": "é" * (MAX_DESCRIPTION_BYTES // 2 + 1)}]},
            "tools[0].description",
            "16,386 bytes long; at most 16,384",
        ),
        (
            {
                "tools": [
                    {"name": f"t{n}", "description": "a" * MAX_DESCRIPTION_BYTES} for n in range(8)
                ]
            },
            "tools",
            f"at most {MAX_TOOLS_BYTES:,}",
        ),
        ({"tools": [DOME], "tool_choice": {"name": "door"}}, "tool_choice.name", "there are: dome"),
        ({"tools": [DOME], "tool_choice": {"name": ""}}, "tool_choice.name", "no such tool"),
        ({"tools": [DOME], "tool_choice": {"mode": 9}}, "tool_choice.mode", "9"),
        ({"tool_choice": {"mode": "TOOL_CHOICE_MODE_REQUIRED"}}, "tool_choice.mode", "needs tools"),
        ({"tool_choice": {"name": "dome"}}, "tool_choice.name", "no tools"),
        ({"tools": [DOME], "prompt": "Why?"}, "tools", "`chat`"),
        ({"tools": [DOME], "constraint": {"regex": "a"}}, "constraint", "tools"),
    ],
)
def test_tools_that_cannot_be_are_refused(fields: dict[str, Any], field: str, said: str) -> None:
    refused, description = refusal(**fields)
    assert refused == field
    assert said in description


@pytest.mark.parametrize(
    ("schema", "field", "said"),
    [
        ({"type": "string"}, ".type", '"object"'),
        ({"type": ["object", "null"]}, ".type", '"object"'),
        ({"properties": 5}, ".properties", "no JSON schema"),
        ({"properties": {"a": {"type": "banana"}}}, ".properties.a.type", "banana"),
        ({"properties": {"a": {"minLength": -1}}}, ".properties.a.minLength", "-1"),
        ({"required": ["a", 1]}, ".required[1]", "string"),
        ({"anyOf": []}, ".anyOf", "no JSON schema"),
        ({"properties": {"a": {"maxItems": 10_001}}}, "", "at most 10,000"),
        ({"title": "a" * 16_384}, "", "at most 16,384"),
        ({"properties": {"a": {"const": float("nan")}}}, ".properties.a.const", "finite"),
    ],
)
def test_the_parameters_of_a_tool_are_a_schema_of_an_object(
    schema: dict[str, Any], field: str, said: str
) -> None:
    refused, description = refusal(tools=[DOME, {"name": "t", "parameters": schema}])
    assert refused == f"tools[1].parameters{field}"
    assert said in description


def test_the_same_schema_is_read_in_the_same_order_each_time() -> None:
    """A message holds it in any order, and for one seed there must be one answer."""
    names = [f"name{number}" for number in range(9)]
    schema = {"type": "object", "properties": {name: {"type": "string"} for name in names}}
    tools = read(USER, tools=[{"name": "look", "parameters": schema}]).tools
    assert tools is not None
    assert list(tools.tools[0].parameters) == ["properties", "type"]
    assert list(tools.tools[0].schema["properties"]) == names  # type: ignore[arg-type]


def test_a_schema_that_names_another_draft_is_not_looked_up() -> None:
    named = {**SCHEMA, "$schema": "http://127.0.0.1:9/schema"}
    use = read(tools=[{"name": "t", "parameters": named}]).tools
    assert use is not None
    assert use.tools[0].parameters == named


def test_a_chat_goes_on_with_the_calls_of_the_model_and_their_results() -> None:
    request = read(USER, calling(CALL), RESULT)
    assert request.messages[1:] == (
        Message(Role.ASSISTANT, "", "", (ToolCall("c-1", "weather", '{"city": "Jena"}'),)),
        Message(Role.TOOL, "Rain", "c-1"),
    )
    assert request.tools is None


def test_a_call_has_one_result_or_several_or_none_yet() -> None:
    other = {**CALL, "id": "c-2"}
    read(USER, calling(CALL, other, content="One moment."), RESULT, RESULT)
    read(USER, calling(CALL, other), RESULT, USER)


@pytest.mark.parametrize(
    ("messages", "field", "said"),
    [
        ([{**USER, "tool_calls": [CALL]}], "[0].tool_calls", "ROLE_ASSISTANT"),
        ([USER, calling()], "[1].content", "white space"),
        ([USER, calling({**CALL, "id": ""}), USER], "[1].tool_calls[0].id", "empty"),
        ([USER, calling({**CALL, "name": ""}), USER], "[1].tool_calls[0].name", "empty"),
        ([USER, calling({**CALL, "name": "a\n"}), USER], "[1].tool_calls[0].name", "control"),
        ([USER, calling({**CALL, "id": "a" * 257}), USER], "[1].tool_calls[0].id", "256"),
        ([USER, calling(CALL, CALL), USER], "[1].tool_calls[1].id", "another call"),
        (
            [USER, calling(*({**CALL, "id": str(n)} for n in range(129))), USER],
            "[1].tool_calls",
            "0 to 128",
        ),
        *(
            (
                [USER, calling({**CALL, "arguments": wrong}), USER],
                "[1].tool_calls[0].arguments",
                said,
            )
            for wrong, said in (
                ("", "not JSON"),
                ("{", "not JSON"),
                ('{"a": NaN}', "not JSON"),
                ("[]", "object"),
                ('"text"', "object"),
                ("[" * 100_000, "nested"),
            )
        ),
        ([USER, RESULT], "[1].name", "a call that a message before it made"),
        ([USER, {"role": "ROLE_TOOL", "content": "Rain"}], "[1].name", "a call"),
        ([USER, RESULT, calling(CALL), USER], "[1].name", "before it"),
        ([USER, calling(CALL), {**RESULT, "name": "c-2"}], "[2].name", "a call"),
        ([USER, calling(CALL), {**RESULT, "content": ""}], "[2].content", "white space"),
    ],
)
def test_calls_and_results_that_do_not_fit_are_refused(
    messages: list[dict[str, Any]], field: str, said: str
) -> None:
    refused, description = refusal(*messages)
    assert refused == f"chat.messages{field}"
    assert said in description
