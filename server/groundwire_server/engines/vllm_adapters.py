"""LoRA adapters: small changes to one model, each of which requests name as a model."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, get_args

from groundwire_index.errors import FailedPreconditionError

from groundwire_server.blocking import run_blocking

_CONFIG = "adapter_config.json"
_WEIGHTS = "adapter_model.safetensors"
_READS_HIDDEN = re.compile(r"\.(?:q|k|v|qkv|gate|up|gate_up)_proj\.lora_A\.weight$")
# In one batch, unless vllm_args has max_loras: each takes the memory of the largest.
_MOST_AT_ONCE = 8


class VllmAdapters:
    """The adapters of one model, by the names that requests use."""

    def __init__(self, folders: Mapping[str, str]) -> None:
        self._folders = {
            name: Path(folder).expanduser().absolute() for name, folder in folders.items()
        }
        self._requests: dict[str, Any] = {}

    @property
    def names(self) -> tuple[str, ...]:
        """In the order in which they are given."""
        return tuple(self._folders)

    def require_in_place(self) -> None:
        """Raise FailedPreconditionError for a folder that holds no adapter."""
        for name, folder in self._folders.items():
            _rank(name, folder)

    def engine_arguments(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """Of vLLM, apart from those that are ``given``.

        Raises FailedPreconditionError if these leave no room for an adapter's rank.
        """
        if not self._folders:
            return {}
        from vllm.config.lora import MaxLoRARanks

        ranks = {name: _rank(name, folder) for name, folder in self._folders.items()}
        allowed = sorted(get_args(MaxLoRARanks))
        limit = given.get("max_lora_rank", allowed[-1])
        for name, rank in ranks.items():
            if rank > limit:
                raise _unfit(
                    name,
                    f"its rank is {rank}; at most {limit} is allowed"
                    + (", by max_lora_rank of vllm_args" if "max_lora_rank" in given else ""),
                )
        return {
            "enable_lora": True,
            "max_lora_rank": next(size for size in allowed if size >= max(ranks.values())),
            "max_loras": min(len(ranks), _MOST_AT_ONCE),
            "max_cpu_loras": max(len(ranks), given.get("max_loras", 0)),
        }

    async def load(self, vllm: Any) -> None:
        """Read them into a model. Raises FailedPreconditionError if one is not made for it."""
        if not self._folders:
            return
        from vllm.lora.request import LoRARequest

        width = int(vllm.model_config.hf_text_config.hidden_size)
        for number, (name, folder) in enumerate(self._folders.items(), start=1):
            await run_blocking(_require_width, name, folder, width)
            request = LoRARequest(name, number, str(folder))
            try:
                await vllm.add_lora(request)
            # What the engine core raises arrives as its words.
            except Exception as error:
                raise _unfit(name, f"vLLM cannot load {folder}: {_said(error)}") from error
            self._requests[name] = request

    def request(self, name: str) -> Any:
        """As vLLM's ``LoRARequest``; None for no adapter."""
        return self._requests[name] if name else None


def _rank(name: str, folder: Path) -> int:
    config = folder / _CONFIG
    try:
        told = json.loads(config.read_text())
        ranks = [told["r"], *(told.get("rank_pattern") or {}).values()]
        return max(int(rank) for rank in ranks)
    except FileNotFoundError:
        raise _unfit(
            name, f'there is no {_CONFIG} in "{folder}": give the folder of a LoRA adapter'
        ) from None
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise _unfit(name, f"{config} does not describe a LoRA adapter: {error!r}") from error


def _require_width(name: str, folder: Path, width: int) -> None:
    """Raise FailedPreconditionError if the adapter reads other hidden states than the model has.

    vLLM takes as much of it as fits.
    """
    from safetensors import SafetensorError, safe_open

    weights = folder / _WEIGHTS
    if not weights.exists():
        # vLLM may know another form, or says that there is none.
        return
    try:
        with safe_open(weights, framework="pt") as tensors:
            for key in tensors.keys():  # noqa: SIM118 - it is no mapping
                found = _READS_HIDDEN.search(key) and tensors.get_slice(key).get_shape()[-1]
                if found and found != width:
                    raise _unfit(
                        name,
                        f"it is made for another model: {key} reads {found:,} numbers a token, "
                        f"and this model has {width:,}",
                    )
    except (OSError, SafetensorError) as error:
        raise _unfit(name, f"{weights} cannot be read: {error}") from error


def _unfit(name: str, problem: str) -> FailedPreconditionError:
    return FailedPreconditionError(
        f'vllm_adapters: "{name}": {problem}', reason="VLLM_ADAPTER_UNFIT"
    )


def _said(error: Exception) -> str:
    return str(error).strip().rpartition("\n")[2].rstrip(" .")
