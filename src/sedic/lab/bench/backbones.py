"""The convolutions of AlexNet, VGG-16 and SqueezeNet 1.1, whose features LPIPS and DISTS compare.

Modules are numbered as in torchvision's ``features``, so its weight files load by name.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sedic.errors import SedicError

MEAN = (0.485, 0.456, 0.406)  # of the ImageNet pictures in [0, 1]
DEVIATION = (0.229, 0.224, 0.225)


@dataclass(frozen=True)
class Architecture:
    """A network: its layers, and ``taps``: the number of channels after each layer whose output is
    used."""

    layers: tuple[nn.Module, ...]
    taps: dict[int, int]


class Fire(nn.Module):
    """SqueezeNet's module."""

    def __init__(self, inputs: int, squeeze: int, expand: int) -> None:
        super().__init__()
        self.squeeze = nn.Conv2d(inputs, squeeze, 1)
        self.expand1x1 = nn.Conv2d(squeeze, expand, 1)
        self.expand3x3 = nn.Conv2d(squeeze, expand, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(self.squeeze(x))
        return F.relu(torch.cat([self.expand1x1(x), self.expand3x3(x)], 1))


def architecture(name: str) -> Architecture:
    """The network ``alex``, ``vgg`` or ``squeeze``, with random weights."""
    return {"alex": _alexnet, "vgg": _vgg16, "squeeze": _squeezenet}[name]()


def _alexnet() -> Architecture:
    convolutions = [
        nn.Conv2d(3, 64, 11, 4, 2),
        nn.Conv2d(64, 192, 5, padding=2),
        nn.Conv2d(192, 384, 3, padding=1),
        nn.Conv2d(384, 256, 3, padding=1),
        nn.Conv2d(256, 256, 3, padding=1),
    ]
    layers: list[nn.Module] = []
    for i, convolution in enumerate(convolutions):
        layers += [convolution, nn.ReLU()]
        if i < 2:
            layers.append(nn.MaxPool2d(3, 2))
    return Architecture(tuple(layers), {1: 64, 4: 192, 7: 384, 9: 256, 11: 256})


def _vgg16() -> Architecture:
    layers: list[nn.Module] = []
    taps = {}
    inputs = 3
    for count, channels in ((2, 64), (2, 128), (3, 256), (3, 512), (3, 512)):
        if layers:
            layers.append(nn.MaxPool2d(2, 2))
        for _ in range(count):
            layers += [nn.Conv2d(inputs, channels, 3, padding=1), nn.ReLU()]
            inputs = channels
        taps[len(layers) - 1] = channels
    return Architecture(tuple(layers), taps)


def _squeezenet() -> Architecture:
    def pool() -> nn.Module:
        return nn.MaxPool2d(3, 2, ceil_mode=True)

    layers = (
        nn.Conv2d(3, 64, 3, 2),
        nn.ReLU(),
        pool(),
        Fire(64, 16, 64),
        Fire(128, 16, 64),
        pool(),
        Fire(128, 32, 128),
        Fire(256, 32, 128),
        pool(),
        Fire(256, 48, 192),
        Fire(384, 48, 192),
        Fire(384, 64, 256),
        Fire(512, 64, 256),
    )
    return Architecture(layers, {1: 64, 4: 128, 7: 256, 9: 384, 10: 384, 11: 512, 12: 512})


class Backbone(nn.Module):
    """Frozen features of pictures (b, 3, h, w) in [0, 1]: one tensor for each tap, in order."""

    def __init__(
        self, name: str, tensors: Mapping[str, Tensor], pool: type[nn.Module] | None = None
    ) -> None:
        """``tensors`` has torchvision's keys; other parts of the network in it are left alone.

        ``pool`` replaces VGG's pooling. ``SedicError`` if a tensor is missing or misshapen.
        """
        super().__init__()
        shape = architecture(name)
        layers = [
            pool() if pool and isinstance(layer, nn.MaxPool2d) else layer for layer in shape.layers
        ]
        self.taps = shape.taps
        self.features = nn.Sequential(*layers)
        own = {
            key.replace(".squeeze1x1.", ".squeeze."): tensor.float()  # the name in Caffe's files
            for key, tensor in tensors.items()
            if key.startswith("features.")
        }
        try:
            incompatible = self.load_state_dict(own, strict=False)
        except RuntimeError as error:
            raise SedicError(f"these are not the weights of {name}: shapes differ") from error
        if incompatible.missing_keys or incompatible.unexpected_keys:
            odd = (*incompatible.missing_keys, *incompatible.unexpected_keys)[0]
            raise SedicError(f"these are not the weights of {name}: {odd} does not fit")
        self.register_buffer("mean", torch.tensor(MEAN).view(1, 3, 1, 1), persistent=False)
        self.register_buffer(
            "deviation", torch.tensor(DEVIATION).view(1, 3, 1, 1), persistent=False
        )
        self.requires_grad_(False).eval()

    def forward(self, x: Tensor) -> list[Tensor]:
        x = (x - self.get_buffer("mean")) / self.get_buffer("deviation")
        outputs = []
        for i, layer in enumerate(self.features):
            x = layer(x)
            if i in self.taps:
                outputs.append(x)
        return outputs
