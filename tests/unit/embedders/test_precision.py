from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest
from groundwire_server.embedders.precision import cpu_has_bf16, dtype_of, vllm_precision


def torch(*, gpu: bool, gpu_bf16: bool = False) -> SimpleNamespace:
    cuda = SimpleNamespace(is_available=lambda: gpu, is_bf16_supported=lambda: gpu_bf16)
    return SimpleNamespace(float32="fp32", bfloat16="bf16", float16="fp16", cuda=cuda)


@pytest.mark.parametrize(
    ("flags", "native"),
    [
        ("fpu sse avx avx2 fma", False),
        ("fpu avx2 avx512f avx512_vnni", False),
        ("fpu avx2 avx512f avx512_bf16", True),
        ("fpu amx_bf16 amx_tile", True),
    ],
)
def test_bf16_is_for_cpus_that_compute_it(tmp_path: Path, flags: str, native: bool) -> None:
    cpuinfo = tmp_path / "cpuinfo"
    cpuinfo.write_text(f"processor : 0\nflags\t\t: {flags}\n")

    assert cpu_has_bf16(cpuinfo) is native


def test_a_cpu_that_says_nothing_has_no_bf16(tmp_path: Path) -> None:
    assert not cpu_has_bf16(tmp_path / "missing")


def test_what_was_asked_for_is_used() -> None:
    assert dtype_of("fp32", torch(gpu=True, gpu_bf16=True)) == "fp32"
    assert dtype_of("bf16", torch(gpu=False)) == "bf16"
    assert dtype_of("fp16", torch(gpu=False)) == "fp16"


def test_vllm_is_told_what_was_asked_for_and_nothing_else() -> None:
    assert vllm_precision("fp16") == {"dtype": "float16"}
    assert vllm_precision("auto") == {}


def test_a_gpu_runs_in_the_half_precision_it_has() -> None:
    assert dtype_of("auto", torch(gpu=True, gpu_bf16=True)) == "bf16"
    assert dtype_of("auto", torch(gpu=True, gpu_bf16=False)) == "fp16"


def test_auto_on_a_cpu_is_what_it_computes_natively() -> None:
    assert dtype_of("auto", torch(gpu=False)) == ("bf16" if cpu_has_bf16() else "fp32")
