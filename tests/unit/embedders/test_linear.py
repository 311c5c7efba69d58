"""The fused layers compute what the plain ones do, and stand back where they cannot."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch
from groundwire_server.embedders.linear import FusedLinear, PlainLinear, linear_of

CPU = torch.device("cpu")


@pytest.mark.parametrize(("dtype", "error"), [(torch.float32, 1e-5), (torch.bfloat16, 0.05)])
@pytest.mark.parametrize("shape", [(1, 1), (3, 17), (8, 64)])
def test_both_kinds_compute_the_same(
    dtype: torch.dtype, error: float, shape: tuple[int, int]
) -> None:
    generator = torch.Generator().manual_seed(0)

    def some(*size: int) -> torch.Tensor:
        return torch.randn(*size, generator=generator).to(dtype)

    weight, bias, x, other = some(48, 32) / 6, some(48), some(*shape, 32), some(*shape, 48)
    before = other.clone()
    kind = linear_of(torch, CPU, dtype)
    with torch.inference_mode():
        plain, fast = PlainLinear(torch, weight, bias), kind(torch, weight, bias)
        for ours, theirs in (
            (fast(x), plain(x)),
            (fast.gelu(x), plain.gelu(x)),
            (fast.plus(x, other), plain.plus(x, other)),
        ):
            assert ours.shape == theirs.shape
            assert (ours - theirs).abs().max() < error
    assert torch.equal(other, before)


def test_fused_ones_are_for_cpus_that_have_them() -> None:
    if torch.backends.mkldnn.is_available():
        assert linear_of(torch, CPU, torch.float32) is FusedLinear
    assert linear_of(torch, torch.device("cuda"), torch.bfloat16) is PlainLinear
    assert linear_of(torch, CPU, torch.float64) is PlainLinear


def test_a_torch_without_the_operators_computes_all_the_same() -> None:
    mkldnn = SimpleNamespace(is_available=lambda: True)
    older = SimpleNamespace(
        float32=torch.float32,
        backends=SimpleNamespace(mkldnn=mkldnn),
        ops=SimpleNamespace(mkldnn=SimpleNamespace()),
    )
    assert linear_of(older, CPU, torch.float32) is PlainLinear
