"""Layers of both embedded autoencoders, ``compact`` and the VAE, and making networks from files."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from sedic.models.convolution import Convolution3x3

Network = TypeVar("Network", bound=nn.Module)


class _Unfilled(TorchFunctionMode):
    """A mode of this thread in which functions that change a tensor in place do nothing."""

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Sequence[type],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        named = dict(kwargs or {})
        if func.__name__.endswith("_") and not func.__name__.endswith("__"):
            return args[0] if args else named["tensor"]
        return func(*args, **named)


def with_weights(make: Callable[[], Network], tensors: Mapping[str, Tensor]) -> Network:
    """The network of ``make`` with exactly these tensors, ready to infer.

    While ``make`` runs, tensors are not initialised, which saves time. (The meta device would do
    the same, but torch imports a thousand modules for it.) Raises ``RuntimeError`` where a tensor
    is missing, has another shape, or has no place in the network.
    """
    with _Unfilled():
        network = make()
    network.load_state_dict(tensors, assign=True)
    return network.eval().requires_grad_(False)


class Block(nn.Module):
    """A residual block of two 3x3 convolutions."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv1 = Convolution3x3(channels, channels)
        self.conv2 = Convolution3x3(channels, channels)
        with torch.no_grad():
            self.conv2.weight.mul_(0.3)

    def forward(self, x: Tensor) -> Tensor:
        hidden = F.leaky_relu(self.conv1(x), 0.1, inplace=True)
        return self.conv2(hidden).add_(x)  # type: ignore[no-any-return]


def blocks(channels: int, count: int) -> list[nn.Module]:
    """``count`` residual blocks in a row."""
    return [Block(channels) for _ in range(count)]


def block_basis(channels: int, side: int) -> Tensor:
    """(channels, 3 * side**2): orthonormal low-frequency patterns of a block of pixels.

    Two thirds are of luma, the rest of two opponent colours; each is a DCT-II pattern, by rising
    frequency. Columns are in the order of ``nn.PixelUnshuffle(side)``. A codec whose linear part
    begins as these works like a classic transform codec from its first training step on.
    """
    n = torch.arange(side, dtype=torch.float64)
    waves = torch.cos(math.pi / side * (n + 0.5) * n[:, None]) * math.sqrt(2 / side)
    waves[0] /= math.sqrt(2)
    order = sorted(
        ((u, v) for u in range(side) for v in range(side)), key=lambda f: (sum(f), max(f), f)
    )
    colours = torch.tensor([[1.0, 1, 1], [1, 0, -1], [1, -2, 1]], dtype=torch.float64)
    colours = colours / colours.norm(dim=1, keepdim=True)
    chroma = channels // 6
    counts = (channels - 2 * chroma, chroma, chroma)
    u, v = torch.tensor([wave for count in counts for wave in order[:count]]).T
    colour = colours.repeat_interleave(torch.tensor(counts), 0)
    return torch.einsum("nc,ni,nj->ncij", colour, waves[u], waves[v]).flatten(1).float()
