"""Models whose settings are known, by short names."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from groundwire_server.engines.served_model import Targets


@dataclass(frozen=True, slots=True)
class Preset:
    """How a model is served where nothing else is said."""

    source: str
    """Its name on the hub."""
    context_length: int
    """Tokens of prompt and answer together."""
    gpu_memory: float
    """The share of each GPU's memory that vLLM takes, 0 to 1."""
    targets: Targets
    tool_parser: str = ""
    """vLLM's name for the form in which it calls tools; empty if it has not learnt that."""


# Contexts are no longer than the models' own; memory and targets are for one GPU of 80 GB for each.
PRESETS: Mapping[str, Preset] = {
    "mixtral-8x7b": Preset(
        "mistralai/Mixtral-8x7B-Instruct-v0.1", 32768, 0.9, Targets(latency_s=2.0, throughput=50)
    ),
    "hermes-2": Preset(
        "NousResearch/Hermes-2-Pro-Mistral-7B",
        8192,
        0.8,
        Targets(latency_s=1.5, throughput=30),
        tool_parser="hermes",
    ),
    "openchat-3.5": Preset(
        "openchat/openchat-3.5-0106", 4096, 0.7, Targets(latency_s=1.0, throughput=40)
    ),
    "phi-3-mini": Preset(
        "microsoft/Phi-3-mini-4k-instruct", 2048, 0.6, Targets(latency_s=0.5, throughput=60)
    ),
}
