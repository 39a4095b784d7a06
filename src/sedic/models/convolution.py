"""Convolutions: fast ones of 3x3, by Winograd's algorithm, and ones that no thread count changes.

For float32 on a CPU torch calls oneDNN, which multiplies with all nine taps. NNPACK, which torch
also contains, needs a third of the multiplications or fewer (Winograd's minimal filtering; Lavin &
Gray, 2016): with AVX2 it takes less than half of the time, and differs by rounding only.
"""

from __future__ import annotations

from functools import cache

import torch
from torch import Tensor, nn

# Values of an input: up to so many are computed at once, more of them in bands of so many. NNPACK
# works in three times as much memory.
_WHOLE, _BAND = 1 << 22, 1 << 20


class Convolution3x3(nn.Conv2d):
    """A 3x3 convolution of stride 1 with zeros around its input: (b, inputs, h, w) to
    (b, outputs, h, w).

    While its weights are trained, torch chooses the algorithm.
    """

    def __init__(self, inputs: int, outputs: int, *, bias: bool = True) -> None:
        super().__init__(inputs, outputs, 3, padding=1, bias=bias)

    def forward(self, x: Tensor) -> Tensor:
        trained = self.weight.requires_grad
        if trained or not uses_winograd(x.device, x.dtype) or self.weight.dtype != x.dtype:
            return super().forward(x)
        if x.numel() <= _WHOLE:
            return self._winograd(x)
        rows = max(1, _BAND // (x.shape[0] * x.shape[1] * x.shape[3]))
        whole = x.new_empty(x.shape[0], self.out_channels, *x.shape[2:])
        for top in range(0, x.shape[2], rows):
            above = min(top, 1)
            band = self._winograd(x[:, :, top - above : top + rows + 1])
            whole[:, :, top : top + rows] = band[:, :, above : above + rows]
        return whole

    def _winograd(self, x: Tensor) -> Tensor:
        return torch._nnpack_spatial_convolution(x, self.weight, self.bias, 1, 1)


class EvenConvolution(nn.Conv2d):
    """Any other convolution. Its output does not depend on the number of threads.

    In channel-by-channel order oneDNN may split a sum between threads, which changes its rounding.
    In channels-last order it does not, at the sizes used here; so inputs are put in that order.
    """

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x.contiguous(memory_format=torch.channels_last))


def uses_winograd(device: torch.device, dtype: torch.dtype) -> bool:
    """Whether 3x3 convolutions of this kind are Winograd's here."""
    return device.type == "cpu" and dtype == torch.float32 and _is_faster()


def memory_format(device: torch.device, dtype: torch.dtype) -> torch.memory_format:
    """The order of values in which convolutions are fastest: NNPACK's is channel by channel."""
    return torch.contiguous_format if uses_winograd(device, dtype) else torch.channels_last


@cache
def _is_faster() -> bool:
    """Decided by the processor's features, not by timing, so that one machine always gives the same
    picture. With AVX-512 oneDNN is as fast."""
    return (
        torch.backends.cpu.get_cpu_capability() == "AVX2"
        and hasattr(torch, "_nnpack_spatial_convolution")
        and torch._nnpack_available()
    )
