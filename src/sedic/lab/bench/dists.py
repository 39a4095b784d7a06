"""DISTS (Ding, Ma, Wang and Simoncelli 2020): structure and texture of VGG-16's features.

Pictures are compared at their own size; the authors' demo shrinks large ones to 256 pixels first,
most papers on compression do not.
"""

from __future__ import annotations

from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sedic.errors import SedicError
from sedic.lab.bench.backbones import Backbone
from sedic.models.convert import read_checkpoint

_TINY = 1e-6


class _Pool(nn.Module):
    """Root of the mean square under a 3 x 3 Hann window, at every other pixel."""

    def forward(self, x: Tensor) -> Tensor:
        hann = torch.tensor([0.5, 1.0, 0.5], dtype=x.dtype, device=x.device)
        window = torch.outer(hann, hann) / 4
        kernel = window.expand(x.shape[1], 1, 3, 3)
        power = F.conv2d(x.square(), kernel, stride=2, padding=1, groups=x.shape[1])
        return torch.sqrt(power + 1e-12)


class DISTS(nn.Module):
    """Distance of pictures (b, 3, h, w) in [0, 1]: a (b,) tensor, 0 for equal pictures."""

    def __init__(self, backbone: Path, weights: Path) -> None:
        """``backbone``: VGG-16; ``weights``: the authors' ``alpha`` and ``beta``."""
        super().__init__()
        for path in (backbone, weights):
            if not path.is_file():
                raise SedicError(f"DISTS: weights not found at {path}")
        self.backbone = Backbone("vgg", read_checkpoint(backbone), pool=_Pool)
        self.sizes = [3, *self.backbone.taps.values()]
        tensors = read_checkpoint(weights)
        shares = [tensors.get(name, torch.zeros(0)).float().flatten() for name in ("alpha", "beta")]
        if any(share.numel() != sum(self.sizes) for share in shares):
            raise SedicError("these are not the weights of DISTS")
        total = shares[0].sum() + shares[1].sum()
        for name, share in zip(("alpha", "beta"), shares, strict=True):
            self.register_buffer(name, share / total)
        self.requires_grad_(False).eval()

    def forward(self, a: Tensor, b: Tensor) -> Tensor:
        similarity = torch.zeros(a.shape[0], device=a.device)
        alphas, betas = (
            torch.split(self.get_buffer(name), self.sizes) for name in ("alpha", "beta")
        )
        features = zip([a, *self.backbone(a)], [b, *self.backbone(b)], alphas, betas, strict=True)
        for x, y, alpha, beta in features:
            mean_x, mean_y = x.mean((2, 3)), y.mean((2, 3))
            texture = (2 * mean_x * mean_y + _TINY) / (mean_x**2 + mean_y**2 + _TINY)
            variance_x = (x - mean_x[:, :, None, None]).square().mean((2, 3))
            variance_y = (y - mean_y[:, :, None, None]).square().mean((2, 3))
            covariance = (x * y).mean((2, 3)) - mean_x * mean_y
            structure = (2 * covariance + _TINY) / (variance_x + variance_y + _TINY)
            similarity = similarity + (alpha * texture + beta * structure).sum(1)
        return 1 - similarity
