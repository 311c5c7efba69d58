"""Every field of a request is checked, and a wrong one is named."""

from __future__ import annotations

import math
from typing import Any

import pytest
from google.protobuf.json_format import ParseDict
from groundwire.v1.generate_service_pb2 import GenerateRequest
from groundwire_index.errors import InvalidArgumentError
from groundwire_index.filters import Condition, Operator
from groundwire_index.records import SearchMode
from groundwire_server.engines.engine import Constraint, Message, Role, Sampling
from groundwire_server.grounding.request import AnswerRequest, Grounding
from groundwire_server.services.generation_requests import answer_request_of

USER = {"role": "ROLE_USER", "content": "Why?"}
SYSTEM = {"role": "ROLE_SYSTEM", "content": "Be brief."}
ASSISTANT = {"role": "ROLE_ASSISTANT", "content": "So."}
GROUNDING = {"collection": "handbook"}


def read(**fields: Any) -> AnswerRequest:
    fields = fields if "prompt" in fields or "chat" in fields else {"prompt": "Why?", **fields}
    return answer_request_of(ParseDict(fields, GenerateRequest()))


def chat(*messages: dict[str, Any]) -> dict[str, Any]:
    return {"messages": list(messages)}


def refusal(**fields: Any) -> str:
    with pytest.raises(InvalidArgumentError) as caught:
        read(**fields)
    (violation,) = caught.value.violations
    assert violation.description
    return violation.field


def test_a_bare_prompt_takes_every_default() -> None:
    request = read(prompt="Why?")
    assert request == AnswerRequest(request_id=request.request_id, prompt="Why?")
    assert request.request_id


def test_ids_that_the_server_makes_differ() -> None:
    assert read().request_id != read().request_id


def test_a_full_request_keeps_every_field() -> None:
    request = read(
        request_id="r-1",
        chat=chat(SYSTEM, USER),
        sampling={
            "temperature": 0.5,
            "top_p": 0.9,
            "top_k": 40,
            "min_p": 0.1,
            "max_tokens": 64,
            "seed": 7,
            "stop": ["\n"],
            "presence_penalty": 1,
            "frequency_penalty": -1,
            "repetition_penalty": 1.1,
            "logprobs": 3,
        },
        grounding={
            "collection": "handbook",
            "top_k": 8,
            "mode": "SEARCH_MODE_LEXICAL",
            "filter": {"condition": {"field": "lang", "eq": "en"}},
            "min_score": 0.25,
            "query": "reason",
            "require_sources": True,
        },
        session_id="s:1",
        priority=-3,
    )
    assert request == AnswerRequest(
        request_id="r-1",
        messages=(Message(Role.SYSTEM, "Be brief."), Message(Role.USER, "Why?")),
        sampling=Sampling(0.5, 0.9, 40, 0.1, 64, 7, ("\n",), 1.0, -1.0, 1.1, 1, 3),
        grounding=Grounding(
            "handbook",
            8,
            SearchMode.LEXICAL,
            Condition("lang", Operator.EQ, "en"),
            0.25,
            "reason",
            require_sources=True,
        ),
        session_id="s:1",
        priority=-3,
    )


def test_grounding_defaults_to_five_passages_by_hybrid_search() -> None:
    assert read(grounding=GROUNDING).grounding == Grounding("handbook", 5, None)


def test_an_input_is_needed() -> None:
    with pytest.raises(InvalidArgumentError) as caught:
        answer_request_of(GenerateRequest())
    assert caught.value.violations[0].field == "input"


@pytest.mark.parametrize("text", ["", "  \n\t", "a" * 10_000_000])
def test_empty_and_huge_text_is_refused(text: str) -> None:
    assert refusal(prompt=text) == "prompt"
    message = {"role": "ROLE_USER", "content": text}
    assert refusal(chat=chat(USER, message)) == "chat.messages[1].content"
    if text:
        assert refusal(grounding={**GROUNDING, "query": text}) == "grounding.query"


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("temperature", -0.1),
        ("temperature", 2.1),
        ("temperature", math.nan),
        ("temperature", math.inf),
        ("top_p", 0),
        ("top_p", 1.5),
        ("top_p", math.nan),
        ("top_k", 0),
        ("min_p", -1),
        ("min_p", 1.1),
        ("max_tokens", -1),
        ("max_tokens", 0),
        ("presence_penalty", 2.5),
        ("frequency_penalty", -2.5),
        ("repetition_penalty", 0),
        ("repetition_penalty", 2.5),
        ("n", 0),
        ("n", 17),
        ("logprobs", 21),
        ("stop", ["x"] * 1000),
    ],
)
def test_sampling_outside_its_range_is_refused(field: str, value: Any) -> None:
    message = GenerateRequest(prompt="Why?")
    if field == "stop":
        message.sampling.stop.extend(value)
    else:
        setattr(message.sampling, field, value)
    with pytest.raises(InvalidArgumentError) as caught:
        answer_request_of(message)
    assert caught.value.violations[0].field == f"sampling.{field}"


@pytest.mark.parametrize("stop", ["", "x" * 257])
def test_a_stop_string_has_a_length(stop: str) -> None:
    assert refusal(sampling={"stop": ["ok", stop]}) == "sampling.stop[1]"


def test_the_ends_of_the_ranges_are_allowed() -> None:
    read(
        sampling={
            "temperature": 2,
            "top_p": 1,
            "top_k": 1,
            "min_p": 1,
            "max_tokens": 1,
            "stop": ["x" * 256] * 16,
            "presence_penalty": -2,
            "frequency_penalty": 2,
            "repetition_penalty": 2,
            "n": 16,
            "logprobs": 20,
        },
        grounding={**GROUNDING, "top_k": 100},
        request_id="r" * 128,
    )


@pytest.mark.parametrize(
    ("messages", "field"),
    [
        ([], "chat.messages"),
        ([USER] * 10_001, "chat.messages"),
        ([USER, ASSISTANT], "chat.messages[1].role"),
        ([SYSTEM], "chat.messages[0].role"),
        ([USER, SYSTEM, USER], "chat.messages[1].role"),
        ([{"content": "Why?"}], "chat.messages[0].role"),
        ([{**USER, "role": 9}], "chat.messages[0].role"),
        ([{"role": "ROLE_ASSISTANT"}, USER], "chat.messages[0].content"),
        ([{**USER, "name": "n" * 300}], "chat.messages[0].name"),
        ([{**USER, "tool_calls": [{"id": "1"}]}], "chat.messages[0].tool_calls"),
    ],
)
def test_a_chat_out_of_order_is_refused(messages: list[dict[str, Any]], field: str) -> None:
    assert refusal(chat=chat(*messages)) == field


@pytest.mark.parametrize(
    ("grounding", "field"),
    [
        ({}, "grounding.collection"),
        ({"collection": "../x"}, "grounding.collection"),
        ({**GROUNDING, "top_k": 0}, "grounding.top_k"),
        ({**GROUNDING, "top_k": 101}, "grounding.top_k"),
        ({**GROUNDING, "top_k": 1_000_000}, "grounding.top_k"),
        ({**GROUNDING, "mode": 9}, "grounding.mode"),
        ({**GROUNDING, "min_score": "NaN"}, "grounding.min_score"),
        ({**GROUNDING, "filter": {}}, "grounding.filter"),
        (
            {**GROUNDING, "filter": {"condition": {"field": "a", "lt": True}}},
            "grounding.filter.condition.lt",
        ),
    ],
)
def test_grounding_that_cannot_be_is_refused(grounding: dict[str, Any], field: str) -> None:
    assert refusal(grounding=grounding) == field


def test_there_must_be_a_question_to_ground() -> None:
    call = {"id": "call-1", "name": "look", "arguments": "{}"}
    made = {"role": "ROLE_ASSISTANT", "tool_calls": [call]}
    tool = {"role": "ROLE_TOOL", "content": "2.4", "name": "call-1"}
    assert refusal(chat=chat(made, tool), grounding=GROUNDING) == "chat.messages"
    assert read(chat=chat(made, tool)).messages[1:] == (Message(Role.TOOL, "2.4", "call-1"),)


@pytest.mark.parametrize("request_id", ["r" * 129, "ü" * 65, "a\nb", "\x00"])
def test_a_request_id_is_short_and_printable(request_id: str) -> None:
    assert refusal(request_id=request_id) == "request_id"


@pytest.mark.parametrize("session_id", ["a b", "a/b", "s" * 129, "ä"])
def test_a_session_id_has_its_alphabet(session_id: str) -> None:
    assert refusal(session_id=session_id) == "session_id"


@pytest.mark.parametrize(
    "messages", [[USER, ASSISTANT, USER], [USER, USER], [SYSTEM, ASSISTANT, USER]]
)
def test_a_session_brings_the_history_itself(messages: list[dict[str, Any]]) -> None:
    assert refusal(session_id="s", chat=chat(*messages)) == "chat.messages"


def test_a_session_keeps_one_answer() -> None:
    assert refusal(session_id="s", sampling={"n": 2}) == "sampling.n"


@pytest.mark.parametrize(
    ("sent", "read_as"),
    [
        ({"json_schema": '{"type": "object"}'}, Constraint(json_schema='{"type": "object"}')),
        ({"regex": "a+"}, Constraint(regex="a+")),
        ({"grammar": 'root ::= "a"'}, Constraint(grammar='root ::= "a"')),
        ({"choice": {"options": ["a", "b"]}}, Constraint(choice=("a", "b"))),
    ],
)
def test_a_constraint_is_taken_as_it_is(sent: dict[str, Any], read_as: Constraint) -> None:
    assert read(constraint=sent).constraint == read_as
    (form,) = sent
    assert read_as.form == form


@pytest.mark.parametrize(
    ("constraint", "field"),
    [
        ({}, "constraint"),
        ({"json_schema": ""}, "constraint.json_schema"),
        ({"json_schema": "{"}, "constraint.json_schema"),
        ({"json_schema": "[" * 16_000}, "constraint.json_schema"),
        ({"json_schema": "[]"}, "constraint.json_schema"),
        ({"json_schema": "true"}, "constraint.json_schema"),
        ({"json_schema": '{"title": "%s"}' % ("a" * 16_384)}, "constraint.json_schema"),
        ({"json_schema": '{"maxItems": 10001}'}, "constraint.json_schema"),
        ({"json_schema": '{"anyOf": [{"minItems": 1e300}]}'}, "constraint.json_schema"),
        ({"grammar": 'start: %json {"minItems": 100000000}'}, "constraint.grammar"),
        ({"regex": " "}, "constraint.regex"),
        ({"regex": "a\0b"}, "constraint.regex"),
        ({"regex": "a" * 16_385}, "constraint.regex"),
        ({"grammar": "\n"}, "constraint.grammar"),
        ({"grammar": "a" * 16_385}, "constraint.grammar"),
        ({"choice": {}}, "constraint.choice.options"),
        ({"choice": {"options": ["a"] * 1001}}, "constraint.choice.options"),
        ({"choice": {"options": ["a" * 8192, "b" * 8193]}}, "constraint.choice.options"),
        ({"choice": {"options": ["a", ""]}}, "constraint.choice.options[1]"),
        ({"choice": {"options": ["a", "b\0"]}}, "constraint.choice.options[1]"),
    ],
)
def test_a_constraint_has_a_form_within_its_limits(constraint: dict[str, Any], field: str) -> None:
    assert refusal(constraint=constraint) == field


def test_a_grounded_answer_has_no_form_because_citations_are_taken_out() -> None:
    grounding = {"collection": "notes"}
    assert refusal(constraint={"regex": "a+"}, grounding=grounding) == "constraint"


def test_the_largest_constraints_are_allowed() -> None:
    read(constraint={"regex": "a" * 16_384})
    read(constraint={"json_schema": '{"maxItems": 10000, "properties": {"minItems": {}}}'})
    read(constraint={"choice": {"options": ["a" * 16] * 1000}})


def test_a_template_is_given_json_with_the_whole_numbers_that_it_has() -> None:
    arguments = {"enable_thinking": False, "budget": 3, "share": 0.5, "more": {"a": [1, None]}}
    read_as = read(chat={**chat(USER), "template_arguments": arguments}).template_arguments
    assert read_as == arguments
    assert isinstance(read_as["budget"], int)
    assert list(read_as) == sorted(arguments)


@pytest.mark.parametrize(
    ("arguments", "field"),
    [
        ({"tools": []}, ".tools"),
        ({"tokenize": False}, ".tokenize"),
        ({"chat_template": "{{ 1 }}"}, ".chat_template"),
        ({"messages": []}, ".messages"),
        ({"model_config": {}}, ".model_config"),
        ({"tokenizer": ""}, ".tokenizer"),
        ({"self": 1}, ".self"),
        ({"a b": 1}, ""),
        ({"1a": 1}, ""),
        ({"": 1}, ""),
        ({"a" * 65: 1}, ""),
        ({"a": "b" * 16_384}, ""),
    ],
)
def test_a_template_is_given_nothing_that_is_said_elsewhere(
    arguments: dict[str, Any], field: str
) -> None:
    given = {**chat(USER), "template_arguments": arguments}
    assert refusal(chat=given) == f"chat.template_arguments{field}"
