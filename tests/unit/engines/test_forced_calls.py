"""Calls that an answer must be, read in whatever pieces they come."""

from __future__ import annotations

import json

import pytest
from groundwire_server.engines.forced_calls import ForcedCalls, grammar_of
from groundwire_server.engines.tools import Tool, ToolUse

WEATHER = Tool("weather", "", {"properties": {"city": {"type": "string"}}})
DOME = Tool("dome")
EITHER = ToolUse((WEATHER, DOME), required=True)
# Marks in strings, strings that end with a backslash, nesting, nothing at all.
ARGUMENTS = [
    '{"city": "a \\"}]\\" b", "more": [{"x": "\\\\"}, [1, {}]]}',
    "{}",
    '{"city": "\\u00e9 望 , {"}',
]
NAMES = ["weather", "dome", "weather"]
ANSWER = (
    "["
    + ", ".join(
        f'{{"name": "{name}", "parameters": {arguments}}}'
        for name, arguments in zip(NAMES, ARGUMENTS, strict=True)
    )
    + "]"
)


def calls_of(use: ToolUse, pieces: list[str]) -> list[tuple[str, str]]:
    """Names and arguments; ids, names and numbers are as they must be."""
    reader = ForcedCalls(use)
    calls: list[tuple[str, str]] = []
    ids = set()
    for piece in (each for text in pieces for each in reader.read(text)):
        if piece.index == len(calls):
            assert piece.id
            ids.add(piece.id)
            calls.append((piece.name, ""))
        else:
            assert (piece.index, piece.id, piece.name) == (len(calls) - 1, "", "")
        name, arguments = calls[-1]
        calls[-1] = name, arguments + piece.arguments
    assert len(ids) == len(calls)
    return calls


@pytest.mark.parametrize("size", [1, 2, 3, 7, 1000])
def test_calls_are_found_wherever_the_pieces_end(size: int) -> None:
    pieces = [ANSWER[at : at + size] for at in range(0, len(ANSWER), size)]
    assert calls_of(EITHER, pieces) == list(zip(NAMES, ARGUMENTS, strict=True))


@pytest.mark.parametrize("cut", range(len(ANSWER)))
def test_an_answer_that_is_cut_off_has_the_beginning_of_its_calls(cut: int) -> None:
    whole = list(zip(NAMES, ARGUMENTS, strict=True))
    calls = calls_of(EITHER, [ANSWER[:cut], ANSWER[cut:]])
    begun = calls_of(EITHER, [ANSWER[:cut]])
    assert calls == whole
    assert begun[:-1] == whole[: max(0, len(begun) - 1)]
    if begun:
        name, arguments = whole[len(begun) - 1]
        assert begun[-1][0] == name
        assert arguments.startswith(begun[-1][1])


def test_a_tool_that_is_named_has_one_call_which_is_all_of_the_answer() -> None:
    use = ToolUse((WEATHER, DOME), name="weather")
    assert calls_of(use, ['{"ci', 'ty": "a, b"', "}"]) == [("weather", '{"city": "a, b"}')]


def test_arguments_are_objects_also_where_the_schema_does_not_say() -> None:
    schema = json.loads(grammar_of(ToolUse((WEATHER,), name="weather")).partition("%json ")[2])
    assert schema["type"] == "object"
    assert schema["properties"] == {"city": {"type": "string"}}
    empty = json.loads(grammar_of(ToolUse((DOME,), name="dome")).partition("%json ")[2])
    assert (empty["type"], empty["properties"]) == ("object", {})
