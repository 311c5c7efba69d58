"""The linear layers of the built-in model, with what follows them in the same pass.

torch computes ``gelu(xW + b)`` as a copy of the bias, a product and a pass over the result. On a
CPU oneDNN does it in one, with the weight in the order that it multiplies fastest. torch has these
as operators of its own, which its compiler uses; of the whole model they saved a tenth of the
processor time in bf16, and a seventh in fp32.
"""

from __future__ import annotations

from typing import Any, Protocol


class Linear(Protocol):
    """One layer, ``x`` of shape (..., inputs)."""

    def __call__(self, x: Any) -> Any:
        """``xW + b``."""
        ...

    def gelu(self, x: Any) -> Any:
        """``gelu(xW + b)``."""
        ...

    def plus(self, x: Any, other: Any) -> Any:
        """``xW + b + other``, of which nothing is changed."""
        ...


class PlainLinear:
    """By torch's public functions, on any device."""

    def __init__(self, torch: Any, weight: Any, bias: Any) -> None:
        self._functional = torch.nn.functional
        self._weight = weight
        self._bias = bias

    def __call__(self, x: Any) -> Any:
        """``xW + b``."""
        return self._functional.linear(x, self._weight, self._bias)

    def gelu(self, x: Any) -> Any:
        """``gelu(xW + b)``."""
        return self._functional.gelu(self(x))

    def plus(self, x: Any, other: Any) -> Any:
        """``xW + b + other``."""
        return self(x).add_(other)


class FusedLinear:
    """By oneDNN's operators, on a CPU that has them for the weight's type."""

    def __init__(self, torch: Any, weight: Any, bias: Any) -> None:
        self._ops = torch.ops.mkldnn
        self._weight = self._ops._reorder_linear_weight(weight, None)
        self._bias = bias

    def __call__(self, x: Any) -> Any:
        """``xW + b``."""
        return self._ops._linear_pointwise(x, self._weight, self._bias, "none", [], "")

    def gelu(self, x: Any) -> Any:
        """``gelu(xW + b)``."""
        return self._ops._linear_pointwise(x, self._weight, self._bias, "gelu", [], "none")

    def plus(self, x: Any, other: Any) -> Any:
        """``xW + b + other``."""
        return self._ops._linear_pointwise.binary(x, other, self._weight, self._bias, "add")


def linear_of(torch: Any, device: Any, dtype: Any) -> type[PlainLinear] | type[FusedLinear]:
    """The fastest kind that works here for weights of a type; the operators are no public ones."""
    if device.type != "cpu" or not torch.backends.mkldnn.is_available():
        return PlainLinear
    try:
        ops = torch.ops.mkldnn
        is_native = {
            torch.float32: lambda: True,
            torch.bfloat16: ops._is_mkldnn_bf16_supported,
            torch.float16: ops._is_mkldnn_fp16_supported,
        }[dtype]
        if not is_native():
            return PlainLinear
        with torch.inference_mode():
            layer = FusedLinear(torch, torch.ones(2, 3, dtype=dtype), torch.ones(2, dtype=dtype))
            x = torch.ones(1, 3, dtype=dtype)
            # All are 4, or nearly.
            results = (layer(x), layer.gelu(x), layer.plus(x, torch.zeros(1, 2, dtype=dtype)))
            is_right = all(bool(((one - 4).abs() < 0.01).all()) for one in results)
        return FusedLinear if is_right else PlainLinear
    except (AttributeError, KeyError, RuntimeError, TypeError):
        return PlainLinear
