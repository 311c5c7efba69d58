"""LoRA adapters for the small model of `tests.models`: random, but they change what it says."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path

from tests.models import made_once

# Part of the folders' names: change it with anything below.
VERSION = 1

LAYERS, HIDDEN, KEY_VALUES = 4, 128, 64
SHAPES = {"q_proj": HIDDEN, "v_proj": KEY_VALUES}
ALPHA = 16


def small_adapter(seed: int, *, rank: int = 8, hidden: int = HIDDEN) -> Path:
    """A folder in the format of PEFT; the same bytes every time.

    It is made for the small model unless ``hidden`` is the size of another.
    """
    name = f"small-adapter-{VERSION}-{seed}-{rank}-{hidden}"
    return made_once(name, partial(_make, seed=seed, rank=rank, hidden=hidden))


def adapters() -> dict[str, str]:
    """Two of them, by the names that requests use; of different ranks."""
    return {"legal": str(small_adapter(1)), "medical": str(small_adapter(2, rank=4))}


def _make(folder: Path, *, seed: int, rank: int, hidden: int) -> None:
    import torch
    from safetensors.torch import save_file

    random = torch.Generator().manual_seed(seed)
    weights = {}
    for layer in range(LAYERS):
        for module, size in SHAPES.items():
            path = f"base_model.model.model.layers.{layer}.self_attn.{module}"
            weights[f"{path}.lora_A.weight"] = torch.randn(rank, hidden, generator=random)
            weights[f"{path}.lora_B.weight"] = torch.randn(size, rank, generator=random)
    save_file(weights, folder / "adapter_model.safetensors")
    config = {
        "peft_type": "LORA",
        "task_type": "CAUSAL_LM",
        "r": rank,
        "lora_alpha": ALPHA,
        "target_modules": list(SHAPES),
        "bias": "none",
    }
    (folder / "adapter_config.json").write_text(json.dumps(config))
