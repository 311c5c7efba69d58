"""The form that an output must have, in vLLM's words."""

from __future__ import annotations

import re
from typing import Any

from groundwire_index.errors import InvalidArgumentError

from groundwire_server.blocking import run_blocking
from groundwire_server.engines.engine import EngineRequest
from groundwire_server.engines.forced_calls import arguments_grammar, grammar_of
from groundwire_server.engines.tools import ToolUse

# How the compiler shows the place in the grammar.
_GRAMMAR_LINE = re.compile(r"^ *\d+ \| ", re.MULTILINE)


def held_to(request: EngineRequest) -> str:
    """The field that gives the output its form; empty for an output of any form."""
    if request.constraint is not None:
        return f"constraint.{request.constraint.form}"
    return "tools" if request.tools is not None and request.tools.is_forced else ""


def structured_outputs(request: EngineRequest) -> Any:
    """As vLLM's ``StructuredOutputsParams``; None for an output of any form."""
    from vllm.sampling_params import StructuredOutputsParams

    if request.tools is not None and request.tools.is_forced:
        return StructuredOutputsParams(grammar=grammar_of(request.tools))
    constraint = request.constraint
    if constraint is None:
        return None
    return StructuredOutputsParams(
        json=constraint.json_schema,
        regex=constraint.regex,
        grammar=constraint.grammar,
        choice=None if constraint.choice is None else list(constraint.choice),
    )


async def require_compiles(vllm: Any, sampling: Any, request: EngineRequest) -> None:
    """Compile what ``sampling`` is constrained to as the engine core will, and throw it away.

    Raises InvalidArgumentError, which names the field and says what the compiler said.
    """
    if sampling.structured_outputs is None:
        return
    problem = await run_blocking(_problem, vllm, sampling)
    if problem and request.constraint is not None:
        raise InvalidArgumentError(
            f"constraint.{request.constraint.form}", f"does not compile: {problem}"
        )
    if problem and request.tools is not None:
        field, problem = await run_blocking(_culprit, vllm, sampling, request.tools, problem)
        raise InvalidArgumentError(field, f"does not compile: {problem}")


def _problem(vllm: Any, sampling: Any) -> str:
    """What the compiler says of it; empty if nothing."""
    from vllm.exceptions import VLLMClientError

    config = vllm.vllm_config
    try:
        sampling.verify(
            config.model_config,
            config.speculative_config,
            config.structured_outputs_config,
            vllm.renderer.tokenizer,
        )
    except VLLMClientError as error:
        return _said(error) or type(error).__name__
    return ""


def _culprit(vllm: Any, sampling: Any, use: ToolUse, problem: str) -> tuple[str, str]:
    """The first tool that does not compile by itself, and what is said of that."""
    from vllm.sampling_params import StructuredOutputsParams

    for number, tool in enumerate(use.tools):
        alone = sampling.clone()
        alone.structured_outputs = StructuredOutputsParams(grammar=arguments_grammar(tool))
        if said := _problem(vllm, alone):
            return f"tools[{number}].parameters", _of_schema(said)
    return "tools", problem


def _of_schema(said: str) -> str:
    """What is said of a schema, without the grammar that it is in."""
    said = said.partition("failed to compile JSON schema: ")[2] or said
    return _GRAMMAR_LINE.split(said)[0].strip()


def _said(error: Exception) -> str:
    """What the compiler said, without vLLM's words before it."""
    said = str(error).strip()
    for prefix in ("Grammar error: ", "Invalid grammar specification: "):
        said = said.removeprefix(prefix)
    return said
