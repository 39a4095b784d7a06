"""Networks whose outputs are the same integers on every machine.

The numbers that a range coder uses must not depend on thread counts, instruction sets or devices.
Floating-point convolutions do, because their sums change with the order of addition. Here an
already trained network is run in fixed point instead. Activations are integers that stand for
multiples of 2**-FRACTION, weights are rounded once to 16 bits, and both are held in float64, where
every sum of integers below 2**53 is exact in any order. Activations are clamped below 2**24 and
weights below 2**15. A fan-in above 2**13 raises ValueError, because sums would no longer be exact.

The idea is Ballé, Johnston & Minnen, "Integer networks for data compression with latent-variable
models" (2019); sixteen-bit weights need no quantisation-aware training.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

FRACTION = 12
ONE = 1 << FRACTION
_ACTIVATION_LIMIT = float((1 << 24) - 1)
_WEIGHT_BITS = 15
_FAN_IN_LIMIT = 1 << 13

FixedFunction = Callable[[Tensor], Tensor]


def to_fixed(values: Tensor) -> Tensor:
    """Real numbers to fixed point (nearest, ties to even), float64 holding integers."""
    return torch.round(values.detach().to("cpu", torch.float64) * ONE)


def shift_right(values: Tensor, bits: int) -> Tensor:
    """Divide integers by 2**``bits``, rounding halves up. Exact: both steps are powers of two."""
    return (values + float(1 << bits >> 1)).mul_(2.0**-bits).floor_()


def fixed_linear_map(
    weight: Tensor,
    bias: Tensor | None,
    apply: Callable[[Tensor, Tensor], Tensor],
    dtype: torch.dtype = torch.float64,
) -> FixedFunction:
    """A linear layer in fixed point.

    ``weight`` has its output channels first; ``apply(x, integer_weight)`` is the linear map
    without bias and returns output channels in dimension 1. In another ``dtype`` than float64
    results are not exact. Raises ``ValueError`` where sums could exceed 2**53.
    """
    if weight[0].numel() > _FAN_IN_LIMIT:
        raise ValueError(f"fan-in of {weight[0].numel()} is too large for exact sums")
    exact = weight.detach().to("cpu", torch.float64)
    exponent = math.frexp(float(exact.abs().max()))[1]  # |w| < 2**exponent
    bits = min(_WEIGHT_BITS - exponent, 24)
    integers = torch.round(exact * 2.0**bits)
    offset = torch.full((len(weight),), 2.0 ** (bits - 1), dtype=torch.float64)  # rounds to nearest
    if bias is not None:
        offset += torch.round(bias.detach().to("cpu", torch.float64) * 2.0 ** (bits + FRACTION))
    integers, offset = integers.to(dtype), offset.to(dtype)

    def run(x: Tensor) -> Tensor:
        total = apply(x, integers)
        total = total.add_(offset.view(1, -1, *[1] * (total.ndim - 2)))
        return total.mul_(2.0**-bits).floor_().clamp_(-_ACTIVATION_LIMIT, _ACTIVATION_LIMIT)

    return run


def _fixed_convolution(layer: nn.Conv2d, dtype: torch.dtype) -> FixedFunction:
    if layer.padding_mode != "zeros":
        raise ValueError("fixed-point convolutions pad with zeros")

    def apply(x: Tensor, weight: Tensor) -> Tensor:
        # float64 convolutions on the CPU run as plain matrix products: no Winograd, no bf16.
        padding = layer.padding
        return F.conv2d(x, weight, None, layer.stride, padding, layer.dilation, layer.groups)

    return fixed_linear_map(layer.weight, layer.bias, apply, dtype)


def _fixed_leaky_relu(layer: nn.LeakyReLU) -> FixedFunction:
    slope = round(layer.negative_slope * (1 << 16))
    if not 0 <= slope <= 1 << 16:
        raise ValueError("the slope of a leaky ReLU in fixed point is 0 to 1")

    def run(x: Tensor) -> Tensor:
        less = shift_right(x * slope, 16)  # of x below zero more than x, otherwise no more
        return torch.maximum(x, less, out=less)

    return run


def fixed(module: nn.Module, dtype: torch.dtype = torch.float64) -> FixedFunction:
    """The fixed-point twin of a float network: same layers, integers in, integers out.

    Takes ``nn.Sequential`` (nested as you like) of ``Conv2d``, ``LeakyReLU``, ``ReLU`` and
    ``PixelShuffle``; raises ``TypeError`` for anything else. Inputs and outputs are float64
    tensors (batch, channels, height, width) that hold integers in units of 2**-FRACTION; or of
    another ``dtype``, which is faster and not exact.
    """
    if isinstance(module, nn.Sequential):
        parts = [fixed(part, dtype) for part in module]

        def chain(x: Tensor) -> Tensor:
            for part in parts:
                x = part(x)
            return x

        return chain
    if isinstance(module, nn.Conv2d):
        return _fixed_convolution(module, dtype)
    if isinstance(module, nn.LeakyReLU):
        return _fixed_leaky_relu(module)
    if isinstance(module, nn.ReLU):
        return torch.relu
    if isinstance(module, nn.PixelShuffle):
        factor = module.upscale_factor
        return lambda x: F.pixel_shuffle(x, factor)
    raise TypeError(f"no fixed-point form of {type(module).__name__}")
