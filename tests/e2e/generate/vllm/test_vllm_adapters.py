"""LoRA adapters of vLLM's models, and what keeps an engine with one from starting."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from groundwire_index.errors import FailedPreconditionError
from groundwire_server.engines.engine import (
    EngineEvent,
    EngineRequest,
    GenerationEnd,
    Sampling,
    TextPiece,
)
from groundwire_server.engines.vllm import VllmEngine
from groundwire_server.engines.vllm_adapters import VllmAdapters

from tests.adapters import adapters, small_adapter
from tests.models import VLLM_ARGS, small_llama

pytestmark = pytest.mark.vllm

# Longer than a block of the prefix cache.
PROMPT = "The lamps are covered when the night is dark. " * 16
GREEDY = Sampling(temperature=0.0, max_tokens=8, logprobs=0)


async def events_of(engine: VllmEngine, adapter: str, prompt: str = PROMPT) -> list[EngineEvent]:
    request = EngineRequest("r", GREEDY, prompt=prompt, adapter=adapter)
    return [event async for event in engine.generate(request)]


def tokens_of(events: list[EngineEvent]) -> list[tuple[str, float]]:
    pieces = [event for event in events if isinstance(event, TextPiece)]
    return [(one.token, one.logprob) for piece in pieces for one in piece.logprobs]


def cached_tokens(events: list[EngineEvent]) -> int:
    assert isinstance(events[-1], GenerationEnd)
    return events[-1].usage.cached_tokens


def logprobs_with(adapter: Path) -> float:
    """The log probability of the likeliest token after "Every visitor", computed by hand."""
    import torch
    from safetensors.torch import load_file
    from transformers import AutoModelForCausalLM, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(small_llama())
    model = AutoModelForCausalLM.from_pretrained(small_llama(), dtype=torch.float32)
    config = json.loads((adapter / "adapter_config.json").read_text())
    weights = load_file(adapter / "adapter_model.safetensors")
    modules = dict(model.named_modules())
    with torch.no_grad():
        for key in [key for key in weights if key.endswith("lora_A.weight")]:
            name = key.removeprefix("base_model.model.").removesuffix(".lora_A.weight")
            change = weights[key.replace("lora_A", "lora_B")] @ weights[key]
            modules[name].weight += config["lora_alpha"] / config["r"] * change
        ids = tokenizer("Every visitor", add_special_tokens=False, return_tensors="pt").input_ids
        return float(model(ids).logits[0, -1].log_softmax(-1).max())


async def test_each_adapter_changes_what_the_model_says(engine: VllmEngine) -> None:
    said = {name: tokens_of(await events_of(engine, name)) for name in ("", *engine.adapters)}
    assert len({str(tokens) for tokens in said.values()}) == 3
    for name, tokens in said.items():
        assert tokens_of(await events_of(engine, name)) == tokens


@pytest.mark.parametrize(("name", "seed", "rank"), [("legal", 1, 8), ("medical", 2, 4)])
async def test_an_adapter_is_added_to_the_weights(
    engine: VllmEngine, name: str, seed: int, rank: int
) -> None:
    (_, logprob), *_ = tokens_of(await events_of(engine, name, "Every visitor"))
    assert logprob == pytest.approx(logprobs_with(small_adapter(seed, rank=rank)), abs=1e-3)


async def test_what_one_adapter_has_read_is_not_in_the_cache_of_another(
    engine: VllmEngine,
) -> None:
    prompt = "A prompt that nobody else has: the legal path is medical. " * 12
    names = ["legal", "", "medical"]
    first = [cached_tokens(await events_of(engine, name, prompt)) for name in names]
    again = [cached_tokens(await events_of(engine, name, prompt)) for name in names]
    assert first == [0, 0, 0]
    assert all(cached > 0 for cached in again)


def beside(folder: Path, **changes: Any) -> Path:
    """An adapter like the small one, whose description says something else."""
    source = small_adapter(1)
    told = json.loads((source / "adapter_config.json").read_text())
    (folder / "adapter_config.json").write_text(json.dumps({**told, **changes}))
    weights = (source / "adapter_model.safetensors").read_bytes()
    (folder / "adapter_model.safetensors").write_bytes(weights)
    return folder


async def refusal(folder: Path, **args: Any) -> str:
    engine = VllmEngine(
        str(small_llama()), args={**VLLM_ARGS, **args}, adapters={"legal": str(folder)}
    )
    try:
        with pytest.raises(FailedPreconditionError) as refused:
            await engine.start()
    finally:
        await engine.close()
    assert refused.value.message.startswith('vllm_adapters: "legal": ')
    return refused.value.message


async def test_a_folder_without_an_adapter_is_refused_before_vllm_starts(tmp_path: Path) -> None:
    assert "there is no adapter_config.json" in await refusal(tmp_path / "none")
    assert "there is no adapter_config.json" in await refusal(tmp_path)
    for text in ("{", "[]", "{}", '{"r": "many"}'):
        (tmp_path / "adapter_config.json").write_text(text)
        assert "does not describe a LoRA adapter" in await refusal(tmp_path)


async def test_a_rank_that_has_no_room_is_refused_before_vllm_starts(tmp_path: Path) -> None:
    assert "its rank is 513; at most 512" in await refusal(beside(tmp_path, r=513))
    ranks = beside(tmp_path, rank_pattern={"q_proj": 20})
    assert "its rank is 20; at most 16 is allowed, by max_lora_rank of vllm_args" in await refusal(
        ranks, max_lora_rank=16
    )


async def refusal_to_load(engine: VllmEngine, folder: Path) -> str:
    """As the last thing that such an engine does while it starts."""
    with pytest.raises(FailedPreconditionError) as refused:
        await VllmAdapters({**adapters(), "third": str(folder)}).load(engine._vllm)
    assert refused.value.message.startswith('vllm_adapters: "third": ')
    return refused.value.message


async def test_an_adapter_of_another_model_is_refused(engine: VllmEngine) -> None:
    assert "reads 64 numbers a token, and this model has 128" in await refusal_to_load(
        engine, small_adapter(1, hidden=64)
    )


async def test_what_vllm_does_not_load_is_refused_in_its_words(
    engine: VllmEngine, tmp_path: Path
) -> None:
    assert "DoRA" in await refusal_to_load(engine, beside(tmp_path, use_dora=True))
