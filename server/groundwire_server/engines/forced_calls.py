"""Answers that must be calls of tools: the grammar that holds them to it, and how they are read.

The grammar leaves only arguments to the model. One named tool is its arguments alone; otherwise
the answer is ``[{"name": "look", "parameters": {...}}, ...]``, with these spaces and no others.
"""

from __future__ import annotations

import json
import re
import uuid
from collections.abc import Iterator, Mapping

from groundwire_index.records import JsonValue

from groundwire_server.engines.engine import ToolCallPiece
from groundwire_server.engines.tools import Tool, ToolUse

# Left to choose, a weak model writes white space for ever.
_SPACING: Mapping[str, JsonValue] = {
    "whitespace_flexible": False,
    "item_separator": ", ",
    "key_separator": ": ",
}
_HEAD = re.compile(r'\{"name": "([^"]+)", "parameters": ')
_MARKS = re.compile(r'["\\{}\[\]]')


def grammar_of(use: ToolUse) -> str:
    """The answers to a request whose tools must be called, as a grammar of llguidance's Lark."""
    if use.name:
        return arguments_grammar(next(tool for tool in use.tools if tool.name == use.name))
    calls = " | ".join(f"call_{number}" for number in range(len(use.tools)))
    lines = ['start: "[" call (", " call)* "]"', f"call: {calls}"]
    for number, tool in enumerate(use.tools):
        head = json.dumps(f'{{"name": "{tool.name}", "parameters": ')
        lines.append(f'call_{number}: {head} arguments_{number} "}}"')
        lines.append(f"arguments_{number}: %json {_schema(tool)}")
    return "\n".join(lines)


def arguments_grammar(tool: Tool) -> str:
    """The arguments of one tool."""
    return f"start: %json {_schema(tool)}"


def new_call_id() -> str:
    """An id for a call that the model gave none."""
    return f"call-{uuid.uuid4().hex}"


class ForcedCalls:
    """Reads one answer with the grammar, in pieces of any size."""

    def __init__(self, use: ToolUse) -> None:
        self._named = use.name
        self._count = 0
        self._between = ""
        self._in_arguments = False
        self._depth = 0
        self._in_string = False
        self._escaped = False

    def read(self, text: str) -> Iterator[ToolCallPiece]:
        """The pieces of calls in the next text."""
        if self._named:
            yield self._piece(text, "" if self._count else self._named)
            return
        while text:
            if not self._in_arguments:
                self._between += text
                head = _HEAD.search(self._between)
                if head is None:
                    return
                yield self._piece("", head[1])
                text, self._between = self._between[head.end() :], ""
                self._in_arguments = True
            end = self._end_of_arguments(text)
            if end:
                yield self._piece(text[:end])
            text = text[end:]

    def _end_of_arguments(self, text: str) -> int:
        """Where the arguments end, which are an object; the length of the text if they go on."""
        at = 0
        if self._escaped:
            at, self._escaped = 1, False
        while mark := _MARKS.search(text, at):
            at = mark.end()
            if mark[0] == '"':
                self._in_string = not self._in_string
            elif mark[0] == "\\":
                self._escaped = at == len(text)
                at += 1
            elif not self._in_string:
                self._depth += 1 if mark[0] in "{[" else -1
                if not self._depth:
                    self._in_arguments = False
                    return at
        return len(text)

    def _piece(self, arguments: str, name: str = "") -> ToolCallPiece:
        self._count += bool(name)
        call_id = new_call_id() if name else ""
        return ToolCallPiece(self._count - 1, call_id, name, arguments, 0)


def _schema(tool: Tool) -> str:
    return json.dumps({**tool.schema, "x-guidance": _SPACING})
