"""The form that an output must have, in vLLM's words."""

from __future__ import annotations

from typing import Any

from groundwire_index.errors import InvalidArgumentError

from groundwire_server.blocking import run_blocking
from groundwire_server.engines.engine import Constraint, EngineRequest


def require_kept(request: EngineRequest) -> None:
    """Raise InvalidArgumentError if what is done with the output would break its form."""
    if request.constraint is not None and request.grounded is not None:
        raise InvalidArgumentError(
            "constraint",
            "cannot go with grounding, which takes citations that do not hold out of the text: "
            "search first, and put the passages into the chat",
        )


def structured_outputs(constraint: Constraint | None) -> Any:
    """As vLLM's ``StructuredOutputsParams``; None for no constraint."""
    from vllm.sampling_params import StructuredOutputsParams

    if constraint is None:
        return None
    return StructuredOutputsParams(
        json=constraint.json_schema,
        regex=constraint.regex,
        grammar=constraint.grammar,
        choice=None if constraint.choice is None else list(constraint.choice),
    )


async def require_compiles(vllm: Any, sampling: Any, constraint: Constraint) -> None:
    """Compile what ``sampling`` is constrained to as the engine core will, and throw it away.

    Raises InvalidArgumentError, which names the field and says what the compiler said.
    """
    from vllm.exceptions import VLLMClientError

    config = vllm.vllm_config
    try:
        await run_blocking(
            sampling.verify,
            config.model_config,
            config.speculative_config,
            config.structured_outputs_config,
            vllm.renderer.tokenizer,
        )
    except VLLMClientError as error:
        raise InvalidArgumentError(
            f"constraint.{constraint.form}", f"does not compile: {_said(error)}"
        ) from error


def _said(error: Exception) -> str:
    """What the compiler said, without vLLM's words before it."""
    said = str(error).strip()
    for prefix in ("Grammar error: ", "Invalid grammar specification: "):
        said = said.removeprefix(prefix)
    return said
