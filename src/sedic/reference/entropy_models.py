"""Entropy models of ``cheng2020``: differentiable distributions of latents, and their tables.

Parameter and buffer names are those of CompressAI's entropy models.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sedic.coding.gaussian import GaussianTables

_LIKELIHOOD_BOUND = 1e-9
_SCALE_BOUND = 0.11
_TAIL_MASS = 1e-9
_FARTHEST = float(1 << 12)  # from a median, of symbols that a table has
_BISECTIONS = 50  # leave an interval of 1e-11


class _MaxWithGradient(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, bound: Tensor) -> Tensor:
        ctx.save_for_backward(x, bound)
        return torch.maximum(x, bound)

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> Any:
        x, bound = ctx.saved_tensors
        (gradient,) = gradients
        return gradient * ((x >= bound) | (gradient < 0)), None


def max_with_gradient(x: Tensor, bound: Tensor) -> Tensor:
    """max(x, bound); below the bound the gradient passes where a step along it leads back up."""
    bounded: Tensor = _MaxWithGradient.apply(x, bound)  # type: ignore[no-untyped-call]
    return bounded


class LowerBound(nn.Module):
    bound: Tensor

    def __init__(self, bound: float) -> None:
        super().__init__()
        self.register_buffer("bound", torch.tensor([bound]))

    def forward(self, x: Tensor) -> Tensor:
        return max_with_gradient(x, self.bound)


class _EntropyModel(nn.Module, ABC):
    """The base of both entropy models. It has integer coding tables, empty until an update."""

    _offset: Tensor
    _quantized_cdf: Tensor
    _cdf_length: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.likelihood_lower_bound = LowerBound(_LIKELIHOOD_BOUND)
        for name in ("_offset", "_quantized_cdf", "_cdf_length"):
            self.register_buffer(name, torch.zeros(0, dtype=torch.int32))

    def tables(self) -> GaussianTables:
        """The checkpoint's tables or, where it has none, new ones (floating-point work)."""
        if not self._quantized_cdf.numel():
            return self._new_tables()
        return GaussianTables.of_cdf(
            self._quantized_cdf.numpy(), self._cdf_length.numpy(), self._offset.numpy()
        )

    def update_tables(self) -> None:
        """Replace the tables by new ones of the model's present weights."""
        tables = self._new_tables()
        cdf = np.pad(tables.weights.cumsum(1, dtype=np.int32), ((0, 0), (1, 0)))
        stored = {
            "_quantized_cdf": cdf,
            "_cdf_length": tables.lengths + 1,
            "_offset": tables.offsets,
        }
        for name, values in stored.items():
            self.register_buffer(name, torch.from_numpy(values))

    @abstractmethod
    def _new_tables(self) -> GaussianTables:
        """Tables of the model's present weights (floating-point work)."""


class EntropyBottleneck(_EntropyModel):
    """The factorised prior of z (Ballé et al. 2018, appendix 6.1): a monotone net per channel."""

    target: Tensor
    _WIDTHS = (1, 3, 3, 3, 3, 1)

    def __init__(self, channels: int) -> None:
        super().__init__()
        spread = 10.0 ** (1 / 5)  # the distribution starts about 10 wide
        pairs = list(zip(self._WIDTHS, self._WIDTHS[1:], strict=False))
        slopes = [math.log(math.expm1(1 / spread / after)) for _, after in pairs]
        self.matrices = nn.ParameterList(
            torch.full((channels, after, before), slope)
            for (before, after), slope in zip(pairs, slopes, strict=True)
        )
        self.biases = nn.ParameterList(torch.rand(channels, after, 1) - 0.5 for _, after in pairs)
        self.factors = nn.ParameterList(torch.zeros(channels, after, 1) for _, after in pairs[:-1])
        self.quantiles = nn.Parameter(torch.tensor([-10.0, 0.0, 10.0]).repeat(channels, 1, 1))
        target = math.log(2 / _TAIL_MASS - 1)
        self.register_buffer("target", torch.tensor([-target, 0.0, target]))

    @property
    def medians(self) -> Tensor:
        """(channels,): z is rounded to these plus integers."""
        return self.quantiles[:, 0, 1]

    def _logits(self, x: Tensor) -> Tensor:
        """Logits of the cumulative distributions at ``x`` (channels, 1, n), in its dtype."""
        for k, (matrix, bias) in enumerate(zip(self.matrices, self.biases, strict=True)):
            x = F.softplus(matrix.to(x.dtype)) @ x + bias.to(x.dtype)
            if k < len(self.factors):
                x = x + torch.tanh(self.factors[k].to(x.dtype)) * torch.tanh(x)
        return x

    @torch.no_grad()
    def fit_quantiles(self) -> None:
        """Set ``quantiles`` to the prior's median and to the ends of its tails of 5e-10 each.

        The training loss does not depend on them, so training does not change them. CompressAI
        trains them with a loss of their own; here bisection finds them, because the logits are
        monotone. Values are clipped to +-``_FARTHEST``.
        """
        target = self.target.double()
        low = torch.full_like(self.quantiles, -_FARTHEST, dtype=torch.float64)
        high = -low
        for _ in range(_BISECTIONS):
            middle = (low + high) / 2
            below = self._logits(middle) < target
            low, high = torch.where(below, middle, low), torch.where(below, high, middle)
        self.quantiles.copy_((low + high) / 2)

    def forward(self, z: Tensor) -> tuple[Tensor, Tensor]:
        """z_hat and its likelihoods, both (batch, channels, h, w)."""
        medians = self.medians[None, :, None, None]
        if self.training:
            z_hat = z + torch.rand_like(z) - 0.5
        else:
            z_hat = torch.round(z - medians) + medians
        batch, channels, rows, columns = z.shape
        values = z_hat.transpose(0, 1).reshape(channels, 1, -1)
        mass = torch.sigmoid(self._logits(values + 0.5)) - torch.sigmoid(self._logits(values - 0.5))
        mass = mass.view(channels, batch, rows, columns).transpose(0, 1)
        return z_hat, self.likelihood_lower_bound(mass)

    @torch.no_grad()
    def _new_tables(self) -> GaussianTables:
        low, median, high = self.quantiles.double()[:, 0].unbind(1)
        below = (median - low).ceil().clamp(0, _FARTHEST).int().numpy()
        above = (high - median).ceil().clamp(0, _FARTHEST).int().numpy()
        steps = torch.arange(-int(below.max()), int(above.max()) + 1)
        values = steps + median[:, None, None]
        lower = torch.sigmoid(self._logits(values - 0.5))[:, 0].numpy()
        upper = torch.sigmoid(self._logits(values + 0.5))[:, 0].numpy()
        lengths = below + above + 2
        weights = np.zeros((len(below), int(lengths.max())), np.int64)
        for row, first, length, a, b in zip(
            weights, below.max() - below, lengths, lower, upper, strict=True
        ):
            inside = slice(first, first + length - 1)
            masses = [*(b[inside] - a[inside]), a[first] + 1 - b[first + length - 2]]
            row[:length] = np.maximum(1, np.rint(np.array(masses) * (1 << 16)))
        return GaussianTables(weights, lengths, -below)


class GaussianConditional(_EntropyModel):
    """The prior of y: a Gaussian of predicted mean and scale, integrated over unit cells."""

    scale_table: Tensor
    scale_bound: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.lower_bound_scale = LowerBound(_SCALE_BOUND)
        self.register_buffer("scale_bound", torch.tensor([_SCALE_BOUND]))
        scales = torch.exp(torch.linspace(math.log(_SCALE_BOUND), math.log(256), 64))
        self.register_buffer("scale_table", scales)

    def forward(self, y: Tensor, scales: Tensor, means: Tensor) -> Tensor:
        """The likelihoods of y rounded relative to its means (or with noise, in training)."""
        if self.training:
            distance = (y + torch.rand_like(y) - 0.5 - means).abs()
        else:
            distance = torch.round(y - means).abs()
        scales = self.lower_bound_scale(scales)
        scales = scales * math.sqrt(2)  # erfc keeps its relative precision far out, ndtr does not
        mass = torch.erfc((distance - 0.5) / scales) - torch.erfc((distance + 0.5) / scales)
        likelihoods: Tensor = self.likelihood_lower_bound(mass / 2)
        return likelihoods

    def _new_tables(self) -> GaussianTables:
        return GaussianTables.of_deviations(self.scale_table.tolist())
