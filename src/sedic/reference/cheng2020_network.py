"""The network of Cheng et al., "Learned image compression with discretized Gaussian mixture
likelihoods and attention modules" (2020), in its single-Gaussian form with attention.

Layers and parameter names are those of CompressAI's ``cheng2020-attn``, so that checkpoints
trained with it load as they are.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sedic.errors import SedicError
from sedic.reference.entropy_models import EntropyBottleneck, GaussianConditional, LowerBound

_MAX_CHANNELS = 512
_REPARAM_OFFSET = 2.0**-18


class _NonNegative(nn.Module):
    """x -> max(x, bound)**2 - pedestal, which is at least ``minimum`` (Ballé 2018)."""

    pedestal: Tensor

    def __init__(self, minimum: float) -> None:
        super().__init__()
        pedestal = _REPARAM_OFFSET**2
        self.register_buffer("pedestal", torch.tensor([pedestal]))
        self.lower_bound = LowerBound(math.sqrt(minimum + pedestal))

    def forward(self, x: Tensor) -> Tensor:
        bounded: Tensor = self.lower_bound(x)
        return bounded**2 - self.pedestal

    def inverse(self, value: Tensor) -> Tensor:
        return (value + self.pedestal).sqrt()


class GDN(nn.Module):
    """Generalised divisive normalisation (Ballé, Laparra & Simoncelli 2016), or its inverse."""

    def __init__(self, channels: int, inverse: bool = False) -> None:
        super().__init__()
        self.inverse = inverse
        self.beta_reparam = _NonNegative(1e-6)
        self.gamma_reparam = _NonNegative(0.0)
        self.beta = nn.Parameter(self.beta_reparam.inverse(torch.ones(channels)))
        self.gamma = nn.Parameter(self.gamma_reparam.inverse(0.1 * torch.eye(channels)))

    def forward(self, x: Tensor) -> Tensor:
        gamma = self.gamma_reparam(self.gamma)[:, :, None, None]
        norm = F.conv2d(x * x, gamma, self.beta_reparam(self.beta))
        return x * (norm.sqrt() if self.inverse else norm.rsqrt())


def _conv3x3(inputs: int, outputs: int, stride: int = 1) -> nn.Conv2d:
    return nn.Conv2d(inputs, outputs, 3, stride, 1)


def _upsample(inputs: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(_conv3x3(inputs, 4 * outputs), nn.PixelShuffle(2))


class _ResidualBlock(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv1 = _conv3x3(channels, channels)
        self.conv2 = _conv3x3(channels, channels)

    def forward(self, x: Tensor) -> Tensor:
        changed: Tensor = self.conv2(F.leaky_relu(self.conv1(x)))
        return x + F.leaky_relu(changed)


class _ResidualBlockWithStride(nn.Module):
    def __init__(self, inputs: int, channels: int) -> None:
        super().__init__()
        self.conv1 = _conv3x3(inputs, channels, stride=2)
        self.conv2 = _conv3x3(channels, channels)
        self.gdn = GDN(channels)
        self.skip = nn.Conv2d(inputs, channels, 1, 2)

    def forward(self, x: Tensor) -> Tensor:
        shortcut: Tensor = self.skip(x)
        shortcut += self.gdn(self.conv2(F.leaky_relu(self.conv1(x))))
        return shortcut


class _ResidualBlockUpsample(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.subpel_conv = _upsample(channels, channels)
        self.conv = _conv3x3(channels, channels)
        self.igdn = GDN(channels, inverse=True)
        self.upsample = _upsample(channels, channels)

    def forward(self, x: Tensor) -> Tensor:
        shortcut: Tensor = self.upsample(x)
        shortcut += self.igdn(self.conv(F.leaky_relu(self.subpel_conv(x))))
        return shortcut


class _ResidualUnit(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        half = channels // 2
        self.conv = nn.Sequential(
            nn.Conv2d(channels, half, 1),
            nn.ReLU(),
            _conv3x3(half, half),
            nn.ReLU(),
            nn.Conv2d(half, channels, 1),
        )

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(x + self.conv(x))


class _Attention(nn.Module):
    """The paper's simplified attention: a branch weighted by the sigmoid of another."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv_a = nn.Sequential(*(_ResidualUnit(channels) for _ in range(3)))
        self.conv_b = nn.Sequential(
            *(_ResidualUnit(channels) for _ in range(3)), nn.Conv2d(channels, channels, 1)
        )

    def forward(self, x: Tensor) -> Tensor:
        branch: Tensor = self.conv_a(x)
        return x + branch * torch.sigmoid(self.conv_b(x))


class MaskedConv2d(nn.Conv2d):
    """A 5x5 convolution whose weights at and after its centre, in raster order, are zero."""

    mask: Tensor

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__(inputs, outputs, 5, padding=2)
        mask = torch.zeros_like(self.weight.data)
        mask.flatten(2)[:, :, :12] = 1
        self.register_buffer("mask", mask)

    def forward(self, x: Tensor) -> Tensor:
        return F.conv2d(x, self.weight * self.mask, self.bias, padding=2)


class Coded(NamedTuple):
    """The results of ``forward``, float tensors; y is on a grid of 1/16, z on one of 1/64."""

    x_hat: Tensor
    y: Tensor
    z: Tensor
    means: Tensor
    scales: Tensor
    y_likelihoods: Tensor
    z_likelihoods: Tensor


class Cheng2020Attention(nn.Module):
    """The whole network, of ``channels`` channels (CompressAI's N)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        n = self.channels = channels
        self.g_a = nn.Sequential(
            _ResidualBlockWithStride(3, n),
            _ResidualBlock(n),
            _ResidualBlockWithStride(n, n),
            _Attention(n),
            _ResidualBlock(n),
            _ResidualBlockWithStride(n, n),
            _ResidualBlock(n),
            _conv3x3(n, n, stride=2),
            _Attention(n),
        )
        self.g_s = nn.Sequential(
            _Attention(n),
            _ResidualBlock(n),
            _ResidualBlockUpsample(n),
            _ResidualBlock(n),
            _ResidualBlockUpsample(n),
            _Attention(n),
            _ResidualBlock(n),
            _ResidualBlockUpsample(n),
            _ResidualBlock(n),
            _upsample(n, 3),
        )
        self.h_a = nn.Sequential(
            _conv3x3(n, n),
            nn.LeakyReLU(),
            _conv3x3(n, n),
            nn.LeakyReLU(),
            _conv3x3(n, n, stride=2),
            nn.LeakyReLU(),
            _conv3x3(n, n),
            nn.LeakyReLU(),
            _conv3x3(n, n, stride=2),
        )
        self.h_s = nn.Sequential(
            _conv3x3(n, n),
            nn.LeakyReLU(),
            _upsample(n, n),
            nn.LeakyReLU(),
            _conv3x3(n, n * 3 // 2),
            nn.LeakyReLU(),
            _upsample(n * 3 // 2, n * 3 // 2),
            nn.LeakyReLU(),
            _conv3x3(n * 3 // 2, n * 2),
        )
        self.entropy_parameters = nn.Sequential(
            nn.Conv2d(n * 12 // 3, n * 10 // 3, 1),
            nn.LeakyReLU(),
            nn.Conv2d(n * 10 // 3, n * 8 // 3, 1),
            nn.LeakyReLU(),
            nn.Conv2d(n * 8 // 3, n * 6 // 3, 1),
        )
        self.context_prediction = MaskedConv2d(n, n * 2)
        self.entropy_bottleneck = EntropyBottleneck(n)
        self.gaussian_conditional = GaussianConditional()

    def forward(self, x: Tensor) -> Coded:
        """Code ``x`` (batch, 3, height, width) in [0, 1], sides multiples of 64, for training.

        As in CompressAI, y is rounded (in training: noisy) without regard to its mean here, for
        the context model and for ``g_s``; the bit stream codes round(y - mean) + mean.
        """
        y = self.g_a(x)
        z = self.h_a(y)
        z_hat, z_likelihoods = self.entropy_bottleneck(z)
        y_hat = y + torch.rand_like(y) - 0.5 if self.training else torch.round(y)
        features = torch.cat((self.h_s(z_hat), self.context_prediction(y_hat)), 1)
        scales, means = self.entropy_parameters(features).chunk(2, 1)
        y_likelihoods = self.gaussian_conditional(y, scales, means)
        return Coded(self.g_s(y_hat), y, z, means, scales, y_likelihoods, z_likelihoods)

    def update_tables(self) -> None:
        """Replace the coding tables by new ones of the present weights, after training."""
        self.entropy_bottleneck.fit_quantiles()
        self.entropy_bottleneck.update_tables()
        self.gaussian_conditional.update_tables()

    @classmethod
    def of_state(cls, state: Mapping[str, Any]) -> Cheng2020Attention:
        """The network of a CompressAI checkpoint's state, in evaluation mode.

        Old parameter names are translated; every parameter must be there, constants (masks,
        bounds, the scale table) and coding tables may be missing. Raises ``SedicError`` where
        the state is not that of such a network.
        """
        state = {_current_name(name): value for name, value in state.items()}
        first = state.get("h_a.0.weight")
        if not isinstance(first, Tensor) or not (
            first.ndim == 4 and 1 < len(first) <= _MAX_CHANNELS
        ):
            raise SedicError("not a cheng2020-attn checkpoint: it has no weights h_a.0")
        network = cls(len(first)).eval()
        for name, default in dict(network.named_buffers()).items():
            value = state.setdefault(name, default)
            if default.numel() == 0 or name.endswith("scale_table"):  # tables of any size
                owner = network.get_submodule(name.rpartition(".")[0])
                owner.register_buffer(name.rpartition(".")[2], torch.empty_like(value))
        try:
            network.load_state_dict(state, strict=True)
        except (RuntimeError, TypeError) as error:
            reason = str(error).strip().splitlines()[-1].strip()
            raise SedicError(f"not a cheng2020-attn checkpoint: {reason}") from error
        return network.requires_grad_(False)


def _current_name(name: str) -> str:
    """The name a parameter has today, from those of CompressAI's earlier releases."""
    name = name.removeprefix("module.").replace(".downsample.", ".skip.")
    old = re.fullmatch(r"entropy_bottleneck\._(matri|bias|factor)(?:x|ces|es|s)?\.?(\d)", name)
    if old:
        plural = {"matri": "matrices", "bias": "biases", "factor": "factors"}[old[1]]
        name = f"entropy_bottleneck.{plural}.{old[2]}"
    return name
