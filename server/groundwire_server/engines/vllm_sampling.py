"""How tokens are chosen, in vLLM's words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from groundwire_server.engines.engine import Sampling

# vLLM adds the number of the choice to a seed, and sends both as signed 64-bit numbers.
_SEED_MASK = 2**62 - 1


def sampling_arguments(
    sampling: Sampling, defaults: Mapping[str, Any], *, max_tokens_default: int, room: int
) -> dict[str, Any]:
    """Arguments of vLLM's SamplingParams, apart from how its output is delivered.

    ``defaults`` are the model's own, used where the request is silent; ``room`` is what the
    context leaves for the answer, in tokens.
    """
    given = {
        "temperature": sampling.temperature,
        "top_p": sampling.top_p,
        "top_k": sampling.top_k,
        "min_p": sampling.min_p,
        "presence_penalty": sampling.presence_penalty,
        "frequency_penalty": sampling.frequency_penalty,
        "repetition_penalty": sampling.repetition_penalty,
        "logprobs": sampling.logprobs,
        "seed": None if sampling.seed is None else sampling.seed & _SEED_MASK,
        "stop": list(sampling.stop) or None,
    }
    wanted = sampling.max_tokens or min(
        max_tokens_default, int(defaults.get("max_tokens", max_tokens_default))
    )
    return {
        **defaults,
        **{name: value for name, value in given.items() if value is not None},
        "n": sampling.n,
        "max_tokens": min(wanted, room),
    }
