"""Tools on the wire: as far as they can be checked without an engine."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from groundwire.v1 import generate_service_pb2, generation_pb2
from groundwire_index.errors import InvalidArgumentError
from jsonschema_rs import ValidationError, meta

from groundwire_server.engines.tools import Tool, ToolUse
from groundwire_server.services.enums import enum_of
from groundwire_server.services.generation_constraint import MAX_FORM_BYTES, check_counts
from groundwire_server.services.structs import dict_of, with_whole_numbers
from groundwire_server.services.validate import require, require_bytes, require_count

MAX_TOOLS = 128
MAX_DESCRIPTION_BYTES = 16 * 2**10
MAX_TOOLS_BYTES = 128 * 2**10

_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")
_MAY_CALL, _MUST_CALL, _MUST_NOT_CALL = range(3)
_MODES: dict[int, int] = {
    generation_pb2.TOOL_CHOICE_MODE_UNSPECIFIED: _MAY_CALL,
    generation_pb2.TOOL_CHOICE_MODE_AUTO: _MAY_CALL,
    generation_pb2.TOOL_CHOICE_MODE_NONE: _MUST_NOT_CALL,
    generation_pb2.TOOL_CHOICE_MODE_REQUIRED: _MUST_CALL,
}


def tools_of(message: generate_service_pb2.GenerateRequest) -> ToolUse | None:
    """Read the tools of a request; None if the model is to call none.

    Raises InvalidArgumentError.
    """
    mode = enum_of(message.tool_choice.mode, _MODES, "tool_choice.mode")
    name = message.tool_choice.name
    if not message.tools:
        require(mode != _MUST_CALL, "tool_choice.mode", "TOOL_CHOICE_MODE_REQUIRED needs tools")
        require(not message.tool_choice.HasField("name"), "tool_choice.name", "there are no tools")
        return None
    _check_company(message)
    tools = offered_tools(message.tools)
    if message.tool_choice.HasField("name"):
        names = ", ".join(tool.name for tool in tools)
        require(
            any(tool.name == name for tool in tools),
            "tool_choice.name",
            f"there is no such tool; there are: {names}",
        )
    return None if mode == _MUST_NOT_CALL else ToolUse(tools, mode == _MUST_CALL, name)


def _check_company(message: generate_service_pb2.GenerateRequest) -> None:
    require(
        not message.HasField("prompt"),
        "tools",
        "needs `chat`: a `prompt` has no chat template, which shows the tools to the model",
    )


def offered_tools(messages: Sequence[generation_pb2.Tool]) -> tuple[Tool, ...]:
    """Read the field `tools`. Raises InvalidArgumentError."""
    require_count(len(messages), "tools", low=1, high=MAX_TOOLS)
    size = sum(tool.ByteSize() for tool in messages)
    require(
        size <= MAX_TOOLS_BYTES,
        "tools",
        f"are {size:,} bytes long; at most {MAX_TOOLS_BYTES:,} are allowed",
    )
    tools: dict[str, Tool] = {}
    for number, one in enumerate(messages):
        field = f"tools[{number}]"
        require(
            _NAME.fullmatch(one.name) is not None,
            f"{field}.name",
            "must be 1 to 64 characters of [A-Za-z0-9_-]",
        )
        require(one.name not in tools, f"{field}.name", f'another tool is named "{one.name}"')
        require_bytes(one.description, f"{field}.description", max_bytes=MAX_DESCRIPTION_BYTES)
        parameters = _parameters_of(one, f"{field}.parameters")
        tools[one.name] = Tool(one.name, one.description, parameters)
    return tuple(tools.values())


def _parameters_of(tool: generation_pb2.Tool, field: str) -> Mapping[str, Any]:
    parameters = with_whole_numbers(dict_of(tool.parameters, field))
    if not isinstance(parameters, dict) or not parameters:
        return {}
    # On the wire they have no order, and come in another each time; what the model reads and writes
    # has one.
    ordered = json.dumps(parameters, sort_keys=True)
    require_bytes(ordered, field, max_bytes=MAX_FORM_BYTES)
    parameters = dict[str, Any](json.loads(ordered))
    require(
        parameters.get("type", "object") == "object",
        f"{field}.type",
        'must be "object": arguments have names',
    )
    check_counts(parameters, field)
    _check_schema(parameters, field)
    return parameters


def _check_schema(schema: Mapping[str, Any], field: str) -> None:
    # The name of another draft would be looked up, over the network.
    plain = {key: value for key, value in schema.items() if key != "$schema"}
    try:
        meta.validate(plain)
    except ValidationError as error:
        where = "".join(
            f"[{part}]" if isinstance(part, int) else f".{part}" for part in error.instance_path
        )
        raise InvalidArgumentError(
            f"{field}{where}", f"is no JSON schema: {error.message[:500]}"
        ) from error
