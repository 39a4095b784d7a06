"""LPIPS (Zhang et al. 2018) on SqueezeNet 1.1, from a safetensors file with torchvision's keys.

With ``lpips_squeeze_caffe.safetensors`` (SqueezeNet as trained in Caffe and the LPIPS heads) the
result is named ``LPIPS-squeeze (Caffe)``: a proxy for the official backbone, never called plain
LPIPS. Every layer is frozen; gradients flow to the pictures only.
"""

from __future__ import annotations

from pathlib import Path

import torch
import torch.nn.functional as F
from safetensors.torch import load_file
from torch import Tensor, nn

from sedic.semantics import SedicError

NAME = "LPIPS-squeeze (Caffe)"
_MEAN = (0.485, 0.456, 0.406)
_STD = (0.229, 0.224, 0.225)
# features.N of torchvision's squeezenet1_1: (input, squeeze, expand) channels of its fire modules
_FIRES = {
    3: (64, 16, 64),
    4: (128, 16, 64),
    6: (128, 32, 128),
    7: (256, 32, 128),
    9: (256, 48, 192),
    10: (384, 48, 192),
    11: (384, 64, 256),
    12: (512, 64, 256),
}
_POOLS = (2, 5, 8)
_TAPS = {1: 64, 4: 128, 7: 256, 9: 384, 10: 384, 11: 512, 12: 512}


class _Fire(nn.Module):
    def __init__(self, inputs: int, squeeze: int, expand: int) -> None:
        super().__init__()
        self.squeeze1x1 = nn.Conv2d(inputs, squeeze, 1)
        self.expand1x1 = nn.Conv2d(squeeze, expand, 1)
        self.expand3x3 = nn.Conv2d(squeeze, expand, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(self.squeeze1x1(x))
        return F.relu(torch.cat([self.expand1x1(x), self.expand3x3(x)], 1))


class LPIPS(nn.Module):
    """Distance of pictures (b, 3, h, w) in [0, 1], sides at least 35 pixels: a (b,) tensor."""

    def __init__(self, weights: Path) -> None:
        super().__init__()
        if not weights.is_file():
            raise SedicError(f"{NAME}: weights not found at {weights}; set SEDIC_SHARED")
        first = nn.Conv2d(3, 64, 3, stride=2)
        self.features = nn.ModuleDict(
            {"0": first, **{str(n): _Fire(*shape) for n, shape in _FIRES.items()}}
        )
        tensors = load_file(weights)
        heads = [tensors.pop(f"lpips.lin{i}.model.1.weight") for i in range(len(_TAPS))]
        for i, head in enumerate(heads):
            self.register_buffer(f"head{i}", head.flatten())
        self.features.load_state_dict({k.removeprefix("features."): v for k, v in tensors.items()})
        self.register_buffer("mean", torch.tensor(_MEAN).view(1, 3, 1, 1))
        self.register_buffer("deviation", torch.tensor(_STD).view(1, 3, 1, 1))
        self.requires_grad_(False).eval()

    def maps(self, x: Tensor) -> list[Tensor]:
        """Unit-length feature maps at the seven taps."""
        x = (x - self.get_buffer("mean")) / self.get_buffer("deviation")
        taps = []
        for n in range(13):
            if n == 1:
                x = F.relu(x)
            elif n in _POOLS:
                x = F.max_pool2d(x, 3, 2, ceil_mode=True)
            else:
                x = self.features[str(n)](x)
            if n in _TAPS:
                # The official code adds 1e-10 to the length; bf16 needs it inside the root.
                taps.append(x * torch.rsqrt(x.square().sum(1, keepdim=True) + 1e-10))
        return taps

    def forward(self, a: Tensor, b: Tensor) -> Tensor:
        with torch.no_grad():
            target = self.maps(b)
        total = torch.zeros(a.shape[0], device=a.device)
        for i, (x, y) in enumerate(zip(self.maps(a), target, strict=True)):
            weighted = (x - y).square() * self.get_buffer(f"head{i}").to(x.dtype).view(1, -1, 1, 1)
            total = total + weighted.sum(1).float().mean((1, 2))
        return total


def weights_path(shared: Path) -> Path:
    """Where the shared data keeps the weights."""
    return shared / "weights" / "lpips_squeeze_caffe.safetensors"
