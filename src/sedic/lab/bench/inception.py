"""The Inception network of FID and KID, with the weights that published numbers use.

``pt_inception-2015-12-05-6726825d.pth`` is TensorFlow's network of 2015-12-05 under torchvision's
names. It differs from torchvision's InceptionV3: pooling leaves the border out of its means, and
the last block takes maxima. Pictures are resized as TensorFlow 1 did, without half a pixel's shift,
and scaled as (x - 128) / 128: torch-fidelity's protocol, which HiFiC's successors report.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sedic.errors import SedicError
from sedic.models.convert import read_checkpoint
from sedic.picture import Picture

_SIDE = 299

Size = tuple[int, int]


class _Conv(nn.Module):
    def __init__(self, inputs: int, outputs: int, size: Size, stride: int, same: bool) -> None:
        super().__init__()
        padding = (size[0] // 2, size[1] // 2) if same else (0, 0)
        self.conv = nn.Conv2d(inputs, outputs, size, stride, padding, bias=False)
        self.bn = nn.BatchNorm2d(outputs, eps=0.001)

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.bn(self.conv(x)))


# A chain of convolutions: (outputs, (height, width) of the kernel) each.
Chain = list[tuple[int, Size]]
_FORK = (0, 0)  # a last step that is two: 1 x 3 and 3 x 1 beside each other


class _Block(nn.Module):
    """Named chains of convolutions side by side, and a pooling; the results are stacked.

    ``branch_pool`` follows the pooling. With stride 2 the last step of each chain and the pooling
    halve the picture, without padding.
    """

    def __init__(
        self, inputs: int, chains: dict[str, Chain], stride: int = 1, pool: str = "mean"
    ) -> None:
        super().__init__()
        self.chains: dict[str, list[list[str]]] = {}
        self.stride, self.pool = stride, pool
        for name, chain in chains.items():
            width = inputs
            steps = []
            for i, (outputs, size) in enumerate(chain, 1):
                number = f"_{i}" if len(chain) > 1 else ""
                halves = stride == 2 and i == len(chain)
                layer = (
                    {f"{name}{number}a": (1, 3), f"{name}{number}b": (3, 1)}
                    if size == _FORK
                    else {f"{name}{number}": size}
                )
                for full, kernel in layer.items():
                    step = _Conv(width, outputs, kernel, 2 if halves else 1, same=not halves)
                    self.add_module(full, step)
                steps.append(list(layer))
                width = outputs
            self.chains[name] = steps

    def forward(self, x: Tensor) -> Tensor:
        pooled = self._pooled(x)
        results = []
        for name, steps in self.chains.items():
            y = pooled if name == "branch_pool" else x
            for step in steps:
                y = torch.cat([self.get_submodule(part)(y) for part in step], 1)
            results.append(y)
        if "branch_pool" not in self.chains:
            results.append(pooled)
        return torch.cat(results, 1)

    def _pooled(self, x: Tensor) -> Tensor:
        if self.stride == 2:
            return F.max_pool2d(x, 3, 2)
        if self.pool == "max":
            return F.max_pool2d(x, 3, 1, 1)
        return F.avg_pool2d(x, 3, 1, 1, count_include_pad=False)


def _a(inputs: int, pool: int) -> _Block:
    chains: dict[str, Chain] = {
        "branch1x1": [(64, (1, 1))],
        "branch5x5": [(48, (1, 1)), (64, (5, 5))],
        "branch3x3dbl": [(64, (1, 1)), (96, (3, 3)), (96, (3, 3))],
        "branch_pool": [(pool, (1, 1))],
    }
    return _Block(inputs, chains)


def _b() -> _Block:
    chains: dict[str, Chain] = {
        "branch3x3": [(384, (3, 3))],
        "branch3x3dbl": [(64, (1, 1)), (96, (3, 3)), (96, (3, 3))],
    }
    return _Block(288, chains, stride=2)


def _c(middle: int) -> _Block:
    wide, high = (1, 7), (7, 1)
    chains: dict[str, Chain] = {
        "branch1x1": [(192, (1, 1))],
        "branch7x7": [(middle, (1, 1)), (middle, wide), (192, high)],
        "branch7x7dbl": [
            (middle, (1, 1)),
            (middle, high),
            (middle, wide),
            (middle, high),
            (192, wide),
        ],
        "branch_pool": [(192, (1, 1))],
    }
    return _Block(768, chains)


def _d() -> _Block:
    chains: dict[str, Chain] = {
        "branch3x3": [(192, (1, 1)), (320, (3, 3))],
        "branch7x7x3": [(192, (1, 1)), (192, (1, 7)), (192, (7, 1)), (192, (3, 3))],
    }
    return _Block(768, chains, stride=2)


def _e(inputs: int, pool: str) -> _Block:
    chains: dict[str, Chain] = {
        "branch1x1": [(320, (1, 1))],
        "branch3x3": [(384, (1, 1)), (384, _FORK)],
        "branch3x3dbl": [(448, (1, 1)), (384, (3, 3)), (384, _FORK)],
        "branch_pool": [(192, (1, 1))],
    }
    return _Block(inputs, chains, pool=pool)


def network() -> nn.ModuleDict:
    """The layers in order, with random weights; names as in the weight file."""
    return nn.ModuleDict(
        {
            "Conv2d_1a_3x3": _Conv(3, 32, (3, 3), 2, same=False),
            "Conv2d_2a_3x3": _Conv(32, 32, (3, 3), 1, same=False),
            "Conv2d_2b_3x3": _Conv(32, 64, (3, 3), 1, same=True),
            "pool_1": nn.MaxPool2d(3, 2),
            "Conv2d_3b_1x1": _Conv(64, 80, (1, 1), 1, same=False),
            "Conv2d_4a_3x3": _Conv(80, 192, (3, 3), 1, same=False),
            "pool_2": nn.MaxPool2d(3, 2),
            "Mixed_5b": _a(192, 32),
            "Mixed_5c": _a(256, 64),
            "Mixed_5d": _a(288, 64),
            "Mixed_6a": _b(),
            "Mixed_6b": _c(128),
            "Mixed_6c": _c(160),
            "Mixed_6d": _c(160),
            "Mixed_6e": _c(192),
            "Mixed_7a": _d(),
            "Mixed_7b": _e(1280, "mean"),
            "Mixed_7c": _e(2048, "max"),
        }
    )


class Inception(nn.Module):
    """The network up to the classifier: 2048 features of a picture."""

    def __init__(self, weights: Path) -> None:
        """``SedicError`` if the file is missing or is not that network's."""
        super().__init__()
        if not weights.is_file():
            raise SedicError(f"FID and KID: weights not found at {weights}")
        self.layers = network()
        tensors = {k: v for k, v in read_checkpoint(weights).items() if not k.startswith("fc.")}
        try:
            self.layers.load_state_dict(tensors)
        except RuntimeError as error:
            raise SedicError(f"{weights.name} is not the Inception network of FID") from error
        self.requires_grad_(False).eval()

    @torch.inference_mode()
    def features(self, picture: Picture) -> npt.NDArray[np.float32]:
        """The (2048,) float32 features of a (height, width, 3) uint8 picture."""
        height, width = picture.shape[:2]
        device = next(self.parameters()).device
        x = torch.from_numpy(np.ascontiguousarray(picture.transpose(2, 0, 1))).to(device).float()
        rows, columns = (_resizing(side).to(device) for side in (height, width))
        x = ((rows @ x @ columns.T - 128) / 128)[None]
        for layer in self.layers.values():
            x = layer(x)
        return np.asarray(x.mean((0, 2, 3)).cpu().numpy())


def _resizing(side: int) -> Tensor:
    """TensorFlow 1's bilinear resizing of one axis to 299, as a (299, side) matrix."""
    at = np.arange(_SIDE) * (side / _SIDE)
    low = np.floor(at).astype(np.intp)
    high = np.minimum(low + 1, side - 1)
    matrix = np.zeros((_SIDE, side), np.float32)
    np.add.at(matrix, (np.arange(_SIDE), low), 1 - (at - low))
    np.add.at(matrix, (np.arange(_SIDE), high), at - low)
    return torch.from_numpy(matrix)
