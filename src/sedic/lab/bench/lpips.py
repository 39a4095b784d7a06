"""LPIPS (Zhang et al. 2018), version 0.1, on AlexNet, VGG-16 or SqueezeNet 1.1.

The features come from a backbone's weight file (torchvision's keys), the weights of their channels
from the heads' file. ``lpips_squeeze_caffe.safetensors`` holds both, with SqueezeNet as trained in
Caffe: its result is named ``LPIPS-squeeze (Caffe)``, a proxy for the official backbone and never
called plain LPIPS. Every layer is frozen; gradients flow to the pictures only.
"""

from __future__ import annotations

import re
from pathlib import Path

import torch
from torch import Tensor, nn

from sedic.errors import SedicError
from sedic.lab.bench.backbones import Backbone
from sedic.models.convert import read_checkpoint

NAME = "LPIPS-squeeze (Caffe)"
_HEAD = re.compile(r"(?:lpips\.)?lin(\d)\.model\.1\.weight")


class LPIPS(nn.Module):
    """Distance of pictures (b, 3, h, w) in [0, 1]: a (b,) tensor.

    Sides are at least 16 (vgg), 17 (squeeze) or 31 pixels (alex); smaller ones make torch raise
    ``RuntimeError``.
    """

    def __init__(self, *weights: Path, backbone: str = "squeeze") -> None:
        """``weights``: the file or files that hold features and heads; ``alex | vgg | squeeze``.

        ``SedicError`` if a file is missing or does not hold what it should.
        """
        super().__init__()
        tensors: dict[str, Tensor] = {}
        for path in weights:
            if not path.is_file():
                raise SedicError(f"LPIPS-{backbone}: weights not found at {path}")
            tensors |= read_checkpoint(path)
        self.backbone = Backbone(backbone, tensors)
        heads = {m[1]: v for k, v in tensors.items() if (m := _HEAD.fullmatch(k))}
        for i, channels in enumerate(self.backbone.taps.values()):
            head = heads.get(str(i))
            if head is None or head.numel() != channels:
                raise SedicError(f"these are not the LPIPS heads of {backbone}: number {i}")
            self.register_buffer(f"head{i}", head.float().flatten())
        self.requires_grad_(False).eval()

    def maps(self, x: Tensor) -> list[Tensor]:
        """Unit-length feature maps at the taps."""
        # The official code adds 1e-10 to the length; bf16 needs it inside the root.
        return [
            tap * torch.rsqrt(tap.square().sum(1, keepdim=True) + 1e-10) for tap in self.backbone(x)
        ]

    def forward(self, a: Tensor, b: Tensor) -> Tensor:
        with torch.no_grad():
            target = self.maps(b)
        return self.distance(self.maps(a), target)

    def distance(self, a: list[Tensor], b: list[Tensor]) -> Tensor:
        """The distance (b,) of pictures whose ``maps`` are ``a`` and ``b``."""
        total = torch.zeros(a[0].shape[0], device=a[0].device)
        for i, (x, y) in enumerate(zip(a, b, strict=True)):
            weighted = (x - y).square() * self.get_buffer(f"head{i}").to(x.dtype).view(1, -1, 1, 1)
            total = total + weighted.sum(1).float().mean((1, 2))
        return total


def weights_path(shared: Path) -> Path:
    """Where the shared data keeps the weights."""
    return shared / "weights" / "lpips_squeeze_caffe.safetensors"
