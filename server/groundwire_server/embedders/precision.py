"""Which number format a model runs in."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

Precision = Literal["auto", "fp32", "bf16", "fp16"]

# Without one of these a CPU emulates bf16, several times slower than it computes fp32.
_NATIVE_BF16 = frozenset({"avx512_bf16", "amx_bf16"})


def dtype_of(precision: Precision, torch: Any) -> Any:
    """The torch dtype for a precision on this machine.

    "auto" is half precision where the GPU or the CPU computes it natively, else fp32.
    """
    if precision == "fp32":
        return torch.float32
    if precision == "bf16":
        return torch.bfloat16
    if precision == "fp16":
        return torch.float16
    if torch.cuda.is_available():
        return torch.bfloat16 if torch.cuda.is_bf16_supported() else torch.float16
    return torch.bfloat16 if cpu_has_bf16() else torch.float32


def vllm_precision(precision: Precision) -> Mapping[str, str]:
    """vLLM's engine arguments for a precision; none for "auto", which it decides itself."""
    names = {"fp32": "float32", "bf16": "bfloat16", "fp16": "float16"}
    return {"dtype": names[precision]} if precision in names else {}


def cpu_has_bf16(cpuinfo: Path = Path("/proc/cpuinfo")) -> bool:
    """Whether this CPU multiplies bf16 numbers natively."""
    try:
        lines = cpuinfo.read_text().splitlines()
    except OSError:
        return False
    flags = next((line for line in lines if line.startswith("flags")), "")
    return not _NATIVE_BF16.isdisjoint(flags.split())
